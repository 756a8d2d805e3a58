internal import CLinux
internal import CommandIO
internal import Foundation
internal import Glibc

/// The program of this process as it was started, to be run once more from the same place: by then another release may lie
/// there.
struct ProgramImage: Sendable {
    /// Absolute, with its symbolic links as they are.
    let path: String
    /// With the program's name in front.
    let arguments: [String]
    /// Without what `PassedDescriptors` has taken from it.
    let environment: [String: String]

    /// Descriptors from 3 on that no file or socket of this process gets: those that are passed on take their numbers, and
    /// nobody's event loop may be behind one of them.
    static let reserved: Int32 = 4

    /// The rank (nice) of the thread that the program begins on: the one that runs it again may have another.
    private static let niceness = linux_niceness()

    /// The first thing that a service does, before anything is opened: keeps the numbers, and knows its rank. What was passed
    /// stays.
    static func reserveDescriptors() {
        _ = niceness
        for descriptor in PassedDescriptors.first..<PassedDescriptors.first + reserved
        where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
            // The lowest that is free: this one.
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }

    /// What runs now. To be asked at the start: a path that leads elsewhere later is what an upgrade wants.
    ///
    /// - Parameter environment: what the program is to have when it is run again.
    init(environment: [String: String]) {
        arguments = CommandLine.arguments
        self.environment = environment
        path = Self.place(of: arguments.first ?? "")
    }

    private static let running = "/proc/self/exe"

    private static func place(of name: String) -> String {
        let here = FileManager.default.currentDirectoryPath
        let candidates: [String]
        if name.contains("/") {
            candidates = [name.hasPrefix("/") ? name : "\(here)/\(name)"]
        } else {
            let path = EnvironmentVariables.all["PATH"] ?? ""
            candidates = path.split(separator: ":").map { directory in
                directory.hasPrefix("/") ? "\(directory)/\(name)" : "\(here)/\(directory)/\(name)"
            }
        }
        // Whoever started it may have called it anything.
        if let candidate = candidates.first(where: isRunning) { return candidate }
        let path = try? FileManager.default.destinationOfSymbolicLink(atPath: running)
        // Another file lies there by now.
        return path.map { $0.hasSuffix(gone) ? String($0.dropLast(gone.count)) : $0 } ?? running
    }

    /// What the system puts behind the path of a file that has been replaced.
    private static let gone = " (deleted)"

    private static func isRunning(_ path: String) -> Bool {
        FileInode(path).map { $0 == FileInode(running) } ?? false
    }

    /// Runs the program in the place of this one, in the same process. Descriptors that are not passed are closed.
    ///
    /// Signals that come from here on wait for it: nobody takes them (`ProcessSignals.leave`).
    ///
    /// - Parameter passed: what it gets as systemd passes sockets, by name.
    /// - Returns: only if that fails: `errno`.
    func replaceProcess(passing passed: [(name: String, descriptor: Int32)]) -> Int32 {
        precondition(passed.count <= Int(Self.reserved))
        // Copies first: one's place may be another's number.
        let beyond = PassedDescriptors.first + Self.reserved
        let copies = passed.map { fcntl($0.descriptor, F_DUPFD_CLOEXEC, beyond) }
        for (index, copy) in copies.enumerated() {
            guard copy >= 0, dup2(copy, PassedDescriptors.first + Int32(index)) >= 0 else {
                return errno
            }
        }
        closeOthersOnExec(from: PassedDescriptors.first + Int32(passed.count))
        ProcessSignals.setMask()
        linux_be_nice(Self.niceness)
        let variables = PassedDescriptors.variables(names: passed.map(\.name), process: getpid())
        let environment = self.environment.merging(variables) { $1 }
        return CStrings.with(arguments) { arguments in
            CStrings.with(environment.map { "\($0)=\($1)" }) { environment in
                execve(path, arguments, environment)
                return errno
            }
        }
    }

    private func closeOthersOnExec(from first: Int32) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in names.compactMap({ Int32($0) }) where descriptor >= first {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }
}

/// Texts as C takes them: a list that ends with NULL.
enum CStrings {
    static func with<Result>(
        _ texts: [String],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        var list = pointers + [nil]
        return list.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("it is never empty") }
            return body(base)
        }
    }
}

/// Which file a path leads to, whatever it is called.
struct FileInode: Equatable {
    private let device: dev_t
    private let inode: ino_t

    /// nil: it leads nowhere; `errno`.
    init?(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        (device, inode) = (found.st_dev, found.st_ino)
    }
}
