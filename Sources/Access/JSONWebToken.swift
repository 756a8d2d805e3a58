import Foundation
import JSON

extension JSON {
    /// A text, or a list of texts; nil: something else.
    var texts: [String]? {
        if let string { return [string] }
        guard let array else { return nil }
        let texts = array.compactMap(\.string)
        return texts.count == array.count ? texts : nil
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
    let claims: JSON
    let signature: Data
    /// What was signed.
    let content: Data

    /// What a part may hold: values for `Issuer.maximumTenants` and as many others.
    static let bounds = JSONParser.Bounds(depth: 8, values: 512)
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
            let header = try? Self.parse(headerBytes).decoded(as: Header.self),
            header.crit == nil, let claims = try? Self.parse(payload), claims.members != nil
        else { return nil }
        algorithmName = header.alg
        keyID = header.kid
        self.claims = claims
        self.signature = signature
        content = Data("\(parts[0]).\(parts[1])".utf8)
    }

    private static func parse(_ part: Data) throws(JSONSyntaxError) -> JSON {
        try JSONParser.parse(Array(part), within: bounds)
    }

    func text(_ name: String) -> String? { claims[name]?.string }

    /// Seconds since 1970; nil: there is none. NaN: it is none.
    func date(_ name: String) -> Double? {
        guard let claim = claims[name] else { return nil }
        return claim.double.flatMap { $0.isFinite ? $0 : nil } ?? .nan
    }

    /// A claim by its name, or by the names on the way to it with dots between them.
    func value(_ path: String) -> JSON? {
        if let value = claims[path] { return value }
        return path.split(separator: ".").reduce(claims) { value, name in value?[String(name)] }
    }
}
