/// Why certificates, keys or lists cannot be taken: one sentence that names the file.
package struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// It is not there, or may not be read, or is no file.
        case unreadable
        /// It is larger than is read.
        case tooLarge
        /// It does not hold what is expected in it.
        case malformed
        /// The private key is encrypted.
        case encrypted
        /// A certificate is not valid at this time.
        case notValidNow
        /// The parts do not belong together.
        case mismatched
    }

    package let code: Code
    package let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
