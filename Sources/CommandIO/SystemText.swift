internal import Glibc

/// What the operating system said, as words that can end a sentence.
package enum SystemText {
    /// - Parameter code: a value of `errno`.
    package static func of(_ code: Int32) -> String {
        switch code {
        case ENOENT: "there is no such file or directory"
        case EACCES, EPERM: "this user may not do that"
        case EISDIR: "it is a directory"
        case ENOTDIR: "it, or a part of its path, is no directory"
        case ELOOP: "its symbolic links lead in a circle"
        case ENAMETOOLONG: "its name is too long"
        case ENOSPC: "the disk is full"
        case EDQUOT: "the disk quota is spent"
        case EFBIG: "it would be larger than is allowed"
        case EROFS: "the file system is read-only"
        case EIO: "the disk reports an error"
        case EMFILE, ENFILE: "too many files are open"
        case EBADF: "it is not open for that"
        case ENXIO: "nobody is at its other end"
        default: description(code)
        }
    }

    private static func description(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// A file that could not be read or written.
package struct FileFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package var path: String
    /// Words behind the file's name: "cannot be read: there is no such file or directory".
    package var reason: String

    init(_ path: String, _ what: String, _ code: Int32) {
        self.path = path
        reason = "cannot be \(what): \(SystemText.of(code))"
    }

    /// A sentence that names the file.
    package var description: String { "\(path) \(reason)" }
}
