internal import CLinux
internal import CommandIO
internal import Foundation
internal import Glibc

/// The program that this process was started from, to be run again from the same path, where another release may be by
/// then.
struct ProgramImage: Sendable {
    /// Absolute; symbolic links are not resolved.
    let path: String
    /// Including the program's name.
    let arguments: [String]
    /// Without the variables that `PassedDescriptors` has removed.
    let environment: [String: String]

    /// How many descriptors, from 3 up, no file or socket of this process gets: those that are passed on take these
    /// numbers, and no event loop may be using one of them.
    static let reserved: Int32 = 4

    /// The nice value of the thread that the program begins on: the thread that runs it again may have another.
    private static let niceness = linux_niceness()

    /// Must be called first, before anything is opened: reserves the numbers, and notes the nice value. Descriptors
    /// that were passed are kept.
    static func reserveDescriptors() {
        _ = niceness
        for descriptor in PassedDescriptors.first..<PassedDescriptors.first + reserved
        where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
            // Takes the lowest free number: this one.
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }

    /// The running program. Must be created at start: for an upgrade, the path leads to another file later.
    ///
    /// - Parameter environment: the environment to run the program again with.
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
        // The first argument may be anything.
        if let candidate = candidates.first(where: isRunning) { return candidate }
        let path = try? FileManager.default.destinationOfSymbolicLink(atPath: running)
        // There is another file at that path by now.
        return path.map { $0.hasSuffix(gone) ? String($0.dropLast(gone.count)) : $0 } ?? running
    }

    /// What the system appends to the path of a file that has been replaced.
    private static let gone = " (deleted)"

    private static func isRunning(_ path: String) -> Bool {
        FileInode(path).map { $0 == FileInode(running) } ?? false
    }

    /// Runs the program in place of this one, in the same process. Descriptors that are not passed are closed.
    ///
    /// Signals that arrive from here on stay pending for it: nobody takes them (`ProcessSignals.leave`).
    ///
    /// - Parameter passed: the descriptors that it gets, by name, in the way systemd passes sockets.
    /// - Returns: only on failure: `errno`.
    func replaceProcess(passing passed: [(name: String, descriptor: Int32)]) -> Int32 {
        precondition(passed.count <= Int(Self.reserved))
        // Copies first: the target of one may be the number of another.
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

/// Strings as C expects them: a list that ends with NULL.
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

/// Identifies the file that a path leads to, whatever its name.
struct FileInode: Equatable {
    private let device: dev_t
    private let inode: ino_t

    /// nil: there is no such file; see `errno`.
    init?(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        (device, inode) = (found.st_dev, found.st_ino)
    }
}
