/// What a caller may be let do, a bit each. `operator` and the others are names that tokens, identity providers and
/// certificates' rules use; what each opens is the table of `Right`.
package struct Scopes: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Access tokens and the service's own settings.
    package static let admin = Scopes(.admin)
    /// The daily work: tenants, profiles, limits, suspension; the data plane too.
    package static let `operator` = Scopes(.operator)
    /// Sees what operators see, changes nothing.
    package static let viewer = Scopes(.viewer)
    /// Usage, now and by day, of all tenants.
    package static let reports = Scopes(.reports)
    /// The data plane.
    package static let check = Scopes(.check)
    /// Reads its own tenant's usage, and nothing of the limits that its operator has set.
    package static let tenant = Scopes(.tenant)
    /// What the service counts about itself.
    package static let metrics = Scopes(.metrics)

    package init(_ scope: Caller.Scope) {
        // The order of the cases is kept nowhere: the names are.
        rawValue = 1 << UInt8(Caller.Scope.allCases.firstIndex(of: scope) ?? 0)
    }

    /// What one name by itself stands for, as it did before there were sets: `operator` is everything.
    package init(alone scope: Caller.Scope) {
        self = scope == .operator ? [.admin, .operator] : Scopes(scope)
    }

    /// The set of some names; of names that are none of ours nothing.
    package init(names: some Sequence<String>) {
        self.init(names.compactMap { Caller.Scope(rawValue: $0) }.map { Scopes($0) })
    }

    /// In the order of the names' list.
    package var list: [Caller.Scope] { Caller.Scope.allCases.filter { contains(Scopes($0)) } }

    package var names: [String] { list.map(\.rawValue) }

    /// The one name that says most, for readers who know one only; nil: the set is empty.
    package var first: Caller.Scope? {
        let order: [Caller.Scope] = [
            .operator, .admin, .check, .viewer, .reports, .tenant, .metrics,
        ]
        return order.first { contains(Scopes($0)) }
    }

    /// Those that are for some tenants, or for all.
    package static let ofTenants: Scopes = [.check, .tenant]

    /// Why a caller cannot have this set for some tenants; nil: it can.
    ///
    /// - Parameter tenants: how many it is for; nil: for all.
    package func fault(tenants: Int?) -> Fault? {
        if isEmpty { return .empty }
        if contains(.tenant), tenants != 1 { return .tenantNeedsOne }
        if tenants != nil, let scope = subtracting(.ofTenants).first {
            return .forEverything(scope)
        }
        return nil
    }

    package enum Fault: Sendable, Equatable {
        case empty
        case tenantNeedsOne
        case forEverything(Caller.Scope)

        /// "A token of …": for people.
        package func sentence(_ subject: String) -> String {
            switch self {
            case .empty: "\(subject) must have at least one scope"
            case .tenantNeedsOne: "\(subject) with scope tenant must have exactly one tenant"
            case .forEverything(let scope):
                "\(subject) with scope \(scope.rawValue) cannot be restricted to tenants"
            }
        }
    }
}

/// Sets of scopes that people have, by the names of what they are.
package enum Role: String, CaseIterable, Sendable {
    case owner, `operator`, viewer, billing

    package var scopes: Scopes {
        switch self {
        case .owner: [.admin, .operator]
        case .operator: .operator
        case .viewer: .viewer
        case .billing: [.viewer, .reports]
        }
    }
}

/// What there is to do. Every route of REST, every method of gRPC and the page ask for one of these.
package enum Right: UInt8, CaseIterable, Sendable {
    /// Reserve, settle and record usage, for the caller's tenants.
    case charge
    /// What a tenant uses now.
    case readUsage
    /// What a tenant used, by day.
    case readDays
    /// Messaging profiles and their daily limits.
    case readProfiles
    /// The changes of all tenants' usage as they happen.
    case watchEverything
    /// The usage of all tenants in one list.
    case readReports
    /// Tenants, defaults, reservations, events, deliveries, the audit log.
    case readConfiguration
    /// To whom alerts go.
    case readRecipients
    /// Change tenants, profiles, defaults and counts; suspend, reinstate; send alerts again.
    case change
    /// Access tokens, and to whom alerts go.
    case administer
    /// What the service counts about itself.
    case readStatistics
    /// Log in to the operator's page.
    case usePage

    /// The table: who may.
    package var scopes: Scopes {
        switch self {
        case .charge: [.operator, .check]
        case .readUsage: [.operator, .viewer, .reports, .check, .tenant]
        case .readDays: [.operator, .viewer, .reports, .tenant]
        case .readProfiles: [.operator, .viewer, .tenant]
        case .watchEverything: [.operator, .viewer]
        case .readReports: [.operator, .viewer, .reports]
        case .readConfiguration: [.operator, .viewer]
        case .readRecipients: [.admin, .operator, .viewer]
        case .change: .operator
        case .administer: .admin
        case .readStatistics: [.admin, .operator, .viewer, .metrics]
        case .usePage: [.operator, .viewer]
        }
    }
}

/// The rights of a set of scopes, a bit each: looked up once, asked often.
package struct Rights: Sendable, Hashable {
    private let bits: UInt16

    package init(_ scopes: Scopes) {
        bits = Right.allCases.filter { !scopes.isDisjoint(with: $0.scopes) }
            .reduce(0) { $0 | 1 << UInt16($1.rawValue) }
    }

    package func contains(_ right: Right) -> Bool { bits & 1 << UInt16(right.rawValue) != 0 }
}
