internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import Glibc
internal import JSON
internal import Journal

/// `tollgate upgrade`
struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Switches a running service to the program that is now at its path.",
        discussion: """
            Install the new program at the path that the service was started from, then run this as \
            the service's user or as root, on the same machine. The new program checks the settings, \
            certificates, limits file and data directory. If the check passes, the service lets \
            running calls finish and runs the new program in the same process; callers wait, and none \
            is refused. If it fails, the old program keeps serving.

            Exit status: 0 upgraded, 64 invalid usage, 65 refused (the old program keeps serving), 69 \
            no such service, or the process has ended, 75 it is starting, stopping or already being \
            upgraded, or not ready within --timeout, 77 not permitted.
            """)

    @Option(help: .init("The service's data directory.", valueName: "dir"))
    var dataDir = "tollgate-data"

    @Option(help: .init("The service's process, instead of --data-dir.", valueName: "pid"))
    var pid: Int32?

    @Option(
        help: .init("How long to wait until the new program is ready.", valueName: "duration"))
    var timeout = "5m"

    @Flag(help: "Print one JSON object.") var json = false

    func validate() throws {
        _ = try wait()
        if let pid, pid <= 0 { throw ValidationError("--pid must be the number of a process.") }
    }

    private func wait() throws -> Duration {
        guard let time = DurationText.milliseconds(timeout), time > 0 else {
            throw ValidationError(
                "--timeout must be a duration like 30s or 5m, not \"\(timeout)\".")
        }
        return .milliseconds(time)
    }

    func run() throws {
        let wait = try wait()
        do throws(UpgradeFailure) {
            let process =
                if let pid { ServiceProcess(pid) } else { try ServiceProcess.using(dataDir) }
            let (entry, took) = try process.upgrade(within: wait)
            let seconds = Double(took / .milliseconds(1)) / 1_000
            StandardOutput.print(
                json
                    ? JSON.object([
                        ("pid", .integer(process.id)), ("version", .string(entry.version)),
                        ("seconds", .decimal(seconds)),
                    ]).text
                    : "process \(process.id) runs tollgate \(entry.version), ready after \(seconds) s"
            )
        } catch {
            StandardError.print(error.description)
            throw error.status.code
        }
    }
}

struct UpgradeFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

/// A process of `tollgate serve`, as seen by another process.
struct ServiceProcess {
    let id: pid_t

    init(_ id: pid_t) { self.id = id }

    /// The service that uses a directory.
    static func using(_ directory: String) throws(UpgradeFailure) -> ServiceProcess {
        let lock = "\(directory)/\(JournalFiles.lock)"
        guard let file = FileInode(lock) else {
            throw UpgradeFailure(
                errno == EACCES ? .notPermitted : .unavailable,
                "\(lock): \(SystemText.of(errno)); specify the service's data directory, or --pid")
        }
        guard let owner = SystemDisk.lastOwner(of: directory) else {
            throw UpgradeFailure(
                .unavailable, "\(lock) does not name a process; specify it with --pid")
        }
        let process = ServiceProcess(owner)
        guard try process.descriptors().contains(where: { FileInode($0) == file }) else {
            throw UpgradeFailure(.unavailable, "no service is using \(directory)")
        }
        return process
    }

    /// Makes it upgrade itself, and waits.
    ///
    /// - Returns: its state now, and how long that took.
    func upgrade(
        within time: Duration
    ) throws(UpgradeFailure) -> (UpgradeReport.Entry, Duration) {
        let report = try openReport()
        defer { close(report) }
        let began = ContinuousClock.now
        let before = try read(report)
        switch before.stage {
        case .ready, .refused: break
        case .starting:
            throw UpgradeFailure(.tryAgain, "process \(id) is still starting; try again later")
        case .checking, .leaving:
            throw UpgradeFailure(.tryAgain, "process \(id) is already being upgraded")
        case .stopping: throw UpgradeFailure(.tryAgain, "process \(id) is stopping")
        }
        guard kill(id, SIGUSR2) == 0 else { throw Self.noSignal(id, errno) }
        var looksAtNone = 0
        while true {
            if let now = UpgradeReport.read(report), now.attempt > before.attempt {
                switch now.stage {
                case .ready: return (now, .now - began)
                case .refused:
                    throw UpgradeFailure(
                        .refusedInput,
                        "the upgrade was refused; process \(id) keeps serving: \(now.detail)")
                case .stopping:
                    throw UpgradeFailure(
                        .unavailable, "process \(id) was stopped during the upgrade")
                case .starting, .checking, .leaving: break
                }
            }
            looksAtNone = hasEnded ? looksAtNone + 1 : 0
            if looksAtNone >= Self.certain {
                throw UpgradeFailure(.unavailable, "process \(id) has ended; its log says why")
            }
            guard .now - began < time else {
                throw UpgradeFailure(
                    .tryAgain,
                    """
                    process \(id) has not finished the upgrade within --timeout (state: \
                    \(UpgradeReport.read(report)?.stage.rawValue ?? before.stage.rawValue)); see its \
                    log
                    """)
            }
            usleep(Self.pause)
        }
    }

    /// Checks in a row that must find no process: when it switches to the new program, its first thread ends, and for a
    /// moment the system shows a process that has ended.
    private static let certain = 200
    /// The time between two checks, microseconds.
    private static let pause: UInt32 = 10_000

    private func read(_ report: Int32) throws(UpgradeFailure) -> UpgradeReport.Entry {
        // The report may be changing at that moment.
        for _ in 0..<100 {
            if let entry = UpgradeReport.read(report) { return entry }
            usleep(Self.pause)
        }
        throw UpgradeFailure(.unavailable, "process \(id) does not report its state")
    }

    private func openReport() throws(UpgradeFailure) -> Int32 {
        let name = "/memfd:\(UpgradeReport.name)"
        let files = FileManager.default
        let path = try descriptors().first { path in
            (try? files.destinationOfSymbolicLink(atPath: path))?.hasPrefix(name) ?? false
        }
        guard let path else {
            throw UpgradeFailure(
                .unavailable,
                "process \(id) is not a tollgate service, or can only be restarted")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.noSignal(id, errno) }
        return descriptor
    }

    /// The paths in /proc of its open descriptors.
    private func descriptors() throws(UpgradeFailure) -> [String] {
        let directory = "/proc/\(id)/fd"
        guard let stream = opendir(directory) else { throw Self.noSignal(id, errno) }
        defer { closedir(stream) }
        var paths: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { paths.append("\(directory)/\(name)") }
        }
        return paths
    }

    /// Gone, or a zombie.
    private var hasEnded: Bool {
        guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
            let state = text.lastIndex(of: ")").flatMap({ text[$0...].dropFirst(2).first })
        else { return true }
        return state == "Z" || state == "X"
    }

    private static func noSignal(_ id: pid_t, _ code: Int32) -> UpgradeFailure {
        switch code {
        case EPERM, EACCES:
            UpgradeFailure(
                .notPermitted,
                "process \(id) belongs to another user; run this as that user or as root")
        case ENOENT, ESRCH: UpgradeFailure(.unavailable, "there is no process \(id)")
        default: UpgradeFailure(.failure, "process \(id): \(SystemText.of(code))")
        }
    }
}
