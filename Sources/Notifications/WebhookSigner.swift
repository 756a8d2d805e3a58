package import Crypto
import Foundation
import Glibc

/// Signs webhooks with Ed25519 (RFC 8032), in both of the forms that receivers know: the vendor's
/// (`telnyx-signature-ed25519` over `timestamp|body`) and Standard Webhooks 1.0 (`webhook-signature`, `v1a`, over
/// `id.timestamp.body`); and with HMAC-SHA256 for endpoints that have a secret (Standard Webhooks 1.0, `v1`).
package struct WebhookSigner: Sendable {
    private let key: Curve25519.Signing.PrivateKey
    /// The key was made just now: nobody knows it.
    package let isNew: Bool

    package struct KeyError: Error, CustomStringConvertible {
        package let description: String
    }

    /// Takes the key from a file, which is made if it is missing: base64 of the 32 bytes of the seed, for nobody else to
    /// read.
    ///
    /// - Throws: `KeyError`, a sentence that names the file.
    package init(file path: String) throws {
        if FileManager.default.fileExists(atPath: path) {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8),
                let bytes = Data(
                    base64Encoded: text.trimmingCharacters(in: .whitespacesAndNewlines)),
                let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: bytes)
            else {
                throw KeyError(
                    description: """
                        \(path) is not a key for webhooks (base64 of 32 bytes): restore it, or \
                        delete it to generate a new one; receivers then need the new public key
                        """)
            }
            self.key = key
            isNew = false
            return
        }
        isNew = true
        key = Curve25519.Signing.PrivateKey()
        try Self.write(key.rawRepresentation.base64EncodedString() + "\n", to: path)
    }

    /// Whole and durable, or not there: a key that was half written would be refused from then on.
    private static func write(_ text: String, to path: String) throws(KeyError) {
        let new = path + ".tmp"
        // 0, or -1 if it is not there.
        _ = unlink(new)
        // A descriptor, or -1: the directory is missing, full or not ours.
        let file = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path) }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        guard close(file) == 0, isWritten, rename(new, path) == 0 else { throw failure(path) }
        // The name is on disk when the directory is.
        let directory = open(
            URL(filePath: path).deletingLastPathComponent().path,
            O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure(path) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> KeyError {
        KeyError(description: "\(path) cannot be written: \(String(cString: strerror(errno)))")
    }

    /// A key that ends with the process.
    package init() {
        key = Curve25519.Signing.PrivateKey()
        isNew = true
    }

    /// - Parameter seed: 32 bytes.
    init(seed: [UInt8]) throws {
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        isNew = false
    }

    /// Base64 of 32 bytes.
    package var publicKey: String { key.publicKey.rawRepresentation.base64EncodedString() }

    /// A secret of the service's own for something else: the same as long as the key is, and it tells nothing of the key.
    ///
    /// - Parameter purpose: each has a secret of its own.
    package func secret(for purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: key.rawRepresentation),
            info: Data("tollgate \(purpose)".utf8), outputByteCount: 32)
    }

    /// The header fields of one attempt.
    ///
    /// - Parameters:
    ///   - id: the event's, the same for all attempts.
    ///   - timestamp: Unix seconds.
    ///   - secrets: of the endpoint, `whsec_...`; one that cannot be read signs nothing.
    package func headers(
        id: String, timestamp: Int64, body: String, secrets: [String] = []
    ) throws -> [(name: String, value: String)] {
        let vendor = try sign("\(timestamp)|\(body)")
        let signed = "\(id).\(timestamp).\(body)"
        let signatures =
            secrets.compactMap { Self.code(of: signed, $0) }.map { "v1," + $0 }
            + ["v1a," + (try sign(signed))]
        return [
            ("telnyx-signature-ed25519", vendor),
            ("telnyx-timestamp", "\(timestamp)"),
            ("webhook-id", id),
            ("webhook-timestamp", "\(timestamp)"),
            ("webhook-signature", signatures.joined(separator: " ")),
        ]
    }

    // MARK: Secrets

    private static let secretPrefix = "whsec_"

    /// A new secret of an endpoint: 32 random bytes.
    package static func newSecret() -> String {
        let key = SymmetricKey(size: .bits256)
        return secretPrefix + key.withUnsafeBytes { Data($0) }.base64EncodedString()
    }

    /// nil: the secret is none.
    private static func code(of text: String, _ secret: String) -> String? {
        guard secret.hasPrefix(secretPrefix),
            let key = Data(base64Encoded: String(secret.dropFirst(secretPrefix.count)))
        else { return nil }
        let code = HMAC<SHA256>.authenticationCode(
            for: Data(text.utf8), using: SymmetricKey(data: key))
        return Data(code).base64EncodedString()
    }

    private func sign(_ text: String) throws -> String {
        try key.signature(for: Data(text.utf8)).base64EncodedString()
    }
}
