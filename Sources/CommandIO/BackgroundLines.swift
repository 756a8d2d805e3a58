internal import Glibc
internal import Synchronization
internal import Threads

/// Lines that a thread of its own writes to a descriptor, for a process that must go on when nobody reads them: a pipe
/// whose reader has stopped would hold up whoever writes to it.
///
/// What waits is bounded. Lines beyond are dropped, and counted on a line of their own as soon as there is a reader again.
/// A line that nothing waits before is never beyond, however long it is.
///
/// Thread safety: any thread.
// SAFETY: what is not constant is used under the lock.
package final class BackgroundLines: TextOutputStream, @unchecked Sendable {
    /// Standard error.
    package static let standardError = BackgroundLines(STDERR_FILENO)

    private let descriptor: Int32
    private let thread: ThreadName
    private let maximum: Int
    private let hasFailed: @Sendable (Int32) -> Void
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrives = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var waiting: [UInt8] = []
    private var dropped = 0
    /// What was taken from those that wait is on its way.
    private var isWriting = false
    private var hasThread = false

    /// - Parameters:
    ///   - thread: the name of the thread that writes.
    ///   - maximum: bytes that may wait; as many may be on their way.
    ///   - hasFailed: told why lines could not be written (`errno`).
    init(
        _ descriptor: Int32, thread: ThreadName = .log, maximum: Int = 1 << 20,
        hasFailed: @escaping @Sendable (Int32) -> Void = { _ in }
    ) {
        self.descriptor = descriptor
        self.thread = thread
        self.maximum = maximum
        self.hasFailed = hasFailed
        pthread_mutex_init(lock, nil)
        pthread_cond_init(arrives, nil)
    }

    /// Has a line written soon. Never waits for a reader.
    package func write(_ line: String) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        if startThread(), waiting.isEmpty || waiting.count + line.utf8.count <= maximum {
            waiting.append(contentsOf: line.utf8)
        } else {
            dropped += 1
        }
        // Of what was dropped too: the count is written.
        pthread_cond_signal(arrives)
    }

    /// Whether no more than half of what may wait does: for those who write much and can wait with it.
    package var isHalfEmpty: Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return waiting.count <= maximum / 2
    }

    /// Waits until all is written, but not for a reader that does not come.
    package func finish(within milliseconds: Int) {
        for _ in 0..<milliseconds {
            pthread_mutex_lock(lock)
            let isDone = waiting.isEmpty && !isWriting && (dropped == 0 || !hasThread)
            pthread_mutex_unlock(lock)
            if isDone { return }
            usleep(1_000)
        }
    }

    /// False: no thread is to be had.
    private func startThread() -> Bool {
        if hasThread { return true }
        hasThread = NamedThread.detach(thread) { [self] in writeForEver() }
        return hasThread
    }

    private func writeForEver() -> Never {
        pthread_mutex_lock(lock)
        while true {
            while waiting.isEmpty && dropped == 0 { pthread_cond_wait(arrives, lock) }
            let bytes = waiting
            let lost = dropped
            waiting = []
            dropped = 0
            isWriting = true
            pthread_mutex_unlock(lock)
            let code = bytes.withUnsafeBytes { StandardStreams.write($0, to: descriptor) }
            if code != 0 { hasFailed(code) }
            if lost > 0 { tell(lost) }
            pthread_mutex_lock(lock)
            isWriting = false
        }
    }

    private func tell(_ lost: Int) {
        var line = StandardError.line(
            .warning, "\(lost) log lines were dropped here: standard error was not being read")
        line.withUTF8 { _ = StandardStreams.write(UnsafeRawBufferPointer($0), to: descriptor) }
    }
}
