internal import Limits
internal import Synchronization

/// The numbers behind `ClientCounters`.
///
/// Thread safety: any thread. Relaxed throughout: the numbers are independent.
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

    func read() -> ClientCounters {
        ClientCounters(
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
