import Events
import Synchronization

/// An outbox without a file, on a clock that is set by hand.
final class MemoryOutbox: Outbox {
    struct State {
        var now: Int64 = 0
        var waiting: [Int64: Delivery] = [:]
        var ends: [Int64: DeliveryOutcome] = [:]
        var attempts: [Int64: [DeliveryAttempt]] = [:]
        var listener: (@Sendable () -> Void)?
        /// So many notes fail first.
        var failures = 0
    }

    struct Full: Error {}

    let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    init(_ deliveries: [Delivery]) {
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        state.withLock { for delivery in deliveries { $0.waiting[delivery.id] = delivery } }
    }

    func due(now: Int64, limit: Int, except underway: Set<Int64>) async throws -> [Delivery] {
        state.withLock { state in
            let due = state.waiting.values
                .filter { $0.dueAt <= now && !underway.contains($0.id) }
                .sorted { ($0.dueAt, $0.id) < ($1.dueAt, $1.id) }
            return Array(due.prefix(limit))
        }
    }

    func nextDue(except underway: Set<Int64>) async throws -> Int64? {
        state.withLock { state in
            state.waiting.values.filter { !underway.contains($0.id) }.map(\.dueAt).min()
        }
    }

    func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async throws {
        try state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                throw Full()
            }
            state.attempts[delivery, default: []].append(attempt)
            if case .again(let time) = outcome {
                state.waiting[delivery]?.attempts += 1
                state.waiting[delivery]?.dueAt = time
                // Time flies when there is nothing else to do.
                state.now = max(state.now, time)
            } else {
                state.waiting[delivery] = nil
                state.ends[delivery] = outcome
            }
        }
        changed.yield()
    }

    func onDeliveries(_ notify: @escaping @Sendable () -> Void) {
        state.withLock { $0.listener = notify }
    }

    /// Returns when it is so; asked after every note.
    func until(_ isSo: (State) -> Bool) async {
        if state.withLock({ isSo($0) }) { return }
        for await _ in changes where state.withLock({ isSo($0) }) { return }
    }
}
