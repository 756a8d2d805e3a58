internal import Glibc

/// A file that somebody names: regular, or a pipe, or "-" for standard input.
package enum InputFile {
    package static let standardInput = "-"

    /// All bytes of a file.
    ///
    /// - Parameter maximum: more is not read.
    /// - Returns: nil: it is longer than that.
    package static func read(_ path: String, atMost maximum: Int) throws(FileFailure) -> [UInt8]? {
        guard path != standardInput else {
            return try read(STDIN_FILENO, "standard input", maximum)
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFailure(path, "read", errno) }
        defer { close(descriptor) }
        return try read(descriptor, path, maximum)
    }

    private static func read(
        _ descriptor: Int32, _ name: String, _ maximum: Int
    ) throws(FileFailure) -> [UInt8]? {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw FileFailure(name, "read", errno) }
            if count == 0 { return bytes }
            guard bytes.count + count <= maximum else { return nil }
            bytes += piece[..<count]
        }
    }
}
