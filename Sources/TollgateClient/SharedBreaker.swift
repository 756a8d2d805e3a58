internal import NIOCore
internal import Synchronization

/// A client's circuit breaker.
///
/// Thread safety: any thread. While nothing fails, it costs one load.
final class SharedBreaker: Sendable {
    private let state: Mutex<CircuitBreaker>
    /// The breaker must be consulted. Relaxed throughout: a late read tries one call too many, or
    /// consults the breaker once too often.
    private let isDisturbed = Atomic<Bool>(false)

    init(_ limits: BreakerLimits) {
        state = Mutex(
            CircuitBreaker(
                threshold: limits.failures, first: TimeAmount(limits.pause),
                most: TimeAmount(limits.maximumPause)))
    }

    /// Why a call must not be tried; nil: it may: call `answered`, `failed` or `withdrawn` after
    /// it.
    func refusal() -> TollgateError? {
        guard isDisturbed.load(ordering: .relaxed) else { return nil }
        return state.withLock { breaker in
            let now = NIODeadline.now()
            if breaker.admits(at: now) { return nil }
            let left = (breaker.nextTrial ?? now) - now
            let milliseconds = max(1, left.nanoseconds / 1_000_000)
            return TollgateError(
                .unavailable,
                "The circuit breaker is open: the service failed \(breaker.failures) times in a row; next attempt in \(milliseconds) ms",
                wasNotProcessed: true)
        }
    }

    func answered() {
        guard isDisturbed.load(ordering: .relaxed) else { return }
        change { $0.answered() }
    }

    /// True: it has opened.
    func failed(begun: NIODeadline) -> Bool { change { $0.failed(begun: begun, at: .now()) } }

    func withdrawn() {
        guard isDisturbed.load(ordering: .relaxed) else { return }
        change { $0.withdrawn(at: .now()) }
    }

    private func change<Result>(_ body: (inout CircuitBreaker) -> Result) -> Result {
        state.withLock { breaker in
            let result = body(&breaker)
            isDisturbed.store(breaker.isUndisturbed == false, ordering: .relaxed)
            return result
        }
    }
}
