package import Limits

/// Who makes a request, and what they may do.
package struct Caller: Sendable, Equatable {
    /// The names of what callers may be let do; see `Scopes`.
    package enum Scope: String, Sendable, Codable, CaseIterable {
        case admin, `operator`, viewer, reports, check, tenant, metrics
    }

    /// What records call the caller (`Record.caller`); 0: nobody was asked who they are.
    package var number: UInt64
    /// For the audit log: the token's name, or who it is by its issuer's or its certificate's word.
    package var name: String
    package var scopes: Scopes
    /// The tenants that it is for; nil: all.
    package var tenants: Set<Identifier>?

    package init(
        number: UInt64, name: String, scopes: Scopes, tenants: Set<Identifier>? = nil
    ) {
        self.number = number
        self.name = name
        self.scopes = scopes
        self.tenants = tenants
    }

    /// - Parameter scope: by itself; see `Scopes.init(alone:)`.
    package init(number: UInt64, name: String, scope: Scope, tenants: Set<Identifier>? = nil) {
        self.init(number: number, name: name, scopes: Scopes(alone: scope), tenants: tenants)
    }

    /// Whoever calls a service without a check (`--insecure-no-auth`).
    package static let anyone = Caller(number: 0, name: "", scope: .operator)

    package func may(_ right: Right) -> Bool { !scopes.isDisjoint(with: right.scopes) }

    package var isOperator: Bool { scopes.contains(.operator) }

    /// Whether what its tenant's operator has set is not its business (semantics §6).
    package var isTenants: Bool { scopes.contains(.tenant) }

    private func covers(_ tenant: String) -> Bool {
        tenants?.contains(Identifier(tenant)) ?? true
    }

    /// Whether it may reserve, commit, release, extend and record for a tenant.
    package func mayCharge(_ tenant: String) -> Bool { may(.charge) && covers(tenant) }

    /// Whether it may read a tenant's usage.
    package func mayRead(_ tenant: String) -> Bool { covers(tenant) }
}
