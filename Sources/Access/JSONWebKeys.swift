import Crypto
import CryptoExtras
import Foundation
import JSON

/// How a web token may be signed (RFC 7518, RFC 8037): with a private key that its issuer alone has. `none` is no name,
/// and neither are the names of shared secrets.
package enum SignatureAlgorithm: String, Sendable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case edDSA = "EdDSA"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"

    fileprivate var kind: VerificationKey.Kind {
        switch self {
        case .es256: .p256
        case .es384: .p384
        case .es512: .p521
        case .edDSA: .ed25519
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
        }
    }
}

/// A public key of an issuer. Its kind says what signatures it can have made: no token's word changes that.
package struct VerificationKey: Sendable {
    fileprivate enum Kind { case p256, p384, p521, ed25519, rsa }

    private enum Key: Sendable {
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
        case rsa(_RSA.Signing.PublicKey)
    }

    private let key: Key
    /// The only algorithm that the issuer uses it with; nil: any of its kind.
    private let algorithm: SignatureAlgorithm?

    private var kind: Kind {
        switch key {
        case .p256: .p256
        case .p384: .p384
        case .p521: .p521
        case .ed25519: .ed25519
        case .rsa: .rsa
        }
    }

    func fits(_ algorithm: SignatureAlgorithm) -> Bool {
        algorithm.kind == kind && (self.algorithm ?? algorithm) == algorithm
    }

    /// - Precondition: `fits(algorithm)`.
    /// - Complexity: some 20 to 200 µs.
    func verifies(
        _ signature: Data, of content: Data, _ algorithm: SignatureAlgorithm
    ) -> Bool {
        switch key {
        case .p256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: SHA256.hash(data: content))
        case .p384(let key):
            guard let signature = try? P384.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: SHA384.hash(data: content))
        case .p521(let key):
            guard let signature = try? P521.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(signature, for: SHA512.hash(data: content))
        case .ed25519(let key): return key.isValidSignature(signature, for: content)
        case .rsa(let key):
            let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
            switch algorithm {
            case .rs256:
                return key.isValidSignature(
                    signature, for: SHA256.hash(data: content), padding: .insecurePKCS1v1_5)
            case .rs384:
                return key.isValidSignature(
                    signature, for: SHA384.hash(data: content), padding: .insecurePKCS1v1_5)
            case .rs512:
                return key.isValidSignature(
                    signature, for: SHA512.hash(data: content), padding: .insecurePKCS1v1_5)
            case .ps256:
                return key.isValidSignature(
                    signature, for: SHA256.hash(data: content), padding: .PSS)
            case .ps384:
                return key.isValidSignature(
                    signature, for: SHA384.hash(data: content), padding: .PSS)
            case .ps512:
                return key.isValidSignature(
                    signature, for: SHA512.hash(data: content), padding: .PSS)
            case .es256, .es384, .es512, .edDSA: return false
            }
        }
    }

    /// nil: a key of another use, of another kind, or a weak one.
    fileprivate init?(_ entry: JSONWebKeys.Entry) {
        guard entry.use ?? "sig" == "sig", entry.operations?.contains("verify") ?? true else {
            return nil
        }
        if let name = entry.alg {
            guard let algorithm = SignatureAlgorithm(rawValue: name) else { return nil }
            self.algorithm = algorithm
        } else {
            algorithm = nil
        }
        guard let key = Self.key(entry) else { return nil }
        self.key = key
        guard let algorithm else { return }
        guard algorithm.kind == kind else { return nil }
    }

    private static func key(_ entry: JSONWebKeys.Entry) -> Key? {
        switch (entry.kty, entry.crv) {
        case ("EC", let curve?):
            guard let x = Base64URL.decode(entry.x), let y = Base64URL.decode(entry.y) else {
                return nil
            }
            let point = [0x04] + x + y
            return switch curve {
            case "P-256":
                (try? P256.Signing.PublicKey(x963Representation: point)).map { .p256($0) }
            case "P-384":
                (try? P384.Signing.PublicKey(x963Representation: point)).map { .p384($0) }
            case "P-521":
                (try? P521.Signing.PublicKey(x963Representation: point)).map { .p521($0) }
            default: nil
            }
        case ("OKP", "Ed25519"):
            guard let x = Base64URL.decode(entry.x) else { return nil }
            return (try? Curve25519.Signing.PublicKey(rawRepresentation: x)).map { .ed25519($0) }
        case ("RSA", _):
            // From 2048 bits, which the library sees to; a longer one than 4096 would take too long.
            guard let n = Base64URL.decode(entry.n), let e = Base64URL.decode(entry.e),
                n.count <= 513, e.count <= 4, let key = try? _RSA.Signing.PublicKey(n: n, e: e)
            else { return nil }
            return .rsa(key)
        default: return nil
        }
    }
}

