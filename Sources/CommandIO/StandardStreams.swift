// The one place that writes to standard output and standard error. `print` and `FileHandle` are not used elsewhere: the
// one says nothing of a full disk, the other ends the process when nobody reads any more.
internal import Glibc
internal import Synchronization
internal import Threads

package enum StandardStreams {
    /// The first thing that a process does, before any thread or descriptor is made.
    ///
    /// Where one of the descriptors 0, 1 and 2 is closed it stands for /dev/null from now on: else the next file or
    /// socket that is opened would take the number, and what is printed would go there. A reader that went away, and a
    /// file that may not grow, are errors of the write from now on, not the end of the process.
    ///
    /// - Parameter program: what stands in front of each sentence on standard error.
    package static func prepare(program: String) {
        for descriptor: Int32 in 0...2
        where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
            // The lowest number that is free: this one. Without /dev/null anything that cannot be written holds it.
            if open("/dev/null", O_RDWR) < 0 { _ = open("/", O_RDONLY) }
        }
        // SIG_ERR only for a number that is no signal.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        StandardError.program.withLock { $0 = program }
    }

    /// Writes everything; 0, or why not (`errno`).
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count > 0 {
                done += count
                continue
            }
            switch count == 0 ? EIO : errno {
            case EINTR: continue
            case EAGAIN:
                // Whoever shares the descriptor has made it non-blocking.
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wait, 1, -1)
            case let code: return code
            }
        }
        return 0
    }
}

/// Results. Lines appear at once on a terminal, and in larger pieces elsewhere; `exitStatus` writes what is left.
///
/// A reader that goes away early (`| head -1`) ends the output without a word, and a command's work goes on; any other
/// failure is told once, and makes the exit status 70.
///
/// Thread safety: any thread.
package enum StandardOutput {
    private struct State {
        var buffer: [UInt8] = []
        var isUnread = false
        var hasFailed = false
    }

    private static let state = Mutex(State())
    private static let isTerminal = isatty(STDOUT_FILENO) == 1
    private static let pieceBytes = 64 << 10
    /// sysexits.h has no better word for it: EX_SOFTWARE, "anything else".
    private static let failureStatus: Int32 = 70

    /// A line, or several.
    package static func print(_ text: String) { write(text + "\n") }

    package static func write(_ text: String) {
        let failure = state.withLock { state in
            if state.isUnread || state.hasFailed { return Int32(0) }
            state.buffer.append(contentsOf: text.utf8)
            guard isTerminal || state.buffer.count >= pieceBytes else { return 0 }
            return flush(&state)
        }
        tell(failure)
    }

    private static let announcements = BackgroundLines(STDOUT_FILENO, thread: .readyLine) { code in
        if code != EPIPE { tell(code) }
    }

    /// A line for somebody who waits for it, but not the other way round: a thread of its own writes it, at once. If it
    /// cannot be written that is told, and is no failure of the process.
    package static func announce(_ line: String) { announcements.write(line + "\n") }

    /// Waits for what was announced, a second at most. Before the process ends.
    static func finishAnnouncements() { announcements.finish(within: 1_000) }

    /// Writes what stands in the buffer, for somebody who waits for it.
    package static func flush() { tell(state.withLock { flush(&$0) }) }

    private static func flush(_ state: inout State) -> Int32 {
        let code = state.buffer.withUnsafeBytes {
            StandardStreams.write($0, to: STDOUT_FILENO)
        }
        state.buffer.removeAll(keepingCapacity: true)
        switch code {
        case 0: break
        case EPIPE: state.isUnread = true
        default: state.hasFailed = true
        }
        return code == EPIPE ? 0 : code
    }

    private static func tell(_ code: Int32) {
        guard code != 0 else { return }
        StandardError.print("standard output cannot be written: \(SystemText.of(code))")
    }

    /// Whether nothing that is printed arrives any more.
    package static var isOver: Bool { state.withLock { $0.isUnread || $0.hasFailed } }

    /// Writes what is left, and says how the process ends: as told, or 70 if the output is not whole.
    package static func exitStatus(_ status: Int32) -> Int32 {
        flush()
        return state.withLock { $0.hasFailed } ? failureStatus : status
    }

    /// For commands that do nothing but print, for as long as somebody reads: ends the process as soon as nobody does,
    /// also while there is nothing to print.
    package static func endWhenOver() {
        if isOver { exit(exitStatus(0)) }
    }

    /// Ends the process when the reader of a pipe or a terminal goes away, also while there is nothing to print.
    ///
    /// Costs a thread.
    package static func endWhenUnread() {
        // Where no thread is to be had, the next write finds out.
        NamedThread.detach(.reader) {
            var end = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            while poll(&end, 1, -1) < 0 && errno == EINTR {}
            if end.revents & Int16(POLLERR | POLLHUP) != 0 { exit(0) }
        }
    }
}

/// Sentences for the person at the terminal. What cannot be written there is lost: there is nobody left to tell.
///
/// Thread safety: any thread.
package enum StandardError {
    /// How bad it is.
    package enum Severity: Sendable { case warning, error }

    static let program = Mutex("tollgate")
    private static let isInBackground = Mutex(false)
    private static let format = Mutex<(@Sendable (Severity, String) -> String)?>(nil)

    /// Has all further sentences written another way than with the program's name in front: for a service whose log is
    /// read by machines.
    ///
    /// - Parameter line: makes a line, with its end, of a sentence.
    package static func write(as line: @escaping @Sendable (Severity, String) -> String) {
        format.withLock { $0 = line }
    }

    /// Has all further sentences written by a thread of their own (`BackgroundLines`): for a service, which nobody who
    /// stops reading may hold up.
    package static func writeInBackground() { isInBackground.withLock { $0 = true } }

    /// Waits for what is in the background, a second at most. Before the process ends.
    package static func finish() {
        if isInBackground.withLock({ $0 }) {
            BackgroundLines.standardError.finish(within: 1_000)
        }
    }

    /// A sentence, with the program's name in front.
    package static func print(_ text: String, _ severity: Severity = .error) {
        write(line(severity, text))
    }

    static func line(_ severity: Severity, _ text: String) -> String {
        format.withLock { $0 }?(severity, text) ?? "\(program.withLock { $0 }): \(text)\n"
    }

    package static func write(_ text: String) {
        if isInBackground.withLock({ $0 }) {
            BackgroundLines.standardError.write(text)
            return
        }
        // What was printed before stands before it.
        StandardOutput.flush()
        var text = text
        text.withUTF8 { _ = StandardStreams.write(UnsafeRawBufferPointer($0), to: STDERR_FILENO) }
    }
}
