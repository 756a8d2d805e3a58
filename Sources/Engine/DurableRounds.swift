import CLinux
import Glibc
import Journal
import Synchronization

/// Who waits for the journal: event loops, which are told, and configuration changes, which block.
///
/// A *ticket* is the number of a round of the writer that begins after the ticket was taken: whatever was published
/// before is on disk when that round is done, with all that it depends on (see `JournalWriter`).
///
/// Thread safety: any thread.
final class DurableRounds: Sendable {
    /// One event loop.
    final class Listener: Sendable {
        /// The highest ticket taken; `.max` while one is being taken.
        fileprivate let latest = Atomic<UInt64>(0)
        private let callback: Lock<Callback?> = Lock(nil)

        /// A closure in a struct: by itself each read of it as a generic value would wrap it once more, and each call
        /// would go through all the wrappings.
        private struct Callback {
            let call: @Sendable () -> Void
        }

        /// Has `notify` called whenever tickets of this listener have come due.
        func onDurable(_ notify: @escaping @Sendable () -> Void) {
            callback.withLock { $0 = Callback(call: notify) }
        }

        fileprivate func notify() { callback.withLock { $0 }?.call() }
    }

    private struct Waiting {
        let ticket: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private let writer: JournalWriter
    private let wakeWriter: @Sendable () -> Void
    private let listeners: Lock<[Listener]> = Lock([])
    /// Tasks that wait.
    private let waiting: Lock<[Waiting]> = Lock([])
    /// The round that was done last; the writer's thread only.
    private let previous = Atomic<UInt64>(0)
    // SAFETY: initialised once, used as pthread objects only, destroyed with `self`.
    private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) let changed: UnsafeMutablePointer<pthread_cond_t>

    /// - Parameter wake: has a round done that begins after the call.
    init(_ writer: JournalWriter, wake: @escaping @Sendable () -> Void) {
        self.writer = writer
        wakeWriter = wake
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        changed = .allocate(capacity: 1)
        changed.initialize(to: pthread_cond_t())
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        changed.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func makeListener() -> Listener {
        let listener = Listener()
        listeners.withLock { $0.append(listener) }
        return listener
    }

    /// The highest ticket that has come due.
    var durable: UInt64 { writer.durableRound }

    /// Has what is published written, though nobody waits for it.
    func wake() { wakeWriter() }

    /// A ticket for everything that was published so far. Wakes the writer.
    func takeTicket(_ listener: Listener?) -> UInt64 {
        // ORDERING: sequentially consistent. A round that is done between the next two lines finds `.max` here and
        // notifies; one that is done later finds the ticket.
        listener?.latest.store(.max, ordering: .sequentiallyConsistent)
        let ticket = writer.roundsStarted &+ 1
        listener?.latest.store(ticket, ordering: .sequentiallyConsistent)
        wakeWriter()
        return ticket
    }

    /// A round is done. The writer's thread.
    func roundDone() {
        let now = writer.durableRound
        // ORDERING: relaxed because one thread writes and reads it.
        let before = previous.exchange(now, ordering: .relaxed)
        wakeBlocked()
        for listener in listeners.withLock({ $0 })
        where listener.latest.load(ordering: .sequentiallyConsistent) > before {
            listener.notify()
        }
        resumeWaiting()
    }

    /// No round will be done any more. The writer's thread.
    func failed() {
        wakeBlocked()
        resumeWaiting()
    }

    private func wakeBlocked() {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// How many tasks wait.
    var tasksWaiting: Int { waiting.withLock { $0.count } }

    /// Waits until everything that was published so far is on disk. False: the journal has failed.
    func done() async -> Bool {
        let ticket = takeTicket(nil)
        return await withCheckedContinuation { continuation in
            waiting.withLock { $0.append(Waiting(ticket: ticket, continuation: continuation)) }
            // The round may have been done meanwhile, or the journal have failed.
            resumeWaiting()
        }
    }

    private func resumeWaiting() {
        // In this order: once it has failed, no further round is done.
        let failed = writer.hasFailed
        let durable = writer.durableRound
        let due = waiting.withLock { waiting -> [Waiting] in
            guard !waiting.isEmpty else { return [] }
            let due = waiting.filter { failed || $0.ticket <= durable }
            waiting.removeAll { failed || $0.ticket <= durable }
            return due
        }
        for waiting in due {
            waiting.continuation.resume(returning: waiting.ticket <= durable)
        }
    }

    /// Blocks until everything that was published so far is on disk. False: the journal has failed.
    func wait() -> Bool {
        let ticket = takeTicket(nil)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while writer.durableRound < ticket {
            if writer.hasFailed { return false }
            var deadline = timespec()
            clock_gettime(CLOCK_REALTIME, &deadline)
            deadline.tv_sec += 1
            pthread_cond_timedwait(changed, mutex, &deadline)
        }
        return true
    }
}
