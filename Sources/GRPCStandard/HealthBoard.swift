internal import Synchronization

/// Where a process says how its services stand, and where the health services of its event loops read it.
///
/// Thread safety: any thread.
package final class HealthBoard: Sendable {
    /// Has an event loop tell its watchers what has changed; calls what it is given when it has.
    typealias Listener = @Sendable (_ told: @escaping @Sendable () -> Void) -> Void

    private struct State {
        var statuses: ServingStatuses
        var listeners: [Listener] = []
    }

    private let state: Mutex<State>

    package init(_ services: [ServingStatuses.Service]) {
        state = Mutex(State(statuses: ServingStatuses(services)))
    }

    package var statuses: ServingStatuses { state.withLock { $0.statuses } }

    func listen(_ listener: @escaping Listener) {
        state.withLock { $0.listeners.append(listener) }
    }

    /// Whether the process can do its work.
    ///
    /// - Returns: false: that was known.
    @discardableResult
    package func set(isReady: Bool) -> Bool {
        let listeners = state.withLock { state -> [Listener] in
            guard state.statuses.isReady != isReady else { return [] }
            state.statuses.isReady = isReady
            return state.listeners
        }
        for listener in listeners { listener {} }
        return !listeners.isEmpty
    }

    /// Nothing serves any more; returns when all watchers have been told, but for those that read nothing.
    package func stop() async {
        let listeners = state.withLock { state -> [Listener] in
            state.statuses.isStopping = true
            return state.listeners
        }
        for listener in listeners {
            await withCheckedContinuation { continuation in
                listener { continuation.resume() }
            }
        }
    }
}
