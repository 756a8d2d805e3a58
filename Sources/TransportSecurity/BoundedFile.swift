internal import Glibc

/// Reads files of certificates, keys and names as a whole.
enum BoundedFile {
    /// - Parameter limit: bytes.
    /// - Throws: `.unreadable`, `.tooLarge`; `.malformed`: it is empty, and may not be.
    static func read(
        _ path: String, atMost limit: Int, mayBeEmpty: Bool = false
    ) throws(TLSError) -> [UInt8] {
        // A pipe that nobody writes to would be waited for.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { close(descriptor) }
        var found = stat()
        guard fstat(descriptor, &found) == 0 else { throw unreadable(path, errno) }
        guard found.st_mode & S_IFMT == S_IFREG else {
            throw TLSError(.unreadable, "\(path) cannot be read: it is not a regular file")
        }
        let tooLarge = TLSError(.tooLarge, "\(path) is larger than \(limit) bytes")
        guard Int(found.st_size) <= limit else { throw tooLarge }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count <= limit {
            let part = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, limit + 1 - count)
            }
            if part < 0, errno == EINTR { continue }
            guard part >= 0 else { throw unreadable(path, errno) }
            if part == 0 { break }
            count += part
        }
        // It may have grown meanwhile.
        guard count <= limit else { throw tooLarge }
        guard count > 0 || mayBeEmpty else { throw TLSError(.malformed, "\(path) is empty") }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    private static func unreadable(_ path: String, _ code: Int32) -> TLSError {
        TLSError(.unreadable, "\(path) cannot be read: \(String(cString: strerror(code)))")
    }
}

/// What tells whether a file is another one than before, without reading it.
struct FileStamp: Equatable, Sendable {
    private var device: UInt = 0
    private var inode: UInt = 0
    private var bytes = 0
    /// Nanoseconds of the last change to its content, and to its owner and mode.
    private var modified = 0
    private var changed = 0

    /// All zero: it is not there.
    init(of path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return }
        device = UInt(found.st_dev)
        inode = UInt(found.st_ino)
        bytes = Int(found.st_size)
        modified = found.st_mtim.tv_sec * 1_000_000_000 + found.st_mtim.tv_nsec
        changed = found.st_ctim.tv_sec * 1_000_000_000 + found.st_ctim.tv_nsec
    }
}
