// When a limit is tripped, what is told of it, and what suspends (semantics §4).
extension Decide {
    /// Whether a total has come to `percent` of a cap: committed × 100 ≥ cap × percent, in full width.
    @inlinable static func reachesThreshold(_ committed: Int64, cap: Int64, percent: UInt8) -> Bool
    {
        cap > 0 && percent > 0 && reaches(committed, cap: cap, percent: percent)
    }

    /// The same; a cap of 0 is always reached.
    @inlinable public static func reaches(_ committed: Int64, cap: Int64, percent: UInt8) -> Bool {
        let left = committed.multipliedFullWidth(by: 100)
        let right = cap.multipliedFullWidth(by: Int64(percent))
        return left.high != right.high ? left.high > right.high : left.low >= right.low
    }

    /// Whether a total has come to the lowest threshold. If not, it has come to none, nor to the cap: thresholds rise, and
    /// none is above 100.
    @inline(__always)
    private static func reachesAnyThreshold(_ total: Int64, cap: Int64, _ tenant: TenantState)
        -> Bool
    {
        reaches(total, cap: cap, percent: tenant.threshold(0))
    }

    /// A limit as alerts look at it: its total by then, and what was raised of it.
    @usableFromInline struct Alarm {
        @usableFromInline let kind: LimitKind
        let cap: Int64
        let total: Int64
        /// Alerts of it that stand.
        let raised: EventSet

        init(_ tenant: TenantState, _ counter: Int, total: Int64, _ rules: LimitRules) {
            kind = rules.kind(of: counter)
            cap = tenant.caps[counter]
            self.total = total
            raised = tenant.raised
        }

        init(_ profile: ProfileState, total: Int64, _ rules: LimitRules) {
            kind = rules.limit(of: profile.kind)
            cap = profile.cap
            self.total = total
            raised = EventSet(latched: profile.raised, kind)
        }

        /// The thresholds that are due and were not raised.
        func thresholds(_ tenant: TenantState) -> EventSet {
            var events: EventSet = []
            for level in 0..<(tenant.hasFurtherThresholds ? 4 : 1) {
                let group = EventSet.Group.threshold(level)
                if !raised.contains(group, kind)
                    && reachesThreshold(total, cap: cap, percent: tenant.threshold(level))
                {
                    events.insert(group, kind)
                }
            }
            return events
        }

        /// An alert, unless it was raised.
        func event(_ group: EventSet.Group) -> EventSet {
            raised.contains(group, kind) ? [] : EventSet(group, kind)
        }
    }

