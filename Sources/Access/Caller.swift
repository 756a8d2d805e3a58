package import Limits

/// Who makes a request, and what they may do.
package struct Caller: Sendable, Equatable {
    package enum Scope: String, Sendable, Codable, CaseIterable {
        /// Everything.
        case `operator`
        /// The data plane.
        case check
        /// Reads its own tenant's usage.
        case tenant
    }

    /// The number of the access token, for the records: `Record.caller`; 0: nobody was asked who they are.
    package var number: UInt64
    /// The token's name, for the audit log.
    package var name: String
    package var scope: Scope
    /// The tenants that it is for; nil: all.
    package var tenants: Set<Identifier>?

    package init(number: UInt64, name: String, scope: Scope, tenants: Set<Identifier>? = nil) {
        self.number = number
        self.name = name
        self.scope = scope
        self.tenants = tenants
    }

    /// Whoever calls a service without a check (`--insecure-no-auth`).
    package static let anyone = Caller(number: 0, name: "", scope: .operator)

    package var isOperator: Bool { scope == .operator }

    private func covers(_ tenant: String) -> Bool {
        tenants?.contains(Identifier(tenant)) ?? true
    }

    /// Whether it may reserve, commit, release, extend and record for a tenant.
    package func mayCharge(_ tenant: String) -> Bool { scope != .tenant && covers(tenant) }

    /// Whether it may read a tenant's usage.
    package func mayRead(_ tenant: String) -> Bool { covers(tenant) }
}
