import Engine
import Limits

/// An access token as it is kept: a setting of the service in the journal. The secret itself is kept nowhere.
package struct AccessToken: Sendable, Equatable, Codable {
    /// A UUID.
    package var id: String
    package var name: String
    /// The scope that says most. Of a token that has no list, which all were once, the only one.
    package var scope: Caller.Scope
    /// Empty: all tenants.
    package var tenantIDs: [String]
    /// SHA-256 of the secret, base64.
    package var hash: String
    /// Unix milliseconds.
    package var createdAt: Int64
    /// nil: never.
    package var expiresAt: Int64?
    /// Calls a second, within `CallRate.range`; nil: as the service's setting says.
    package var rate: Int?
    /// The names of its scopes; nil: what `scope` stands for by itself.
    private var scopeNames: [String]?

    package static let settingPrefix = "token/"
    /// When tokens were last used: a setting for each, Unix minutes.
    package static let usePrefix = "token-use/"

    private enum CodingKeys: String, CodingKey {
        case id, name, scope, tenantIDs, hash, createdAt, expiresAt, rate
        case scopeNames = "scopes"
    }

    package init(
        id: String, name: String, scopes: Scopes, tenantIDs: [String], hash: String,
        createdAt: Int64, expiresAt: Int64?, rate: Int? = nil
    ) {
        self.id = id
        self.name = name
        scope = scopes.first ?? .tenant
        scopeNames = scopes.names
        self.tenantIDs = tenantIDs
        self.hash = hash
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.rate = rate
    }

    /// - Parameter scope: by itself; see `Scopes.init(alone:)`.
    package init(
        id: String, name: String, scope: Caller.Scope, tenantIDs: [String], hash: String,
        createdAt: Int64, expiresAt: Int64?
    ) {
        self.init(
            id: id, name: name, scopes: Scopes(alone: scope), tenantIDs: tenantIDs, hash: hash,
            createdAt: createdAt, expiresAt: expiresAt)
    }

    package var scopes: Scopes { scopeNames.map { Scopes(names: $0) } ?? Scopes(alone: scope) }

    /// The first eight bytes of the id: what records call the token.
    package var number: UInt64 { UInt64(id.filter { $0 != "-" }.prefix(16), radix: 16) ?? 0 }

    package var caller: Caller {
        Caller(
            number: number, name: name, scopes: scopes,
            tenants: tenantIDs.isEmpty ? nil : Set(tenantIDs.map { Identifier($0) }))
    }
}