    /// What a transition that raises committed raises in windows that are open, and the limits that this usage reached
    /// or passed. To be called with the transition's deltas complete.
    @usableFromInline @inline(never)
    static func alerts(
        of transition: Transition, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> (events: EventSet, reached: LimitSet) {
        var events: EventSet = []
        var reached: LimitSet = []
        for counter in transition.committed.counters {
            let cap = subjects.tenant.caps[counter]
            let delta = transition.committed[counter]
            guard delta > 0 && cap >= 0 else { continue }
            let total = subjects.tenant.committed[counter] + delta
            guard reachesAnyThreshold(total, cap: cap, subjects.tenant) else { continue }
            let alarm = Alarm(subjects.tenant, counter, total: total, rules)
            events.formUnion(alarm.thresholds(subjects.tenant))
            guard total >= cap else { continue }
            reached.insert(alarm.kind)
            guard rules.tripsByUsage.hasBit(counter) else { continue }
            events.formUnion(alarm.event(.reached))
            if suspends(counter, subjects.tenant, rules) { events.insert(.suspended) }
        }
        let profile = subjects.profile
        if transition.profileCommitted > 0 && profile.enabled && profile.cap >= 0 {
            let total = profile.committed + transition.profileCommitted
            guard reachesAnyThreshold(total, cap: profile.cap, subjects.tenant) else {
                return (events, reached)
            }
            let alarm = Alarm(profile, total: total, rules)
            events.formUnion(alarm.thresholds(subjects.tenant))
            if total >= profile.cap {
                reached.insert(alarm.kind)
                events.formUnion(alarm.event(.reached))
            }
        }
        return (events, reached)
    }

    /// The thresholds of what is only ever held that a transition comes to.
    @usableFromInline @inline(never)
    static func alerts(
        ofHeld transition: Transition, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> EventSet {
        var events: EventSet = []
        for counter in BitIndexes(transition.held.present & rules.heldOnlyCounters)
        where transition.held[counter] > 0 && subjects.tenant.caps[counter] >= 0 {
            let total = subjects.tenant.held[counter] + transition.held[counter]
            events.formUnion(
                Alarm(subjects.tenant, counter, total: total, rules).thresholds(subjects.tenant))
        }
        return events
    }

    private static func suspends(
        _ counter: Int, _ tenant: TenantState, _ rules: LimitRules
    ) -> Bool {
        rules.suspends.hasBit(counter) && tenant.suspendsWhenTripped && tenant.status == .active
    }

    /// Events of a refusal: a threshold that stands, a limit that it trips, a suspension; and where it trips none, the
    /// request was too large by itself: an alert of its own.
    @usableFromInline @inline(never)
    static func alerts(
        ofRefusal fit: Fit, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> EventSet {
        var events: EventSet = []
        for counter in 0..<LimitKind.counterCount
        where fit.refused.contains(rules.kind(of: counter)) {
            let total = judged(counter, &subjects, rules)
            let alarm = Alarm(subjects.tenant, counter, total: total, rules)
            events.formUnion(alarm.thresholds(subjects.tenant))
            guard fit.tripped.contains(alarm.kind) else { continue }
            events.formUnion(trip(alarm, rules))
            if isTripped(alarm, rules) && suspends(counter, subjects.tenant, rules) {
                events.insert(.suspended)
            }
        }
        let limit = rules.limit(of: subjects.profile.kind)
        if subjects.hasProfile && fit.refused.contains(limit) {
            let alarm = Alarm(subjects.profile, total: subjects.profile.committed, rules)
            events.formUnion(alarm.thresholds(subjects.tenant))
            if fit.tripped.contains(limit) { events.formUnion(trip(alarm, rules)) }
        }
        return events
    }

    /// What a counter's limit is judged by: what is charged; of what is only ever held, that.
    @usableFromInline
    static func judged(_ counter: Int, _ subjects: inout Subjects, _ rules: LimitRules) -> Int64 {
        rules.heldOnlyCounters.hasBit(counter)
            ? subjects.tenant.held[counter] : subjects.tenant.committed[counter]
    }

    /// Whether enough of the cap is used for a refusal alone to trip a limit.
    private static func isTripped(_ alarm: Alarm, _ rules: LimitRules) -> Bool {
        reaches(
            alarm.total, cap: alarm.cap, percent: rules.refusalTripsFromPercent(alarm.kind))
    }

    private static func trip(_ alarm: Alarm, _ rules: LimitRules) -> EventSet {
        alarm.event(isTripped(alarm, rules) ? .reached : .refusal)
    }

    // MARK: Windows that end

    /// What the end of a window of a tenant's raises for it: an alert that is due with everything that is still held,
    /// and was not raised. Counts stand: no window of theirs ends.
    ///
    /// - Parameter counters: those of the window.
    public static func alerts(
        ofWindowOf tenant: TenantState, _ counters: UInt8, _ rules: LimitRules
    ) -> EventSet {
        var events: EventSet = []
        for counter in BitIndexes(counters) where tenant.caps[counter] >= 0 {
            let used = tenant.committed[counter] + tenant.held[counter]
            guard used > 0 else { continue }
            events.formUnion(ended(Alarm(tenant, counter, total: used, rules), tenant))
        }
        return events
    }

    /// The same of a profile's UTC day.
    public static func alerts(
        ofDayOf profile: ProfileState, _ tenant: TenantState, _ rules: LimitRules
    ) -> EventSet {
        let used = profile.committed + profile.held
        guard used > 0 && profile.enabled && profile.cap >= 0 else { return [] }
        return ended(Alarm(profile, total: used, rules), tenant)
    }

    /// Of several thresholds that are due one event tells: `TenantState.highestThreshold`.
    private static func ended(_ alarm: Alarm, _ tenant: TenantState) -> EventSet {
        var events: EventSet = []
        if !alarm.thresholds(tenant).isEmpty { events.insert(.endedThreshold, alarm.kind) }
        if alarm.total >= alarm.cap && !alarm.raised.contains(.reached, alarm.kind) {
            events.insert(.endedReached, alarm.kind)
        }
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
        for counter in BitIndexes(rules.tripsByUsage & rules.suspends)
        where tenant.caps[counter] >= 0 {
            let total = tenant.committed[counter] + transition.committed[counter]
            if total > 0 && total >= tenant.caps[counter] { return }
        }
        transition.events.insert(.reinstated)
        // Alerts of standing counts go with the cycle.
        var open: UInt8 = 0
        if charged.starts.cycle == tenant.cycleStart { open |= rules.cyclic | rules.standing }
        if charged.starts.day == tenant.dayStart { open |= rules.daily }
        for counter in BitIndexes(open) {
            let total = tenant.committed[counter] + transition.committed[counter]
            let alarm = Alarm(tenant, counter, total: total, rules)
            transition.rearms.formUnion(undone(alarm, raised, tenant))
        }
        let profile = subjects.profile
        guard subjects.hasProfile && charged.dayStart == profile.dayStart else { return }
        let alarm = Alarm(profile, total: profile.committed + transition.profileCommitted, rules)
        transition.rearms.formUnion(undone(alarm, raised, tenant))
    }

    /// Alerts that a charge raised which are not due without it.
    private static func undone(
        _ alarm: Alarm, _ raised: EventSet, _ tenant: TenantState
    ) -> EventSet {
        var undone: EventSet = []
        for level in EventSet.Group.thresholds.indices {
            let group = EventSet.Group.threshold(level)
            if raised.contains(group, alarm.kind)
                && !reachesThreshold(
                    alarm.total, cap: alarm.cap, percent: tenant.threshold(level))
            {
                undone.insert(group, alarm.kind)
            }
        }
        if raised.contains(.reached, alarm.kind) && alarm.total < alarm.cap {
            undone.insert(.reached, alarm.kind)
        }
        return undone
    }
}

extension TenantState {
    /// The highest alert threshold that a total has come to; the first if it has come to none.
    public func highestThreshold(_ total: Int64, cap: Int64) -> UInt8 {
        let due = EventSet.Group.thresholds.indices.last { level in
            Decide.reachesThreshold(total, cap: cap, percent: threshold(level))
        }
        return threshold(due ?? 0)
    }
}
