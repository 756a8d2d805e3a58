internal import Engine
internal import GRPCServer
internal import LogLines
internal import Logging

/// Says once when reservations, idempotency keys or watches become scarce, and once when they no longer are.
struct ScarcityLog: Sendable {
    private let reservations = Self.state("reservations")
    private let keys = Self.state("idempotency keys")
    private let watches = Self.state("watches of an event loop")

    private static func state(_ what: String) -> StateLog {
        StateLog(
            begins: "three quarters of the \(what) are in use: per-tenant shares apply",
            ends:
                "less than three quarters of the \(what) are in use again: per-tenant shares no longer apply",
            level: .warning)
    }

    /// To be called every second or so, by one thread at a time.
    func look(_ found: Occupancy, watchesAreScarce: Bool, _ logger: Logger) {
        let metadata: Logger.Metadata = [
            "reservations": "\(found.reservations)", "keys": "\(found.keys)",
            "refused_over_share": "\(found.refusedOverShare)",
        ]
        reservations.look(found.reservationsAreScarce ? "" : nil, logger, metadata)
        keys.look(found.keysAreScarce ? "" : nil, logger, metadata)
        watches.look(watchesAreScarce ? "" : nil, logger, metadata)
    }
}
