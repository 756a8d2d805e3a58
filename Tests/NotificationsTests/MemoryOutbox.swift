import Events
import Synchronization

/// An outbox without a file, on a clock that is set by hand.
final class MemoryOutbox: Outbox {
    struct State {
        var now: Int64 = 0
        /// What waits, by place and id.
        var waiting: [DeliveryPlace: [Int64: Delivery]] = [:]
        var places: [Int64: DeliveryPlace] = [:]
        var ends: [Int64: DeliveryOutcome] = [:]
        var attempts: [Int64: [DeliveryAttempt]] = [:]
        var listener: (@Sendable () -> Void)?
        /// Deliveries that were taken.
        var handedOut = 0
        /// Whenever the outbox is asked what becomes due, that becomes due.
        var isRestless = false
        /// Who takes this one is stopped.
        var lastHandedOut: Int?
        /// Called when there was nothing at a place, before that is answered.
        var onNothing: (@Sendable () async -> Void)?
        /// So many notes fail first.
        var failures = 0

        mutating func put(_ delivery: Delivery, _ place: DeliveryPlace) {
            waiting[place, default: [:]][delivery.id] = delivery
            places[delivery.id] = place
        }

        mutating func take(_ id: Int64) -> Delivery? {
            guard let place = places.removeValue(forKey: id) else { return nil }
            let delivery = waiting[place]?.removeValue(forKey: id)
            if waiting[place]?.isEmpty ?? false { waiting[place] = nil }
            return delivery
        }
    }

    struct Full: Error {}

    let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let changed: AsyncStream<Void>.Continuation

    init(_ deliveries: [Delivery]) {
        (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        for delivery in deliveries { add(delivery) }
    }

    func add(_ delivery: Delivery) {
        state.withLock { $0.put(delivery, DeliveryPlace(delivery.channel)) }
    }

    func places(
        due now: Int64, after place: DeliveryPlace?, limit: Int
    ) async throws -> (due: [DeliveryPlace], last: DeliveryPlace?) {
        state.withLock { state in
            let looked = state.waiting.keys.filter { $0.name > place?.name ?? "" }
                .sorted { $0.name < $1.name }.prefix(limit)
            let due = looked.filter { place in
                state.waiting[place]?.values.contains { $0.dueAt <= now } ?? false
            }
            return (due, looked.count == limit ? looked.last : nil)
        }
    }

    func nextDelivery(
        at place: DeliveryPlace, due now: Int64, after endpoint: String,
        except underway: [String: Set<Int64>], bound: Int
    ) async throws -> NextDelivery {
        let (next, isLast) = state.withLock { state in
            let next = state.waiting[place]?.values
                .filter {
                    let taken = underway[$0.endpoint] ?? []
                    return $0.dueAt <= now && $0.endpoint > endpoint && taken.count < bound
                        && !taken.contains($0.id)
                }
                .min { ($0.endpoint, $0.dueAt, $0.id) < ($1.endpoint, $1.dueAt, $1.id) }
            if next != nil { state.handedOut += 1 }
            return (next, state.handedOut == state.lastHandedOut)
        }
        if isLast { withUnsafeCurrentTask { $0?.cancel() } }
        if next == nil { await state.withLock { $0.onNothing }?() }
        return next.map { .found($0) } ?? .none
    }

    func nextDue(after now: Int64) async throws -> Int64? {
        state.withLock { state in
            let next = state.waiting.values.joined().map(\.value.dueAt).filter { $0 > now }.min()
            if state.isRestless, let next { state.now = max(state.now, next) }
            return next
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
            let taken = state.take(delivery)
            if case .again(let time, let place) = outcome {
                if var delivery = taken {
                    delivery.attempts += 1
                    delivery.dueAt = time
                    state.put(delivery, place)
                }
                // Time flies when there is nothing else to do.
                state.now = max(state.now, time)
            } else {
                state.ends[delivery] = outcome
            }
        }
        changed.yield()
    }

    func reason(of error: any Error) -> String { "\(error)" }

    func onDeliveries(_ notify: @escaping @Sendable () -> Void) {
        state.withLock { $0.listener = notify }
    }

    /// Returns when it is so; asked after every note.
    func until(_ isSo: (State) -> Bool) async {
        if state.withLock({ isSo($0) }) { return }
        for await _ in changes where state.withLock({ isSo($0) }) { return }
    }
}
