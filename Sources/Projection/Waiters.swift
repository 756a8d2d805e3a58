import Journal

/// Tasks that wait until something is so, and are resumed by whoever makes it so.
///
/// Thread safety: any thread.
final class Waiters: Sendable {
    private enum Waiter {
        /// It is about to wait.
        case comes
        case waits(CheckedContinuation<Bool, Never>, isMet: @Sendable () -> Bool)
        /// Its task was cancelled, or its time was over, before it waited.
        case gaveUp
    }

    private struct State {
        var next = 0
        /// From before they wait until they go on.
        var waiters: [Int: Waiter] = [:]
    }

    private let state: Lock<State> = Lock(State())

    /// How many wait.
    var count: Int { state.withLock { $0.waiters.count } }

    /// Waits until something is so.
    ///
    /// - Parameters:
    ///   - time: how long at most.
    ///   - isMet: looked at now, and whenever `look` is called. Short; takes no lock that is held around `look`.
    /// - Returns: false: the time is over, or the task is cancelled.
    func wait(
        atMost time: Duration, until isMet: @escaping @Sendable () -> Bool
    ) async -> Bool {
        if isMet() { return true }
        let number = state.withLock { state in
            state.next += 1
            state.waiters[state.next] = .comes
            return state.next
        }
        let alarm = Task { [self] in
            do { try await Task.sleep(for: time) } catch { return }
            giveUp(number)
        }
        defer {
            alarm.cancel()
            state.withLock { state in state.waiters[number] = nil }
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if case .gaveUp = state.waiters[number] { return false }
                    // Under the lock: a `look` that comes later finds the waiter.
                    if isMet() { return true }
                    state.waiters[number] = .waits(continuation, isMet: isMet)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            giveUp(number)
        }
    }

    /// Resumes those for whom it is so. To be called after every change of what they look at.
    func look() {
        let met = state.withLock { state in
            var met: [CheckedContinuation<Bool, Never>] = []
            for (number, waiter) in state.waiters {
                guard case .waits(let continuation, let isMet) = waiter, isMet() else { continue }
                state.waiters[number] = nil
                met.append(continuation)
            }
            return met
        }
        for continuation in met { continuation.resume(returning: true) }
    }

    private func giveUp(_ number: Int) {
        let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            switch state.waiters[number] {
            case .waits(let continuation, _):
                state.waiters[number] = nil
                return continuation
            case .comes:
                state.waiters[number] = .gaveUp
                return nil
            case .gaveUp, nil: return nil
            }
        }
        continuation?.resume(returning: false)
    }
}
