import Crypto
import Foundation
import JSON
package import Limits

/// Who else may say who a caller is: an identity provider whose web tokens are taken.
package struct Issuer: Sendable, Equatable {
    /// Where its public keys (a JSON Web Key Set) are.
    package enum KeySource: Sendable, Equatable {
        case file(String)
        /// https, or http on this machine.
        case url(String)
    }

    /// `iss`, to the letter.
    package var name: String
    /// One of these is in `aud`. At least one.
    package var audiences: [String]
    package var keys: KeySource
    package var algorithms: Set<SignatureAlgorithm>
    /// Names of claims; see `JSONWebToken.value`.
    package var scopeClaim: String
    package var tenantClaim: String
    /// What stands before our names in the scope claim; whatever has other names is passed over.
    package var scopePrefix: String
    /// What it may let its callers do: others in its tokens are passed over.
    package var scopes: Scopes
    /// Callers of scope check without the tenant claim are for all tenants, not refused.
    package var mayNameNoTenant: Bool
    /// How far its clock may be from ours, seconds.
    package var leeway: Double
    /// Between two looks at its keys, seconds.
    package var refresh: Int64
    /// Calls a second of each of its callers; nil: as the service's setting says.
    package var rate: Int?
    /// `jti`s that are not taken though they are good.
    package var deniedTokens: Set<String>

    package init(
        name: String, audiences: [String], keys: KeySource,
        algorithms: Set<SignatureAlgorithm> = Set(SignatureAlgorithm.allCases),
        scopeClaim: String = "scope", tenantClaim: String = "tenants", scopePrefix: String = "",
        scopes: Scopes, mayNameNoTenant: Bool = false, leeway: Double = 60,
        refresh: Int64 = 600, rate: Int? = nil, deniedTokens: Set<String> = []
    ) {
        self.name = name
        self.audiences = audiences
        self.keys = keys
        self.algorithms = algorithms
        self.scopeClaim = scopeClaim
        self.tenantClaim = tenantClaim
        self.scopePrefix = scopePrefix
        self.scopes = scopes
        self.mayNameNoTenant = mayNameNoTenant
        self.leeway = leeway
        self.refresh = refresh
        self.rate = rate
        self.deniedTokens = deniedTokens
    }

    /// How long what was found out about a token is believed at most, seconds.
    static let longestLife: Double = 3_600
    /// Tenants that one token may name; one that names more is nobody's.
    static let maximumTenants = 256

    /// What a token says, its signature apart.
    ///
    /// - Parameter now: Unix seconds.
    /// - Returns: who its bearer is, and until when that is believed (Unix seconds).
    func judge(
        _ token: JSONWebToken, now: Double
    ) -> Result<(caller: Caller, until: Double), AttemptFailure> {
        guard token.text("iss").map({ $0.utf8.elementsEqual(name.utf8) }) ?? false else {
            return .failure(.unknownIssuer)
        }
        guard let named = token.claims["aud"]?.texts, named.contains(where: audiences.contains)
        else { return .failure(.wrongAudience) }
        // Without an end it would be good for ever.
        guard let end = token.date("exp"), !end.isNaN else { return .failure(.malformedToken) }
        guard now < end + leeway else { return .failure(.expiredToken) }
        for claim in ["nbf", "iat"] {
            guard let begin = token.date(claim) else { continue }
            guard now + leeway >= begin else { return .failure(.notYetValid) }
        }
        if let id = token.text("jti"), deniedTokens.contains(id) { return .failure(.deniedToken) }
        let scopes = scopes(of: token)
        guard !scopes.isEmpty else { return .failure(.noScope) }
        var tenants: Set<Identifier>?
        if let value = token.value(tenantClaim), value != .null {
            guard let ids = value.texts, !ids.isEmpty, ids.count <= Self.maximumTenants else {
                return .failure(.noTenant)
            }
            tenants = Set(ids.map { Identifier($0) })
        } else if !scopes.isDisjoint(with: .ofTenants), !mayNameNoTenant {
            return .failure(.noTenant)
        }
        guard scopes.fault(tenants: tenants?.count) == nil else { return .failure(.noTenant) }
        let caller = Caller(
            number: CallerNumber.of("jwt", name, token.text("sub") ?? ""), name: title(of: token),
            scopes: scopes, tenants: tenants)
        return .success((caller, min(end + leeway, now + Self.longestLife)))
    }

    /// A list, or a text with spaces (RFC 8693, 4.2).
    private func scopes(of token: JSONWebToken) -> Scopes {
        let texts = token.value(scopeClaim)?.texts ?? []
        let names = texts.flatMap { $0.split(separator: " ") }.compactMap { name in
            name.hasPrefix(scopePrefix) ? String(name.dropFirst(scopePrefix.count)) : nil
        }
        return Scopes(names: names).intersection(scopes)
    }

    private func title(of token: JSONWebToken) -> String {
        let subject = CallerName.shown(token.text("sub") ?? "somebody", bytes: 128)
        return "\(subject) (\(CallerName.shown(name, bytes: 128)))"
    }
}

/// What a client's certificate lets its owner do.
package struct CertificateRule: Sendable, Equatable {
    /// A DNS name or a URI of the certificate; a URI may end in "/*", which stands for whatever follows. Compared by
    /// bytes, DNS names without regard to case.
    package var name: String
    package var scopes: Scopes
    /// nil: all.
    package var tenants: Set<Identifier>?
    package var rate: Int?

    package init(
        name: String, scopes: Scopes, tenants: Set<Identifier>? = nil, rate: Int? = nil
    ) {
        self.name = name
        self.scopes = scopes
        self.tenants = tenants
        self.rate = rate
    }

    var isURI: Bool { name.contains("://") }

    /// Who has a certificate with such a name.
    func caller(_ name: String) -> Caller {
        Caller(
            number: CallerNumber.of("certificate", name),
            name: CallerName.shown(name, bytes: 256), scopes: scopes, tenants: tenants)
    }
}

/// Who is known by others' word: issuers of web tokens, and names in certificates.
package struct Identities: Sendable, Equatable {
    package var issuers: [Issuer]
    package var certificates: [CertificateRule]

    package init(issuers: [Issuer] = [], certificates: [CertificateRule] = []) {
        self.issuers = issuers
        self.certificates = certificates
    }
}

/// What records call those who have no access token: the same for the same names, on every machine.
enum CallerNumber {
    static func of(_ parts: String...) -> UInt64 {
        var hash = SHA256()
        for part in parts {
            hash.update(data: Data(part.utf8))
            hash.update(data: [0])
        }
        let number = hash.finalize().prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // 0 is nobody.
        return max(1, number)
    }
}

/// What logs, tables and the page call those whose name somebody else has chosen.
enum CallerName {
    /// A name without what would not be seen, or would be seen elsewhere: control characters, line separators, and those
    /// that turn the direction of writing are a "?" each.
    ///
    /// - Parameter bytes: of UTF-8 at most; what is longer is cut.
    static func shown(_ name: String, bytes: Int) -> String {
        var shown = ""
        var count = 0
        for scalar in name.unicodeScalars {
            let scalar = isSeen(scalar) ? scalar : "?"
            count += UTF8.width(scalar)
            guard count <= bytes else { break }
            shown.unicodeScalars.append(scalar)
        }
        return shown
    }

    private static func isSeen(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
