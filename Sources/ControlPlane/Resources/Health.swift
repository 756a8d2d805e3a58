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
            throw APIError(.unavailable, error.message)
        }
        guard let projection = core.projection else {
            return Reply(["status": "ready", "projection": .null])
        }
        let status = projection.status
        if let trouble = status.trouble {
            throw APIError(.unavailable, "The projection does not go on: \(trouble)")
        }
        return Reply([
            "status": "ready",
            "projection": [
                "time": Instant.json(status.time), "behind_bytes": .integer(status.behindBytes),
            ],
        ])
    }
}
