internal import Foundation
internal import Glibc
internal import Synchronization

/// SIGTERM, SIGINT and SIGHUP as a sequence, instead of what they do by default. After `catchAll` none is lost; of those
/// that have not been taken yet, equal ones are one.
///
/// A handler may do next to nothing: it notes the signal, and posts a semaphore that a thread waits for.
enum ProcessSignals {
    // SAFETY: made once, and used by functions only that any thread and any handler may call.
    private nonisolated(unsafe) static let arrives: UnsafeMutablePointer<sem_t> = {
        let arrives = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        // Cannot fail: 0 is no value too large.
        sem_init(arrives, 0, 0)
        return arrives
    }()
    /// Those that came, a bit each.
    private static let pending = Atomic<UInt32>(0)
    private static let isServing = Atomic<Bool>(false)

    /// Catches the signals from now on; the first thing that a service does. Until `received` is called, SIGTERM and
    /// SIGINT end the process at once, also where it is process 1, which nothing ends by default; SIGHUP is kept.
    static func catchAll() {
        // A handler must find them made: to make them it would have to allocate and to lock.
        _ = arrives
        // ORDERING: relaxed; nobody else is there yet.
        pending.store(0, ordering: .relaxed)
        isServing.store(false, ordering: .relaxed)
        for number in [SIGTERM, SIGINT, SIGHUP] {
            signal(number) { number in
                let code = errno
                ProcessSignals.caught(number)
                errno = code
            }
        }
    }

    /// In a signal handler.
    private static func caught(_ number: Int32) {
        // ORDERING: sequentially consistent; a signal that is sent after `received` has returned must see it.
        guard isServing.load(ordering: .sequentiallyConsistent) || number == SIGHUP else {
            if getpid() == 1 { _exit(128 + number) }
            // By the signal's own action, once this handler is left.
            signal(number, SIG_DFL)
            kill(getpid(), number)
            return
        }
        // ORDERING: releasing; who takes the bit, woken by the post or by one before, has all that was before the signal.
        pending.bitwiseOr(1 << UInt32(number), ordering: .releasing)
        sem_post(arrives)
    }

    /// The signals, those that were kept first; SIGHUP stands before a SIGTERM or SIGINT that came at the same time.
    /// To be called once.
    static func received() -> AsyncStream<Int32> {
        let (received, arrivals) = AsyncStream.makeStream(of: Int32.self)
        // ORDERING: sequentially consistent, as in `caught`.
        isServing.store(true, ordering: .sequentiallyConsistent)
        Thread.detachNewThread {
            while true {
                // Signals interrupt it.
                while sem_wait(arrives) != 0 {}
                // ORDERING: acquiring, for the release in `caught`.
                let came = pending.exchange(0, ordering: .acquiring)
                for number in [SIGHUP, SIGTERM, SIGINT] where came & 1 << UInt32(number) != 0 {
                    arrivals.yield(number)
                }
            }
        }
        return received
    }
}
