import Limits

/// All tenants and profiles as they stand at one place of the journal.
///
/// Records take effect as in recovery: `Decide.Subjects.replay`.
///
/// 272 bytes for each tenant, 56 for each profile.
struct StateFold {
    struct Profile {
        var state: ProfileState
        /// The owner's number; `.max`: there is no such profile.
        var tenant: UInt32
    }

    /// By number; version 0: there is no such tenant.
    private(set) var tenants: ContiguousArray<TenantState> = []
    private(set) var profiles: ContiguousArray<Profile> = []
    /// Tenant and profile in front of the latest record that opened a window: what it was that ended.
    private(set) var ended = Decide.Subjects()
    let rules = LimitRules.standard
    /// Numbers above are corrupt.
    private let mostTenants: Int
    private let mostProfiles: Int

    init(mostTenants: Int, mostProfiles: Int) {
        self.mostTenants = mostTenants
        self.mostProfiles = mostProfiles
    }

    /// nil: there is no such tenant.
    func tenant(_ number: UInt32) -> TenantState? {
        guard Int(number) < tenants.count, tenants[Int(number)].version != 0 else { return nil }
        return tenants[Int(number)]
    }

    /// nil: there is no such profile.
    func profile(_ number: UInt32) -> Profile? {
        guard Int(number) < profiles.count, profiles[Int(number)].tenant != .max else {
            return nil
        }
        return profiles[Int(number)]
    }

    /// Takes a tenant over as it stood. False: its number is out of bounds.
    mutating func restore(_ state: TenantState, tenant number: UInt32) -> Bool {
        let index = Int(number)
        guard index < mostTenants else { return false }
        while tenants.count <= index { tenants.append(TenantState()) }
        tenants[index] = state
        return true
    }

    mutating func restore(_ profile: Profile, profile number: UInt32) -> Bool {
        let index = Int(number)
        guard index < mostProfiles else { return false }
        while profiles.count <= index {
            profiles.append(Profile(state: ProfileState(), tenant: .max))
        }
        profiles[index] = profile
        return true
    }

    /// Takes a record up. O(1).
    mutating func apply(_ record: borrowing Record, _ policy: PolicyChange) -> Replayed {
        let present = tenant(record.tenant)
        switch record.order(after: present?.version ?? 0) {
        case .duplicate: return .duplicate
        case .outOfOrder: return .outOfOrder
        case .next: break
        }
        guard let present else { return create(record, policy) }
        var subjects = Decide.Subjects()
        subjects.tenant = present
        if let number = record.profile {
            let isNew = record.kind == .profileCreated
            if isNew && profile(number) != nil {
                return .corrupt("profile \(number) is created twice")
            }
            guard
                let profile = isNew
                    ? Profile(state: .unmade, tenant: record.tenant) : profile(number),
                profile.tenant == record.tenant
            else { return .corrupt("profile \(number) is not the tenant's") }
            subjects.profile = profile.state
            subjects.hasProfile = true
        }
        var transition = record.transition
        let fault = subjects.replay(record, &transition, policy, rules) { ended = copy $0 }
        if let fault { return .corrupt(fault) }
        let openedDay = record.openedDay != 0
        let changesProfile = transition.touchesProfile || openedDay
        if let number = record.profile, changesProfile {
            let profile = Profile(state: subjects.profile, tenant: record.tenant)
            guard restore(profile, profile: number) else {
                return .corrupt("more profiles than the table has room for")
            }
        }
        tenants[Int(record.tenant)] = subjects.tenant
        return .applied
    }

    private mutating func create(
        _ record: borrowing Record, _ policy: PolicyChange
    ) -> Replayed {
        guard case .tenant(let policy) = policy else {
            return .corrupt("its settings are missing")
        }
        let state = TenantState(record, policy, rules)
        return restore(state, tenant: record.tenant)
            ? .applied : .corrupt("more tenants than the table holds: raise --max-tenants")
    }
}
