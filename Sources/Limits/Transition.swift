/// The effects of one operation on a tenant and, where it names one, on a profile: what a record holds.
///
/// `decide…` functions produce it, `apply` adds it. Live decisions, recovery, checkpoints and verification all go
/// through `apply`; it never evaluates a limit or a calendar.
@frozen public struct Transition: Sendable {
    /// Added to `TenantState.committed`; counts may be negative, a replaced provisional charge too.
    public var committed: CounterDeltas
    /// Added to `TenantState.held`.
    public var held: CounterDeltas
    /// Added to `ProfileState.committed` and `.held`.
    public var profileCommitted: Int64
    public var profileHeld: Int64
    public var events: EventSet
    /// Alerts, thresholds and limits reached, that are raised anew when they are due again.
    public var rearms: EventSet
    /// The profile's counters or latches change.
    public var touchesProfile: Bool

    @inlinable @inline(always) public init() {
        committed = CounterDeltas()
        held = CounterDeltas()
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

    /// Takes events in; those of a profile's open window are remembered by its latches.
    @inlinable public mutating func raise(
        _ raised: EventSet, _ profile: ProfileState, _ rules: LimitRules
    ) {
        guard !raised.isEmpty else { return }
        events.formUnion(raised)
        let own = EventSet.alerts(of: LimitSet(rules.limit(of: profile.kind)))
        if !raised.isDisjoint(with: own) { touchesProfile = true }
    }

    /// What was added of a resource to what is charged or held, as its first limit counts it.
    @inlinable public func committed(of resource: Int, _ rules: LimitRules) -> Int64 {
        committed[rules.mainCounter(of: resource)]
    }

    /// The deltas of resources, as their first limits count them.
    @inlinable public static func amounts(_ deltas: CounterDeltas, _ rules: LimitRules) -> Amounts {
        var amounts = Amounts()
        for counter in deltas.counters {
            let resource = rules.resource(of: counter)
            if rules.mainCounter(of: resource) == counter { amounts.set(resource, deltas[counter]) }
        }
        return amounts
    }

    /// Adds the effects. Windows were opened before. Mutating only so that the transition is not copied. Complexity: O(1).
    ///
    /// Asserts, also in release, that no counter becomes negative.
    @inlinable @inline(always)
    public mutating func apply(
        to tenant: inout TenantState, _ profile: inout ProfileState, _ rules: LimitRules
    ) {
        tenant.version &+= 1
        for counter in committed.counters {
            let total = tenant.committed[counter] + committed[counter]
            precondition(total >= 0, "committed below zero")
            tenant.committed[counter] = total
        }
        for counter in held.counters {
            let total = tenant.held[counter] + held[counter]
            precondition(total >= 0, "held below zero")
            tenant.held[counter] = total
        }
        if touchesProfile {
            profile.committed += profileCommitted
            profile.held += profileHeld
            precondition(profile.committed >= 0 && profile.held >= 0, "profile below zero")
        }
        if !events.isEmpty { latch(&tenant, &profile, rules) }
    }

    /// What the events change: latches of the windows that are open, and the status.
    @usableFromInline @inline(never)
    func latch(_ tenant: inout TenantState, _ profile: inout ProfileState, _ rules: LimitRules) {
        let own = EventSet.alerts(of: rules.tenantLimits)
        let limit = rules.limit(of: profile.kind)
        tenant.raised.formUnion(events.intersection(own))
        profile.raised |= events.latched(limit)
        if events.contains(.suspended) {
            tenant.status = .suspended
            tenant.suspendedByUsage = !committed.isEmpty
        }
        guard events.contains(.reinstated) else { return }
        tenant.status = .active
        tenant.raised.subtract(rearms.intersection(own))
        profile.raised &= ~rearms.latched(limit)
    }

    /// Whether applying it leaves every total within its range: a record from a disk may say anything.
    @inlinable public func fits(_ subjects: Decide.Subjects) -> Bool {
        for counter in BitIndexes(committed.present | held.present) {
            guard counter < LimitKind.counterCount,
                Self.isTotal(subjects.tenant.committed[counter], committed[counter]),
                Self.isTotal(subjects.tenant.held[counter], held[counter])
            else { return false }
        }
        guard touchesProfile else { return true }
        return subjects.hasProfile && Self.isTotal(subjects.profile.committed, profileCommitted)
            && Self.isTotal(subjects.profile.held, profileHeld)
    }

    @inlinable static func isTotal(_ total: Int64, _ delta: Int64) -> Bool {
        let (sum, overflow) = total.addingReportingOverflow(delta)
        return !overflow && sum >= 0
    }
}
