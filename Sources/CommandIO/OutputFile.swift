internal import Glibc

/// A file that somebody names to be written as a whole.
///
/// A regular file is replaced: it has the old content or the new one, whatever happens, and keeps its mode and owner.
/// Through symbolic links it is what they lead to that is replaced. What is no regular file, has more than one name, or
/// stands where no second file may be made, is written in place.
package struct OutputFile {
    /// Standard output.
    package static let standardOutput = "-"

    private let path: String
    /// Of a file that does not exist yet, before the process's mask; of one that exists its own, unless `isModeForced`.
    private let mode: mode_t
    private let isModeForced: Bool

    /// - Parameter mode: of the file afterwards; nil: that of the present one, else 0666 less the process's mask.
    package init(_ path: String, mode: UInt32? = nil) {
        self.path = path
        self.mode = mode ?? 0o666
        isModeForced = mode != nil
    }

    /// Whether the name stands for what this process prints to: "-", or /dev/stdout and the like.
    package var isStandardOutput: Bool {
        if path == Self.standardOutput { return true }
        guard let named = Self.status(path) else { return false }
        var printed = stat()
        return fstat(STDOUT_FILENO, &printed) == 0 && printed.st_dev == named.st_dev
            && printed.st_ino == named.st_ino
    }

    package func write(_ text: String) throws(FileFailure) {
        let bytes = Array(text.utf8)
        let present = Self.status(path)
        if let present, present.st_mode & S_IFMT != S_IFREG || present.st_nlink != 1 {
            return try writeInPlace(bytes)
        }
        guard let target = Self.resolved(path) else { throw FileFailure(path, "written", ELOOP) }
        // A name of /proc leads to what no other name does.
        if let present, !Self.isSame(present, Self.status(target)) {
            return try writeInPlace(bytes)
        }
        try replace(target, bytes, like: present)
    }

    // MARK: Names

    /// What stat says of what a name leads to; nil: nothing is there, or it cannot be seen.
    private static func status(_ path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }

    private static func isSame(_ one: stat, _ other: stat?) -> Bool {
        one.st_dev == other?.st_dev && one.st_ino == other?.st_ino
    }

    /// Where the symbolic links at the end of a path lead, whether something is there or not; nil: in a circle.
    private static func resolved(_ path: String) -> String? {
        var path = path
        for _ in 0..<40 {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(path, &buffer, buffer.count)
            // No link, or nothing at all.
            if count < 0 { return path }
            let link = String(
                decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
            path = link.hasPrefix("/") ? link : directory(of: path) + link
        }
        return nil
    }

    /// Up to and with the last "/"; empty: the working directory.
    private static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    // MARK: Writing

    private func writeInPlace(_ bytes: [UInt8]) throws(FileFailure) {
        let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw FileFailure(path, "written", errno) }
        try finish(descriptor, bytes, syncs: false)
    }

    /// Writes everything and closes.
    private func finish(_ descriptor: Int32, _ bytes: [UInt8], syncs: Bool) throws(FileFailure) {
        var code = bytes.withUnsafeBytes { StandardStreams.write($0, to: descriptor) }
        if code == 0, syncs, fsync(descriptor) != 0 { code = errno }
        if close(descriptor) != 0, code == 0 { code = errno }
        if code != 0 { throw FileFailure(path, "written", code) }
    }

    private func replace(_ target: String, _ bytes: [UInt8], like present: stat?)
        throws(FileFailure)
    {
        let new = "\(target).\(getpid()).tmp"
        // A descriptor, or -1. Nobody else may read it before it has its mode.
        let descriptor = open(
            new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, present == nil ? mode : 0o600)
        guard descriptor >= 0 else {
            let code = errno
            // There is a file, and none beside it may be made: a directory of somebody else, a mounted file.
            guard present != nil, [EACCES, EPERM, EROFS, ENAMETOOLONG].contains(code) else {
                throw FileFailure(path, "written", code)
            }
            return try writeInPlace(bytes)
        }
        var isKept = false
        defer { if !isKept { unlink(new) } }
        if let present {
            var made = stat()
            let keepsOwner =
                fstat(descriptor, &made) == 0
                && (made.st_uid == present.st_uid && made.st_gid == present.st_gid
                    || fchown(descriptor, present.st_uid, present.st_gid) == 0)
            let wanted = isModeForced ? mode : present.st_mode & 0o7777
            guard keepsOwner, fchmod(descriptor, wanted) == 0 else {
                close(descriptor)
                return try writeInPlace(bytes)
            }
        }
        try finish(descriptor, bytes, syncs: true)
        guard rename(new, target) == 0 else {
            let code = errno
            // Something is mounted on it.
            guard code == EBUSY || code == EXDEV else { throw FileFailure(path, "written", code) }
            return try writeInPlace(bytes)
        }
        isKept = true
    }
}
