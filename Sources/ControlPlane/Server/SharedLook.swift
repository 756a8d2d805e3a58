import Synchronization

/// A look at something that may hold whoever looks up, a disk above all: one at a time, for all who ask meanwhile, so that
/// they need not be bounded. It goes on whether they wait for it or not.
///
/// Thread safety: any thread.
package final class SharedLook<Value: Sendable>: Sendable {
    package enum Outcome: Sendable {
        case found(Value)
        /// The look has failed: there is nothing to be seen.
        case failed
        /// It takes too long, or whoever asked was cancelled.
        case notYet
    }

    private struct State {
        /// When the look that is under way began; nil: none is.
        var began: ContinuousClock.Instant?
        var waiting: [Int: AsyncStream<Outcome>.Continuation] = [:]
        /// Of the last one who asked.
        var number = 0
    }

    /// How long whoever asks waits.
    package let patience: Duration
    private let look: @Sendable () async throws -> Value
    private let state = Mutex(State())

    package init(patience: Duration, _ look: @escaping @Sendable () async throws -> Value) {
        self.patience = patience
        self.look = look
    }

    /// What a look finds that ends after the call.
    package func outcome() async -> Outcome {
        let (outcomes, waiter) = AsyncStream.makeStream(
            of: Outcome.self, bufferingPolicy: .bufferingOldest(1))
        guard let number = enter(waiter) else { return .notYet }
        let alarm = Task {
            try? await Task.sleep(for: patience)
            waiter.yield(.notYet)
        }
        defer {
            alarm.cancel()
            state.withLock { $0.waiting[number] = nil }
        }
        for await outcome in outcomes { return outcome }
        return .notYet
    }

    /// What a look finds; nil: it fails, or takes too long.
    package func value() async -> Value? {
        if case .found(let value) = await outcome() { value } else { nil }
    }

    /// Waits for the look that is under way, or begins one.
    ///
    /// - Returns: nil: it has taken too long already, and nobody else waits for it.
    private func enter(_ waiter: AsyncStream<Outcome>.Continuation) -> Int? {
        let now = ContinuousClock.now
        return state.withLock { state in
            if let began = state.began {
                guard now - began < patience else { return nil }
            } else {
                state.began = now
                // Not of the task that asks: its end is not the look's.
                Task.detached { await self.run() }
            }
            state.number += 1
            state.waiting[state.number] = waiter
            return state.number
        }
    }

    private func run() async {
        let outcome: Outcome
        do { outcome = .found(try await look()) } catch { outcome = .failed }
        let waiting = state.withLock { state in
            defer { (state.began, state.waiting) = (nil, [:]) }
            return state.waiting
        }
        for waiter in waiting.values { waiter.yield(outcome) }
    }
}
