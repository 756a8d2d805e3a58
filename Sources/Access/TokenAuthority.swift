import Crypto
package import Engine
import Foundation
import Limits
import Synchronization

/// An access token as it is kept: a setting of the service in the journal. The secret itself is kept nowhere.
package struct AccessToken: Sendable, Equatable, Codable {
    /// A UUID.
    package var id: String
    package var name: String
    package var scope: Caller.Scope
    /// Empty: all tenants.
    package var tenantIDs: [String]
    /// SHA-256 of the secret, base64.
    package var hash: String
    /// Unix milliseconds.
    package var createdAt: Int64
    /// nil: never.
    package var expiresAt: Int64?

    package static let settingPrefix = "token/"

    package init(
        id: String, name: String, scope: Caller.Scope, tenantIDs: [String], hash: String,
        createdAt: Int64, expiresAt: Int64?
    ) {
        self.id = id
        self.name = name
        self.scope = scope
        self.tenantIDs = tenantIDs
        self.hash = hash
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }

    /// The first eight bytes of the id: what records call the token.
    package var number: UInt64 { UInt64(id.filter { $0 != "-" }.prefix(16), radix: 16) ?? 0 }

    package var caller: Caller {
        Caller(
            number: number, name: name, scope: scope,
            tenants: tenantIDs.isEmpty ? nil : Set(tenantIDs.map { Identifier($0) }))
    }
}

/// Knows who a bearer token stands for.
///
/// Thread safety: any thread. A token that was revoked is unknown to every call that starts after `revoke` has returned.
package final class TokenAuthority: Sendable {
    private struct Known {
        let caller: Caller
        let expiresAt: Int64?
    }

    private let engine: Engine
    /// What calls look up: held for no longer than that takes.
    private let known: Mutex<[String: Known]>
    /// Held by who creates or revokes, while the journal takes it.
    private let changing = Mutex(())
    private let changes = Atomic<UInt64>(1)
    /// Everybody may do everything (`--insecure-no-auth`).
    package let isOpen: Bool

    package init(_ engine: Engine, isOpen: Bool) throws {
        self.engine = engine
        self.isOpen = isOpen
        var known: [String: Known] = [:]
        for token in try Self.tokens(engine) {
            known[token.hash] = Known(caller: token.caller, expiresAt: token.expiresAt)
        }
        self.known = Mutex(known)
    }

    /// Rises with every change: what was found out under an earlier number may be wrong.
    package var generation: UInt64 { changes.load(ordering: .acquiring) }

    /// All tokens that were made and not revoked, oldest first.
    package var tokens: [AccessToken] {
        get throws { try Self.tokens(engine) }
    }

    private static func tokens(_ engine: Engine) throws -> [AccessToken] {
        try engine.settings(prefix: AccessToken.settingPrefix).values
            .map { try JSONDecoder().decode(AccessToken.self, from: Data($0.utf8)) }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    /// Who a value of `Authorization` stands for; nil: nobody. "Bearer SECRET", the scheme in any case.
    package func caller(authorization: String) -> Caller? {
        if isOpen { return .anyone }
        let parts = authorization.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return caller(secret: parts[1].trimmingCharacters(in: .whitespaces))
    }

    /// Who a secret stands for; nil: nobody. O(1), one SHA-256.
    package func caller(secret: String) -> Caller? { admission(secret: secret)?.caller }

    /// Who a secret stands for, and until when (Unix milliseconds; nil: for ever); nil: nobody. O(1), one SHA-256.
    package func admission(secret: String) -> (caller: Caller, expiresAt: Int64?)? {
        if isOpen { return (.anyone, nil) }
        let hash = Self.hash(secret)
        guard let found = known.withLock({ $0[hash] }) else { return nil }
        if let expiresAt = found.expiresAt, expiresAt <= engine.clock.now { return nil }
        return (found.caller, found.expiresAt)
    }

    /// Makes a token. The secret is returned once and cannot be had again.
    ///
    /// - Throws: `.conflict`: there is a token of this id.
    /// - Parameters:
    ///   - id: nil: makes one.
    ///   - tenantIDs: the tenants that it is for; empty: all. Of scope `tenant` exactly one.
    ///   - expiresAt: Unix milliseconds; nil: never.
    ///   - secret: one that `makeSecret` made; nil: makes one.
    package func create(
        id: String? = nil, name: String, scope: Caller.Scope, tenantIDs: [String],
        expiresAt: Int64? = nil, secret: String? = nil, by caller: UInt64 = 0
    ) throws(EngineError) -> (token: AccessToken, secret: String) {
        let secret = secret ?? Self.makeSecret()
        let token = AccessToken(
            id: id ?? UUID().uuidString.lowercased(), name: name, scope: scope,
            tenantIDs: tenantIDs, hash: Self.hash(secret), createdAt: engine.clock.now,
            expiresAt: expiresAt)
        guard let encoded = try? JSONEncoder().encode(token) else {
            throw EngineError(.invalid, "the token cannot be kept")
        }
        let setting = AccessToken.settingPrefix + token.id
        // One step: whoever finds the setting and revokes the token comes after it.
        try changing.withLock { (_) throws(EngineError) in
            // The one that is there would go on opening doors, and be in no list.
            guard engine.setting(setting) == nil else {
                throw EngineError(.conflict, "there is a token of this id")
            }
            try engine.setSetting(setting, String(decoding: encoded, as: UTF8.self), by: caller)
            known.withLock {
                $0[token.hash] = Known(caller: token.caller, expiresAt: token.expiresAt)
            }
        }
        changes.add(1, ordering: .acquiringAndReleasing)
        return (token, secret)
    }

    /// 256 random bits as a text that can stand in a header.
    package static func makeSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return "tg_"
            + Data(bytes).base64EncodedString().replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
    }

    /// Takes a token back. False: there is none with that id.
    package func revoke(_ id: String, by caller: UInt64 = 0) throws -> Bool {
        let isRevoked = try changing.withLock { _ in
            guard let token = try tokens.first(where: { $0.id == id }) else { return false }
            try engine.setSetting(AccessToken.settingPrefix + id, "", by: caller)
            known.withLock { $0[token.hash] = nil }
            return true
        }
        if isRevoked { changes.add(1, ordering: .acquiringAndReleasing) }
        return isRevoked
    }

    private static func hash(_ secret: String) -> String {
        Data(SHA256.hash(data: Data(secret.utf8))).base64EncodedString()
    }
}
