import Admission
import Engine
import HTTPTypes
import Hummingbird
import JSON
import Projection

/// What everybody may ask: whether the service lives, whether it can do its work, and its public key.
struct Health: Sendable {
    let core: ControlPlaneContext
    /// Returns when the disk has done what it was given; fails when it never will.
    private let disk: SharedLook<Void>

    /// How long whoever asks waits for the disk.
    private static let patience = Duration.seconds(5)

    /// - Parameter disk: nil: the journal's.
    init(core: ControlPlaneContext, disk: SharedLook<Void>? = nil) {
        self.core = core
        self.disk =
            disk
            ?? SharedLook(patience: Self.patience) { [engine = core.engine] in
                try await engine.durable()
            }
    }

    var routes: [Route] {
        [
            Route(.get, "/healthz", nil, Operations.healthz, healthz),
            Route(.get, "/readyz", nil, Operations.readyz, readyz),
            Route(.get, "/v2/public_key", nil, Operations.publicKey) { [core] _ in
                .data([
                    "record_type": "public_key", "algorithm": "ed25519",
                    "public": .string(core.publicKey),
                ])
            },
        ]
    }

    /// Why the service cannot do its work; nil: it can.
    func trouble() async -> String? {
        if core.limiter.isStopping { return "The service is stopping" }
        if let reason = refusal ?? Descriptors.shortage { return reason }
        if let reason = await diskTrouble() { return reason }
        return core.projection?.status.standstill.map { "Lists and alerts are not updating: \($0)" }
    }

    /// Why nothing can be recorded; nil: it can.
    func recordingTrouble() async -> String? {
        if let refusal { return refusal }
        return await diskTrouble()
    }

    private var refusal: String? {
        core.engine.refusal.map { "Changes cannot be recorded: \($0)" }
    }

    private func diskTrouble() async -> String? {
        switch await disk.outcome() {
        case .found: nil
        case .failed: "The journal has stopped; see the log"
        case .notYet: "The disk has not confirmed a write for \(disk.patience)"
        }
    }

    /// Fails only where nothing but another start helps: what is wrong with the disk, peers or clocks is `readyz`' to say.
    func healthz(_ exchange: Exchange) throws -> Reply {
        if let reason = core.settings.hang() { throw APIError(.unavailable, reason) }
        return Reply(["status": "ok"])
    }

    func readyz(_ exchange: Exchange) async throws -> Reply {
        if let reason = await trouble() { throw APIError(.unavailable, reason) }
        // Decisions do not need the wall clock: who asks here must not be sent away from a service that decides.
        let ready: JSON = ["status": "ready"]
        return Reply(ready + parts)
    }

    /// How projection and clock are.
    var parts: JSON {
        let ahead = core.engine.clock.ahead
        let isApart = abs(ahead) > EngineClock.believableLead
        let projection = core.projection?.status
        return [
            "projection": projection.map { status in
                [
                    "status": status.trouble == nil ? "ok" : "trouble",
                    "time": Instant.json(status.time),
                    "behind_bytes": .integer(status.behindBytes),
                ]
            } ?? .null,
            "clock": ["status": isApart ? "apart" : "ok", "ahead_ms": .integer(ahead)],
        ]
    }
}
