import Synchronization

/// Bounds the requests that are worked on at one time, and knows when none is under way.
///
/// Thread safety: any thread.
final class ConcurrencyLimiter: Sendable {
    private struct State {
        /// From their heads until their answers are written.
        var underWay = 0
        /// With their bodies, until their answers are made.
        var workedOn = 0
        var isStopping = false
        var isDraining = false
        var isGivenUp = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let maximum: Int
    private let state = Mutex(State())

    init(maximum: Int) { self.maximum = maximum }

    /// A request has come; `end` must follow.
    func begin() { state.withLock { $0.underWay += 1 } }

    func end() {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.underWay -= 1
            guard state.underWay == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Does work of which only so much is done at one time.
    ///
    /// - Throws: `unavailable`: more of it is under way than that.
    func within<Result>(
        _ refusal: String, _ work: () async throws -> Result
    ) async throws -> Result {
        guard enter() else { throw APIError(.unavailable, refusal) }
        defer { leave() }
        return try await work()
    }

    /// False: too many are worked on. Otherwise `leave` must follow.
    func enter() -> Bool {
        state.withLock { state in
            guard state.workedOn < maximum else { return false }
            state.workedOn += 1
            return true
        }
    }

    func leave() { state.withLock { $0.workedOn -= 1 } }

    /// Requests that are worked on.
    var inProgress: Int { state.withLock { $0.workedOn } }

    /// Whether the service is stopping: it is not ready any more, and still serves.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    func announceStop() { state.withLock { $0.isStopping = true } }

    /// Whether it takes no new requests any more.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    func drain() {
        state.withLock { state in
            state.isStopping = true
            state.isDraining = true
        }
    }

    /// Lets go who waits until nothing is under way, or will.
    func giveUp() {
        let waiting = state.withLock { state in
            state.isGivenUp = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when nothing is under way, or after `giveUp`.
    func empty() async {
        await withCheckedContinuation { continuation in
            let waits = state.withLock { state in
                let waits = state.underWay > 0 && !state.isGivenUp
                if waits { state.waiting.append(continuation) }
                return waits
            }
            if !waits { continuation.resume() }
        }
    }
}
