import Foundation

/// A value of a claim.
enum ClaimValue: Sendable, Equatable, Decodable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([ClaimValue])
    case object([String: ClaimValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let list = try? container.decode([ClaimValue].self) {
            self = .list(list)
        } else {
            self = .object(try container.decode([String: ClaimValue].self))
        }
    }

    /// A text, or a list of texts; nil: something else.
    var texts: [String]? {
        switch self {
        case .text(let text): return [text]
        case .list(let values):
            var texts: [String] = []
            for value in values {
                guard case .text(let text) = value else { return nil }
                texts.append(text)
            }
            return texts
        default: return nil
        }
    }
}

/// A signed token (RFC 7519 in RFC 7515's compact form), taken apart and not believed yet.
struct JSONWebToken {
    private struct Header: Decodable {
        var alg: String
        var kid: String?
        /// Names what must be understood: nothing of it is.
        var crit: [String]?
    }

    /// As it stands there.
    let algorithmName: String
    let keyID: String?
    let claims: [String: ClaimValue]
    let signature: Data
    /// What was signed.
    let content: Data

    /// Bytes; a longer one is nobody's.
    static let maximumBytes = 4 << 10

    /// Whether a secret may be meant as one: three parts with dots between them.
    static func isLike(_ secret: some StringProtocol) -> Bool {
        secret.utf8.count(where: { $0 == UInt8(ascii: ".") }) == 2
    }

    /// nil: it is none, or a part of it cannot be read.
    init?(_ text: String) {
        guard text.utf8.count <= Self.maximumBytes else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = Base64URL.decode(parts[0]),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]),
            let header = try? JSONDecoder().decode(Header.self, from: headerBytes),
            header.crit == nil,
            let claims = try? JSONDecoder().decode([String: ClaimValue].self, from: payload)
        else { return nil }
        algorithmName = header.alg
        keyID = header.kid
        self.claims = claims
        self.signature = signature
        content = Data("\(parts[0]).\(parts[1])".utf8)
    }

    func text(_ name: String) -> String? {
        if case .text(let text) = claims[name] { text } else { nil }
    }

    /// Seconds since 1970; nil: there is none. NaN: it is none.
    func date(_ name: String) -> Double? {
        switch claims[name] {
        case nil: nil
        case .number(let seconds) where seconds.isFinite: seconds
        default: .nan
        }
    }

    /// A claim by its name, or by the names on the way to it with dots between them.
    func value(_ path: String) -> ClaimValue? {
        if let value = claims[path] { return value }
        var value = ClaimValue.object(claims)
        for name in path.split(separator: ".") {
            guard case .object(let members) = value, let member = members[String(name)] else {
                return nil
            }
            value = member
        }
        return value
    }
}
