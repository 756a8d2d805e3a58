internal import CommandIO

/// The bytes of a limits file, read and not understood yet.
package struct LimitsSource: Sendable {
    /// As the caller named it.
    package let file: String
    /// FNV-1a of the bytes, 16 hexadecimal digits: any change of the file changes it.
    package let contentHash: String
    private let bytes: [UInt8]

    /// - Parameter path: absolute, or relative to the working directory; of a pipe too; "-": standard input.
    /// - Throws: `LimitsFileError` in one sentence.
    package init(path: String) throws(LimitsFileError) {
        let read: [UInt8]?
        do {
            read = try InputFile.read(path, atMost: LimitsFile.maximumBytes)
        } catch {
            throw LimitsFileError(file: path, sentence: "The file \(error.reason)")
        }
        guard let read else {
            throw LimitsFileError(
                file: path,
                sentence: "The file is larger than \(LimitsFile.maximumBytes >> 20) MiB")
        }
        file = path
        bytes = read
        contentHash = LimitsFile.hash(of: read)
    }

    /// What the file says.
    ///
    /// - Throws: `LimitsFileError` with every problem found, in file order.
    /// - Complexity: O(*n*) in the number of bytes.
    package func parse() throws(LimitsFileError) -> LimitsFile {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw LimitsFileError(file: file, sentence: "The file is not valid UTF-8")
        }
        var limits = try LimitsFile.parse(text, file: file)
        limits.contentHash = contentHash
        return limits
    }
}
