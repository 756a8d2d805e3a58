internal import NIOCore
internal import Synchronization

/// Wakes an event loop when answers have become durable: at most one wake-up is under way, however
/// often the journal calls.
///
/// Thread safety: any thread.
final class DurableSignal: Sendable {
    private enum State { case idle, raised, stopped }

    /// A lock, so that no task is handed to a loop that has been told to stop.
    private let state = Mutex(State.idle)
    private let eventLoop: any EventLoop
    private let work: @Sendable () -> Void

    /// - Parameter work: done on the loop; calls `lower` first.
    init(eventLoop: any EventLoop, work: @escaping @Sendable () -> Void) {
        self.eventLoop = eventLoop
        self.work = work
    }

    func raise() {
        state.withLock { state in
            guard state == .idle else { return }
            state = .raised
            eventLoop.execute(work)
        }
    }

    /// What became durable from here on needs another wake-up.
    func lower() {
        state.withLock { state in
            if state == .raised { state = .idle }
        }
    }

    func stop() {
        state.withLock { $0 = .stopped }
    }
}
