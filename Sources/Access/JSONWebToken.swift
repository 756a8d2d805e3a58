import Foundation

/// A value of a claim.
enum ClaimValue: Sendable, Equatable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([ClaimValue])
    case object([String: ClaimValue])

    /// What `JSONSerialization` makes of JSON.
    fileprivate init(_ value: Any) {
        switch value {
        case let text as String: self = .text(text)
        case let list as [Any]: self = .list(list.map { ClaimValue($0) })
        case let members as [String: Any]: self = .object(members.mapValues { ClaimValue($0) })
        case let number as NSNumber:
            // Numbers are none of C's `char`, which stands for true and false.
            let isFlag = number.objCType.pointee == CChar(bitPattern: UInt8(ascii: "c"))
            self = isFlag ? .flag(number.boolValue) : .number(number.doubleValue)
        default: self = .null
        }
    }

    /// The members of an object in JSON; nil: it is none.
    ///
    /// `JSONDecoder` would try one type after another, and for bytes that somebody has chosen spend most of its time on
    /// errors.
    fileprivate static func members(_ bytes: Data) -> [String: ClaimValue]? {
        let object = try? JSONSerialization.jsonObject(with: bytes)
        return (object as? [String: Any])?.mapValues { ClaimValue($0) }
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

/// What a part of a token may hold, looked at before anything is made of it: reading it costs no more than this many
/// values at this depth do, whoever wrote it.
enum JSONBounds {
    static let depth = 8
    /// Room for `Issuer.maximumTenants` and as many others.
    static let values = 512

    /// False: it holds more. Whatever else it is, it may not even be JSON.
    static func hold(_ bytes: Data) -> Bool {
        var (depth, values) = (0, 1)
        var (isText, isEscaped) = (false, false)
        for byte in bytes {
            // UTF-16 and UTF-32, which a decoder would take: they count otherwise.
            if byte == 0 { return false }
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isText = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: ","): values += 1
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                values += 1
                depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: continue
            }
            guard depth <= Self.depth, values <= Self.values else { return false }
        }
        return true
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
            JSONBounds.hold(headerBytes), JSONBounds.hold(payload),
            let header = try? JSONDecoder().decode(Header.self, from: headerBytes),
            header.crit == nil,
            let claims = ClaimValue.members(payload)
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
