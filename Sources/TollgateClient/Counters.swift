internal import Limits
internal import Synchronization

extension TollgateClient {
    /// What has become of this client's calls since it was made. Of streams only what becomes of the checks of those under
    /// a policy is counted.
    public struct Counters: Sendable, Hashable {
        /// Calls that were begun. Those that are over are in `answered` or in `failed`.
        public var calls: UInt64
        /// Calls that the service answered, whatever it said; failures are not among them.
        public var answered: UInt64
        /// Checks, entries of batches too, that were allowed or denied.
        public var allowed: UInt64
        public var denied: UInt64
        /// Calls that failed, by what they ended with.
        public var failed: [TollgateError.Code: UInt64]
        /// Attempts after a call's first.
        public var retries: UInt64
        /// How often the circuit breaker opened, and the calls that failed at once because of it.
        public var breakerOpened: UInt64
        public var heldBack: UInt64
        /// Checks that `FailurePolicy.failOpen` let through, those for which it had no room, and those that were settled.
        public var letThrough: UInt64
        public var notLetThrough: UInt64
        public var settled: UInt64
        /// What was let through and waits to be settled.
        public var unsettled: Int
        public var connectionsMade: UInt64
        public var connectionsEnded: UInt64
        /// How often an endpoint could not be reached or fell silent.
        public var endpointFailures: UInt64
    }

    /// Thread safety: any thread. Each number is right by itself; calls that run meanwhile may show in one and not yet in
    /// another.
    public var counters: Counters {
        var counters = outcomes.read()
        counters.unsettled = outage.withLock { $0.unsettledCount }
        return counters
    }
}

/// The numbers behind `TollgateClient.Counters`.
///
/// Thread safety: any thread. Relaxed throughout: each number stands for itself.
final class OutcomeCounters: Sendable {
    enum Event {
        case call, answer, allowed, denied, retry, breakerOpened, heldBack, letThrough
        case notLetThrough, settled, connectionMade, connectionEnded, endpointFailed
    }

    private let calls = Atomic<UInt64>(0)
    private let answers = Atomic<UInt64>(0)
    private let allowed = Atomic<UInt64>(0)
    private let denied = Atomic<UInt64>(0)
    private let retries = Atomic<UInt64>(0)
    private let breakerOpened = Atomic<UInt64>(0)
    private let heldBack = Atomic<UInt64>(0)
    private let letThrough = Atomic<UInt64>(0)
    private let notLetThrough = Atomic<UInt64>(0)
    private let settled = Atomic<UInt64>(0)
    private let connectionsMade = Atomic<UInt64>(0)
    private let connectionsEnded = Atomic<UInt64>(0)
    private let endpointFailures = Atomic<UInt64>(0)
    private let failures = Mutex<[TollgateError.Code: UInt64]>([:])

    func count(_ event: Event) {
        switch event {
        case .call: add(calls)
        case .answer: add(answers)
        case .allowed: add(allowed)
        case .denied: add(denied)
        case .retry: add(retries)
        case .breakerOpened: add(breakerOpened)
        case .heldBack: add(heldBack)
        case .letThrough: add(letThrough)
        case .notLetThrough: add(notLetThrough)
        case .settled: add(settled)
        case .connectionMade: add(connectionsMade)
        case .connectionEnded: add(connectionsEnded)
        case .endpointFailed: add(endpointFailures)
        }
    }

    func count(_ decision: Decision?) {
        switch decision {
        case .allowed: add(allowed)
        case .denied: add(denied)
        case nil: break
        }
    }

    func count(failure code: TollgateError.Code) {
        failures.withLock { $0[code, default: 0] += 1 }
    }

    func read() -> TollgateClient.Counters {
        TollgateClient.Counters(
            calls: value(calls), answered: value(answers), allowed: value(allowed),
            denied: value(denied), failed: failures.withLock { $0 }, retries: value(retries),
            breakerOpened: value(breakerOpened), heldBack: value(heldBack),
            letThrough: value(letThrough), notLetThrough: value(notLetThrough),
            settled: value(settled), unsettled: 0, connectionsMade: value(connectionsMade),
            connectionsEnded: value(connectionsEnded), endpointFailures: value(endpointFailures))
    }

    private func add(_ number: borrowing Atomic<UInt64>) {
        number.wrappingAdd(1, ordering: .relaxed)
    }

    private func value(_ number: borrowing Atomic<UInt64>) -> UInt64 {
        number.load(ordering: .relaxed)
    }
}
