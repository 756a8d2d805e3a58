import CLinux
import Glibc

/// The one way to start a thread: each has a name that the system shows.
///
/// Thread safety: any thread may start one; `join` or `detach` is for one of them, once.
package struct NamedThread: Sendable {
    private let thread: pthread_t

    /// Starts a thread.
    ///
    /// - Returns: nil: the system has no thread left.
    package static func start(
        _ name: ThreadName, _ body: @escaping @Sendable () -> Void
    ) -> NamedThread? {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name, body))
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                NamedThread.setName(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            return nil
        }
        return NamedThread(thread: thread)
    }

    /// Starts a thread that nobody waits for. False: the system has no thread left.
    @discardableResult
    package static func detach(
        _ name: ThreadName, _ body: @escaping @Sendable () -> Void
    ) -> Bool {
        guard let thread = start(name, body) else { return false }
        pthread_detach(thread.thread)
        return true
    }

    /// Does what may wait for long on a thread of its own, so that no thread of the task pool is held up.
    ///
    /// - Returns: nil: the system has no thread left, and it was not done.
    package static func run<Result: Sendable>(
        _ name: ThreadName, _ body: @escaping @Sendable () -> Result
    ) async -> Result? {
        await withCheckedContinuation { continuation in
            if !detach(name, { continuation.resume(returning: body()) }) {
                continuation.resume(returning: nil)
            }
        }
    }

    /// Sends it a signal, which no other thread gets. It must not have been joined or detached.
    package func send(_ signal: Int32) { pthread_kill(thread, signal) }

    /// Waits for its end.
    package func join() { pthread_join(thread, nil) }

    /// Names the calling thread, where a library has started it.
    package static func setName(_ name: ThreadName) {
        linux_name_thread(name.description)
    }
}

/// What a thread begins with.
private final class Start: Sendable {
    let name: ThreadName
    let body: @Sendable () -> Void

    init(_ name: ThreadName, _ body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}
