internal import Glibc

/// What the operating system said, as words that can end a sentence.
package enum SystemText {
    /// - Parameter code: a value of `errno`.
    package static func of(_ code: Int32) -> String {
        switch code {
        case ENOENT: "no such file or directory"
        case EACCES, EPERM: "permission denied"
        case EISDIR: "it is a directory"
        case ENOTDIR: "a component of the path is not a directory"
        case ELOOP: "too many levels of symbolic links"
        case ENAMETOOLONG: "the file name is too long"
        case ENOSPC: "the disk is full"
        case EDQUOT: "the disk quota is exceeded"
        case EFBIG: "the file is too large"
        case EROFS: "the file system is read-only"
        case EIO: "input/output error"
        case EMFILE, ENFILE: "too many open files"
        case EBADF: "it is not open for this operation"
        case ENXIO: "no process is reading from it"
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
