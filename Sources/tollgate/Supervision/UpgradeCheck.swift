internal import CLinux
internal import Glibc
internal import Threads

/// Runs a new program's own check (`serve --check`) beside the service: whether it could start with these settings,
/// files and data. Bounded in time and output; it gets none of the service's descriptors.
///
/// Thread safety: `run` once, on a thread that may block; `cancel` from any.
final class UpgradeCheck: Sendable {
    enum Outcome: Sendable, Equatable {
        case passed
        /// Why, in words.
        case failed(String)
    }

    /// Bytes of its output that are kept.
    private static let longestText = 4_096
    /// The most reads of its output after it has ended.
    private static let mostLooks = 64

    private let program: ProgramImage
    private let service: RunningService
    private let timeoutMilliseconds: Int64
    /// A pipe; a byte in it ends the check.
    private let cancellation: (read: Int32, write: Int32)

    init(_ program: ProgramImage, for service: RunningService, timeoutMilliseconds: Int64) {
        self.program = program
        self.service = service
        self.timeoutMilliseconds = timeoutMilliseconds
        cancellation = Self.pipe() ?? (-1, -1)
    }

    deinit {
        for descriptor in [cancellation.read, cancellation.write] { close(descriptor) }
    }

    func cancel() { _ = write(cancellation.write, [UInt8(1)], 1) }

    func run() -> Outcome {
        // The parent may have made the service ignore SIGCHLD: then nobody could wait for a child.
        signal(SIGCHLD, SIG_DFL)
        guard let output = Self.pipe() else { return .failed("no file descriptors are left") }
        defer { close(output.read) }
        var child: pid_t = 0
        let code = spawn(&child, output: output.write)
        close(output.write)
        guard code == 0 else {
            return .failed("\(program.path) cannot be run: \(String(cString: strerror(code)))")
        }
        let handle = linux_open_process(child)
        defer { if handle >= 0 { close(handle) } }
        return outcome(of: child, handle, output.read)
    }

    private func spawn(_ child: inout pid_t, output: Int32) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for descriptor: Int32 in 1...2 {
            posix_spawn_file_actions_adddup2(&actions, output, descriptor)
        }
        linux_close_from(&actions, 3)
        var (none, usual) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigemptyset(&usual)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGPIPE, SIGXFSZ] {
            sigaddset(&usual, number)
        }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        // A process group of its own: it can be killed as a whole, and signals to the service's group do not reach it.
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var environment = program.environment.filter { variable in
            !SupervisorNotices.variables.contains(variable.key)
        }
        environment[RunningService.variable] = service.text
        return CStrings.with(program.arguments + ["--check"]) { arguments in
            CStrings.with(environment.map { "\($0)=\($1)" }) { environment in
                posix_spawn(&child, program.path, &actions, &attributes, arguments, environment)
            }
        }
    }

    /// - Parameter handle: readable when the child has ended; negative: the system does not provide one.
    private func outcome(of child: pid_t, _ handle: Int32, _ output: Int32) -> Outcome {
        let deadline = linux_monotonic_nanoseconds() + timeoutMilliseconds * 1_000_000
        var text: [UInt8] = []
        var isOpen = true
        while true {
            var status: Int32 = 0
            if waitpid(child, &status, WNOHANG) == child {
                // Processes that it leaves behind may go on writing.
                for _ in 0..<Self.mostLooks where isOpen {
                    isOpen = Self.take(output, &text, waits: false)
                }
                return Self.outcome(status, text)
            }
            let left = (deadline - linux_monotonic_nanoseconds()) / 1_000_000
            guard left > 0 else {
                end(child)
                return .failed("its check did not finish within \(timeoutMilliseconds / 1_000) s")
            }
            var events = [
                pollfd(fd: handle, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation.read, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isOpen ? output : -1, events: Int16(POLLIN), revents: 0),
            ]
            poll(&events, nfds_t(events.count), Int32(handle < 0 ? min(left, 20) : left))
            if events[1].revents != 0 {
                end(child)
                return .failed("the service is stopping")
            }
            if events[2].revents != 0 { isOpen = Self.take(output, &text, waits: true) }
        }
    }

    /// Kills the child. One that waits for a disk may take long to end: another thread waits for it.
    private func end(_ child: pid_t) {
        kill(-child, SIGKILL)
        let hasEnded = waitpid(child, nil, WNOHANG) == child
        if !hasEnded, !NamedThread.detach(.upgrade, { waitpid(child, nil, 0) }) {
            waitpid(child, nil, 0)
        }
    }

    /// Reads what is available, and drops what exceeds the bound.
    ///
    /// - Parameter waits: there is something to read; false: there may be nothing.
    /// - Returns: false: there is no more, or nothing for now.
    private static func take(_ output: Int32, _ text: inout [UInt8], waits: Bool) -> Bool {
        if !waits {
            var event = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&event, 1, 0) > 0 else { return false }
        }
        var bytes = [UInt8](repeating: 0, count: longestText)
        let count = read(output, &bytes, bytes.count)
        guard count > 0 else { return count < 0 && errno == EINTR }
        text += bytes.prefix(min(count, longestText - text.count))
        return true
    }

    private static func outcome(_ status: Int32, _ text: [UInt8]) -> Outcome {
        let signal = status & 0x7f
        if signal == 0, status == 0 { return .passed }
        let said = String(decoding: text, as: UTF8.self)
            .split(whereSeparator: \.isNewline).joined(separator: "; ")
        if signal != 0 {
            let words = "its check was killed by signal \(signal)"
            return .failed(said.isEmpty ? words : "\(words): \(said)")
        }
        return .failed(said.isEmpty ? "its check exited with status \(status >> 8)" : said)
    }

    private static func pipe() -> (read: Int32, write: Int32)? {
        var ends: [Int32] = [-1, -1]
        return linux_pipe(&ends) == 0 ? (ends[0], ends[1]) : nil
    }
}
