import Limits
import Reservations

/// All tenants and messaging profiles as they stand at one place of the journal.
///
/// Records take effect as in recovery (`Lane.replay`): windows, amounts and events are the record's; nothing is
/// decided again.
///
/// 136 bytes for each tenant, 56 for each profile.
struct StateFold {
    struct Profile {
        var state: ProfileState
        /// The owner's number; `.max`: there is no such profile.
        var tenant: UInt32
    }

    /// What a configuration change says, as far as states depend on it.
    enum Policy {
        case none
        case tenant(TenantPolicy)
        case profile(ProfilePolicy)
    }

    enum Outcome: Equatable {
        case applied
        /// A second copy.
        case known
        /// A record of this tenant that comes before it is missing so far.
        case early
        case contradiction(String)
    }

    /// By number; version 0: there is no such tenant.
    private(set) var tenants: ContiguousArray<TenantState> = []
    private(set) var profiles: ContiguousArray<Profile> = []
    /// Tenant and profile in front of the latest record that opened a window: what it was that ended.
    private(set) var ended = Decide.Subjects()
    let rules = LimitRules()
    /// Numbers above are a contradiction.
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
    mutating func apply(_ record: borrowing Record, _ policy: Policy) -> Outcome {
        if record.kind == .tenantCreated { return create(record, policy) }
        guard let present = tenant(record.tenant) else { return .early }
        if record.version <= present.version { return .known }
        if record.version > present.version + 1 { return .early }
        var subjects = Decide.Subjects()
        subjects.tenant = present
        if let number = record.profile {
            if record.kind == .profileCreated {
                var state = ProfileState()
                state.closed = true
                guard profile(number) == nil,
                    restore(Profile(state: state, tenant: record.tenant), profile: number)
                else { return .contradiction("profile \(number) cannot be made") }
            }
            guard let profile = profile(number), profile.tenant == record.tenant else {
                return .contradiction("profile \(number) is not the tenant's")
            }
            subjects.profile = profile.state
            subjects.hasProfile = true
        }
        let opensDay = record.openedDay != 0
        let opensCycle = record.openedCycleEnd != 0
        let moves = record.kind == .windowsMoved
        if !moves, opensDay || opensCycle { ended = subjects }
        if moves, opensCycle {
            subjects.tenant.cycleStart = record.openedCycleStart
            subjects.tenant.cycleEnd = record.openedCycleEnd
        } else if opensCycle {
            subjects.tenant.openCycle(
                start: record.openedCycleStart, end: record.openedCycleEnd, rules)
        }
        if subjects.hasProfile {
            subjects.profile.follow(percentEpoch: subjects.tenant.percentEpoch)
            if moves, opensDay {
                subjects.profile.dayStart = record.openedDay
            } else if opensDay {
                subjects.profile.openDay(record.openedDay)
            }
        }
        var transition = record.transition
        guard transition.fits(subjects) else {
            return .contradiction("its totals leave their range")
        }
        switch (record.kind, policy) {
        case (.tenantChanged, .tenant(let policy)): Lane.apply(policy, to: &subjects.tenant)
        case (.profileCreated, .profile(let policy)), (.profileChanged, .profile(let policy)):
            Lane.apply(policy, to: &subjects.profile)
        case (.tenantChanged, _), (.profileCreated, _), (.profileChanged, _):
            return .contradiction("its settings are missing")
        case (.tenantClosed, _): subjects.tenant.status = .closed
        case (.profileClosed, _): subjects.profile.closed = true
        default: break
        }
        transition.apply(to: &subjects.tenant, &subjects.profile)
        tenants[Int(record.tenant)] = subjects.tenant
        if let number = record.profile, transition.touchesProfile || opensDay {
            profiles[Int(number)].state = subjects.profile
        }
        return .applied
    }

    private mutating func create(_ record: borrowing Record, _ policy: Policy) -> Outcome {
        if tenant(record.tenant) != nil { return .known }
        guard case .tenant(let policy) = policy else {
            return .contradiction("its settings are missing")
        }
        var state = TenantState()
        state.version = 1
        Lane.apply(policy, to: &state)
        state.cycleStart = record.openedCycleStart
        state.cycleEnd = record.openedCycleEnd
        return restore(state, tenant: record.tenant)
            ? .applied : .contradiction("more tenants than the table has room for")
    }
}
