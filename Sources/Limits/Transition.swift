/// The effects of one operation on a tenant and, where it names one, on a messaging profile: what a record holds.
///
/// `decide…` functions produce it, `apply` adds it. Live decisions, recovery, checkpoints and verification all go
/// through `apply`; it never evaluates a limit or a calendar.
@frozen public struct Transition: Sendable {
    /// Added to `TenantState.committed`; counts may be negative, a replaced provisional charge too.
    public var committed: Amounts
    /// Added to `TenantState.held`.
    public var held: Amounts
    /// Added to `ProfileState.committed` and `.held`.
    public var profileCommitted: Int64
    public var profileHeld: Int64
    public var events: EventSet
    /// Alerts, thresholds and limits reached, that are raised anew when they are due again.
    public var rearms: EventSet
    /// The profile's counters or latches change.
    public var touchesProfile: Bool

    @inlinable @inline(always) public init() {
        committed = Amounts()
        held = Amounts()
        profileCommitted = 0
        profileHeld = 0
        events = []
        rearms = []
        touchesProfile = false
    }

    /// Whether applying it would change nothing.
    @inlinable @inline(always) public var isEmpty: Bool {
        committed.isEmpty && held.isEmpty && !touchesProfile && events.isEmpty
    }

    /// Takes events in; those of a profile are remembered by its latches.
    @inlinable @inline(always) public mutating func raise(_ raised: EventSet) {
        events.formUnion(raised)
        if !raised.isDisjoint(with: .profileAlerts) { touchesProfile = true }
    }

    /// Adds the effects. Windows were opened before. Mutating only so that the transition is not copied. Complexity: O(1).
    ///
    /// Asserts, also in release, that no counter becomes negative.
    @inlinable @inline(always)
    public mutating func apply(to tenant: inout TenantState, _ profile: inout ProfileState) {
        tenant.version &+= 1
        if !committed.isEmpty {
            committed.forEachResource { resource in
                let total = tenant.committed[resource] + committed[resource]
                precondition(total >= 0, "committed below zero")
                tenant.committed[resource] = total
            }
        }
        if !held.isEmpty {
            held.forEachResource { resource in
                let total = tenant.held[resource] + held[resource]
                precondition(total >= 0, "held below zero")
                tenant.held[resource] = total
            }
        }
        if touchesProfile {
            profile.committed += profileCommitted
            profile.held += profileHeld
            precondition(profile.committed >= 0 && profile.held >= 0, "profile below zero")
        }
        if !events.isEmpty { latch(&tenant, &profile) }
    }

    /// What the events change: latches of the windows that are open, and the status.
    @usableFromInline @inline(never)
    func latch(_ tenant: inout TenantState, _ profile: inout ProfileState) {
        let thresholds = events.thresholds
        let reached = events.reached
        let refusals = events.refusals
        tenant.thresholdRaised |= thresholds.rawValue &>> 1
        tenant.reachedRaised |= reached.rawValue &>> 1
        tenant.refusalRaised |= refusals.rawValue &>> 1
        if thresholds.contains(.profileDailySpend) { profile.thresholdRaised = true }
        if reached.contains(.profileDailySpend) { profile.reachedRaised = true }
        if refusals.contains(.profileDailySpend) { profile.refusalRaised = true }
        if events.contains(.suspended) {
            tenant.status = .suspended
            tenant.suspendedByUsage = !committed.isEmpty
        }
        guard events.contains(.reinstated) else { return }
        tenant.status = .active
        tenant.thresholdRaised &= ~(rearms.thresholds.rawValue &>> 1)
        tenant.reachedRaised &= ~(rearms.reached.rawValue &>> 1)
        if rearms.thresholds.contains(.profileDailySpend) { profile.thresholdRaised = false }
        if rearms.reached.contains(.profileDailySpend) { profile.reachedRaised = false }
    }
}
