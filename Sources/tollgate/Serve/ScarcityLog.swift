internal import Engine
internal import GRPCServer
internal import Logging
internal import Synchronization

/// Says once when reservations, idempotency keys or watches become scarce, and once when they no longer are.
final class ScarcityLog: Sendable {
    private let reservations = Atomic<Bool>(false)
    private let keys = Atomic<Bool>(false)
    private let watches = Atomic<Bool>(false)

    /// To be called every second or so, by one thread at a time.
    func look(_ found: Occupancy, watchesAreScarce: Bool, _ logger: Logger) {
        note(reservations, found.reservationsAreScarce, "reservations", found, logger)
        note(keys, found.keysAreScarce, "idempotency keys", found, logger)
        note(watches, watchesAreScarce, "watches of an event loop", found, logger)
    }

    private func note(
        _ was: borrowing Atomic<Bool>, _ isScarce: Bool, _ what: String, _ found: Occupancy,
        _ logger: Logger
    ) {
        // ORDERING: relaxed because it stands for nothing else.
        guard was.exchange(isScarce, ordering: .relaxed) != isScarce else { return }
        logger.warning(
            isScarce
                ? "three quarters of the \(what) are in use: per-tenant shares apply"
                : "less than three quarters of the \(what) are in use again: per-tenant shares no longer apply",
            metadata: [
                "reservations": "\(found.reservations)", "keys": "\(found.keys)",
                "refused_over_share": "\(found.refusedOverShare)",
            ])
    }
}
