// When a limit is tripped, what is told of it, and what suspends (semantics §4).
extension Decide {
    /// Whether a total has come to `percent` of a cap: committed × 100 ≥ cap × percent, in full width.
    @inlinable static func reachesThreshold(_ committed: Int64, cap: Int64, percent: UInt8) -> Bool
    {
        cap > 0 && reaches(committed, cap: cap, percent: percent)
    }

    /// The same; a cap of 0 is always reached.
    @inlinable public static func reaches(_ committed: Int64, cap: Int64, percent: UInt8) -> Bool {
        let left = committed.multipliedFullWidth(by: 100)
        let right = cap.multipliedFullWidth(by: Int64(percent))
        return left.high != right.high ? left.high > right.high : left.low >= right.low
    }

    /// What a transition that raises committed raises in windows that are open, and the limits that this usage reached
    /// or passed. To be called with the transition's deltas complete.
    @usableFromInline @inline(never)
    static func alerts(
        of transition: Transition, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> (events: EventSet, reached: LimitSet) {
        var events: EventSet = []
        var reached: LimitSet = []
        let tenant = subjects.tenant
        transition.committed.forEachResource { resource in
            let cap = tenant.caps[resource]
            guard transition.committed[resource] > 0 && cap >= 0 else { return }
            let total = tenant.committed[resource] + transition.committed[resource]
            let kind = LimitKind.tenant(resource)
            if !tenant.thresholdRaised.hasBit(resource)
                && reachesThreshold(total, cap: cap, percent: tenant.thresholdPercent)
            {
                events.insert(.threshold(kind.index))
            }
            guard total >= cap else { return }
            reached.insert(kind)
            guard rules.tripsByUsage.hasBit(resource) else { return }
            if !tenant.reachedRaised.hasBit(resource) { events.insert(.reached(kind.index)) }
            if tenant.suspendsWhenTripped && tenant.status == .active { events.insert(.suspended) }
        }
        let profile = subjects.profile
        if transition.profileCommitted > 0 && profile.enabled && profile.cap >= 0 {
            let kind = LimitKind.profileDailySpend
            let total = profile.committed + transition.profileCommitted
            if !profile.thresholdRaised
                && reachesThreshold(total, cap: profile.cap, percent: tenant.thresholdPercent)
            {
                events.insert(.threshold(kind.index))
            }
            if total >= profile.cap {
                reached.insert(kind)
                if !profile.reachedRaised { events.insert(.reached(kind.index)) }
            }
        }
        return (events, reached)
    }

    /// Events of a refusal: a threshold that stands, a limit that it trips, a suspension; and where it trips none, the
    /// request was too large by itself: an alert of its own.
    @usableFromInline @inline(never)
    static func alerts(
        ofRefusal fit: Fit, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> EventSet {
        var events: EventSet = []
        let tenant = subjects.tenant
        forEachResourceIndex { resource in
            let kind = LimitKind.tenant(resource)
            guard fit.refused.contains(kind) else { return }
            if !tenant.thresholdRaised.hasBit(resource)
                && reachesThreshold(
                    tenant.committed[resource], cap: tenant.caps[resource],
                    percent: tenant.thresholdPercent)
            {
                events.insert(.threshold(kind.index))
            }
            guard fit.tripped.contains(kind) else { return }
            guard
                reaches(
                    tenant.committed[resource], cap: tenant.caps[resource],
                    percent: rules.refusalTripsFromPercent(kind))
            else {
                if !tenant.refusalRaised.hasBit(resource) { events.insert(.refusal(kind.index)) }
                return
            }
            if !tenant.reachedRaised.hasBit(resource) { events.insert(.reached(kind.index)) }
            if tenant.suspendsWhenTripped && tenant.status == .active { events.insert(.suspended) }
        }
        if fit.refused.contains(.profileDailySpend) {
            let index = LimitKind.profileDailySpend.index
            let profile = subjects.profile
            if !profile.thresholdRaised
                && reachesThreshold(
                    profile.committed, cap: profile.cap, percent: tenant.thresholdPercent)
            {
                events.insert(.threshold(index))
            }
            if fit.tripped.contains(.profileDailySpend) {
                if !reaches(
                    profile.committed, cap: profile.cap,
                    percent: rules.refusalTripsFromPercent(.profileDailySpend))
                {
                    if !profile.refusalRaised { events.insert(.refusal(index)) }
                } else if !profile.reachedRaised {
                    events.insert(.reached(index))
                }
            }
        }
        return events
    }

    // MARK: Windows that end

    /// What the end of a tenant's billing cycle raises for it: an alert that is due with everything that is still held,
    /// and was not raised. Counts stand: no window of theirs ends.
    public static func alerts(ofCycleOf tenant: TenantState, _ rules: LimitRules)
        -> EventSet
    {
        var events: EventSet = []
        for resource in BitIndexes(rules.cyclic) {
            let index = LimitKind.tenant(resource).index
            let cap = tenant.caps[resource]
            let used = tenant.committed[resource] + tenant.held[resource]
            guard used > 0 && cap >= 0 else { continue }
            if !tenant.thresholdRaised.hasBit(resource)
                && reachesThreshold(used, cap: cap, percent: tenant.thresholdPercent)
            {
                events.insert(.endedThreshold(index))
            }
            if used >= cap && !tenant.reachedRaised.hasBit(resource) {
                events.insert(.endedReached(index))
            }
        }
        return events
    }

    /// The same of a messaging profile's UTC day; `percent` is its tenant's.
    public static func alerts(ofDayOf profile: ProfileState, percent: UInt8) -> EventSet {
        var events: EventSet = []
        let index = LimitKind.profileDailySpend.index
        let used = profile.committed + profile.held
        guard used > 0 && profile.enabled && profile.cap >= 0 else { return events }
        if !profile.thresholdRaised
            && reachesThreshold(used, cap: profile.cap, percent: percent)
        {
            events.insert(.endedThreshold(index))
        }
        if used >= profile.cap && !profile.reachedRaised { events.insert(.endedReached(index)) }
        return events
    }

    // MARK: Charges that are taken back

    /// Takes back the suspension that a reversed charge caused, and the alerts that it raised, as far as they are not due
    /// without it. Nothing where something is tripped all the same, or where the suspension is not the charge's any more.
    ///
    /// - Parameters:
    ///   - raised: what the charge raised.
    ///   - transition: the reversal.
    static func reinstate(
        _ subjects: inout Subjects, _ charged: HoldSegment, raised: EventSet, _ rules: LimitRules,
        _ transition: inout Transition
    ) {
        let tenant = subjects.tenant
        guard raised.contains(.suspended), tenant.status == .suspended, tenant.suspendedByUsage,
            !tenant.endsHolds
        else { return }
        for resource in BitIndexes(rules.tripsByUsage) where tenant.caps[resource] >= 0 {
            let total = tenant.committed[resource] + transition.committed[resource]
            if total > 0 && total >= tenant.caps[resource] { return }
        }
        transition.raise(.reinstated)
        if charged.cycleStart == tenant.cycleStart {
            forEachResourceIndex { resource in
                let kind = LimitKind.tenant(resource)
                let cap = tenant.caps[resource]
                let total = tenant.committed[resource] + transition.committed[resource]
                if raised.thresholds.contains(kind)
                    && !reachesThreshold(total, cap: cap, percent: tenant.thresholdPercent)
                {
                    transition.rearms.insert(.threshold(kind.index))
                }
                if raised.reached.contains(kind) && total < cap {
                    transition.rearms.insert(.reached(kind.index))
                }
            }
        }
        let profile = subjects.profile
        guard subjects.hasProfile && charged.dayStart == profile.dayStart else { return }
        let index = LimitKind.profileDailySpend.index
        let total = profile.committed + transition.profileCommitted
        if raised.thresholds.contains(.profileDailySpend)
            && !reachesThreshold(total, cap: profile.cap, percent: tenant.thresholdPercent)
        {
            transition.rearms.insert(.threshold(index))
        }
        if raised.reached.contains(.profileDailySpend) && total < profile.cap {
            transition.rearms.insert(.reached(index))
        }
    }
}
