import Engine
import HTTPTypes
import Hummingbird
import Projection

/// What everybody may ask: whether the service lives, whether it can do its work, and its public key.
struct Health: Sendable {
    let core: Core

    var routes: [Route] {
        [
            Route(.get, "/healthz", .open, Operations.healthz) { _ in Reply(["status": "ok"]) },
            Route(.get, "/readyz", .open, Operations.readyz, readyz),
            Route(.get, "/v2/public_key", .open, Operations.publicKey) { [core] _ in
                .data([
                    "record_type": "public_key", "algorithm": "ed25519",
                    "public": .string(core.publicKey),
                ])
            },
        ]
    }

    func readyz(_ exchange: Exchange) async throws -> Reply {
        if core.gate.isDraining { throw APIError(.unavailable, "The service is stopping") }
        do {
            try await core.engine.durable()
        } catch {
            throw APIError(.unavailable, "The journal does not go on; the log says why")
        }
        guard let projection = core.projection else {
            return Reply(["status": "ready", "projection": .null])
        }
        // Decisions do not need it: who asks here must not be sent away from a service that decides.
        let status = projection.status
        return Reply([
            "status": "ready",
            "projection": [
                "status": status.trouble == nil ? "ok" : "trouble",
                "time": Instant.json(status.time), "behind_bytes": .integer(status.behindBytes),
            ],
        ])
    }
}
