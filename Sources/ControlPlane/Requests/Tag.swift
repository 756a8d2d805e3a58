import Crypto
import Foundation

/// `ETag`s of resources that carry no number of their own.
enum Tag {
    /// A tag that changes with a text: 16 hexadecimal digits of its SHA-256.
    static func of(_ text: String) -> String {
        let digest = SHA256.hash(data: Data(text.utf8)).prefix(8)
        return "\""
            + digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            + "\""
    }
}