/// The public keys of an issuer (RFC 7517).
package struct JSONWebKeys: Sendable {
    /// Bytes of a document; a longer one is not read.
    package static let maximumBytes = 256 << 10
    /// Keys that are used; more are passed over.
    package static let maximumKeys = 100

    fileprivate struct Entry: Decodable {
        var kty: String
        var kid: String?
        var use: String?
        var alg: String?
        var operations: [String]?
        var crv: String?
        var x: String?
        var y: String?
        var n: String?
        var e: String?

        private enum CodingKeys: String, CodingKey {
            case kty, kid, use, alg, crv, x, y, n, e
            case operations = "key_ops"
        }
    }

    private let keys: [(id: String?, key: VerificationKey)]
    /// Of the document that they are from.
    let digest: SHA256Digest

    package var count: Int { keys.count }

    /// - Throws: `JSONWebKeysError`: it is no such document, or no key in it can be used.
    package init(_ bytes: some Collection<UInt8>) throws(JSONWebKeysError) {
        guard bytes.count <= Self.maximumBytes else {
            throw JSONWebKeysError("longer than \(Self.maximumBytes) bytes")
        }
        guard let listed = (try? JSONParser.parse(Array(bytes)))?["keys"]?.array else {
            throw JSONWebKeysError("not a JSON Web Key Set (an object with an array \"keys\")")
        }
        digest = SHA256.hash(data: Data(bytes))
        // The list may hold what nobody knows.
        let entries = listed.compactMap { try? $0.decoded(as: Entry.self) }
        keys = entries.prefix(Self.maximumKeys).compactMap { entry in
            VerificationKey(entry).map { (entry.kid, $0) }
        }
        if keys.isEmpty {
            throw JSONWebKeysError(
                "no usable key: EC (P-256, P-384, P-521), Ed25519, or RSA of 2048 to 4096 bits"
            )
        }
    }

    /// The key of a token; nil: there is none, or it is not clear which.
    ///
    /// - Parameter id: the token's `kid`; nil: it names none, which is enough where one key alone fits.
    package func key(_ id: String?, for algorithm: SignatureAlgorithm) -> VerificationKey? {
        let found = keys.filter { key in
            key.key.fits(algorithm) && (id == nil || key.id == id || key.id == nil)
        }
        if let id, let exact = found.first(where: { $0.id == id }) { return exact.key }
        return found.count == 1 ? found.first?.key : nil
    }
}

package struct JSONWebKeysError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// RFC 4648, section 5, without padding.
enum Base64URL {
    /// nil: it is not, or there is none.
    static func decode(_ text: (some StringProtocol)?) -> Data? {
        guard let text, !text.isEmpty else { return nil }
        var standard: [UInt8] = []
        standard.reserveCapacity(text.utf8.count + 3)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "-"): standard.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): standard.append(UInt8(ascii: "/"))
            case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
            default: standard.append(byte)
            }
        }
        while standard.count % 4 != 0 { standard.append(UInt8(ascii: "=")) }
        return Data(base64Encoded: Data(standard))
    }
}
