/// Charges to windows that are over: recorded for the books, counted against nothing.
@frozen public struct ClosedCharges: Sendable {
    /// The charged part of a segment. `amounts` of the tenant's closed cycle; `profileSpend` of the profile's
    /// closed day. May be negative where a provisional charge is replaced by a smaller one.
    @frozen public struct Charge: Sendable, Equatable {
        public var cycleStart: Int64
        public var dayStart: Int64
        public var amounts: Amounts
        public var profileSpend: Int64

        public init(cycleStart: Int64, dayStart: Int64, amounts: Amounts, profileSpend: Int64) {
            self.cycleStart = cycleStart
            self.dayStart = dayStart
            self.amounts = amounts
            self.profileSpend = profileSpend
        }
    }
    public var count: Int
    public var charges: InlineArray<4, Charge>

    public init() {
        count = 0
        charges = InlineArray(
            repeating: Charge(cycleStart: 0, dayStart: 0, amounts: Amounts(), profileSpend: 0))
    }
}

extension Decide {
    /// Where a reservation stands when it is settled.
    @frozen public enum HoldPhase: UInt8, Sendable {
        case open = 1
        /// Expired and freed: usage that comes is late.
        case expiredReleased = 2
        /// Expired and charged in full, provisionally: the first late commit replaces the charge.
        case expiredCharged = 3
    }

    /// What a commit does.
    @frozen public struct Settlement: Sendable {
        public var verdict: Verdict
        /// Charged in all.
        public var committed: Amounts
        /// `OveragePolicy.cap`: left uncharged; else empty.
        public var uncharged: Amounts
        /// Limits that this usage reached or passed.
        public var reached: LimitSet
    }

    /// Commit, in time or late. `actual` empty: what was held.
    ///
    /// Fills the oldest segment first; an excess goes to the newest. Late usage is always recorded in full.
    public static func commit(
        _ subjects: inout Subjects, _ hold: inout HoldState, phase: HoldPhase,
        actual: Amounts, _ rules: LimitRules, transition: inout Transition,
        closed: inout ClosedCharges
    ) -> Settlement {
        let total = hold.total
        var charge = actual.isEmpty ? total : actual
        charge.present |= total.present
        var settlement = Settlement(
            verdict: .allowed, committed: charge, uncharged: Amounts(), reached: [])
        if phase == .open {
            switch hold.overage {
            case .record: break
            case .reject:
                for resource in 0..<4 where charge[resource] > total[resource] {
                    settlement.verdict = .exceedsHold
                    return settlement
                }
            case .cap:
                for resource in 0..<4 where charge[resource] > total[resource] {
                    let over = charge[resource] - total[resource]
                    let fits = min(over, room(&subjects, &hold, resource, rules))
                    charge[resource] = total[resource] + fits
                    settlement.uncharged.set(resource, over - fits)
                }
                settlement.committed = charge
            }
        }
        settlement.verdict = settle(
            &subjects, &hold, charge: charge, freesHold: phase == .open,
            replacesCharge: phase == .expiredCharged, rules, &transition, &closed)
        guard settlement.verdict == .allowed else { return settlement }
        let alerts = alerts(of: transition, &subjects, rules)
        transition.raise(alerts.events)
        settlement.reached = alerts.reached
        return settlement
    }

    /// Release, or expiry with `ExpiryPolicy.release`: gives the whole hold back. What was held in a window that is
    /// over went with it.
    @inlinable @inline(always)
    public static func release(
        _ subjects: inout Subjects, _ hold: inout HoldState, _ rules: LimitRules,
        transition: inout Transition
    ) {
        release(hold.first, &subjects, rules, &transition)
        if hold.moreCount > 0 { releaseMore(&hold, &subjects, rules, &transition) }
    }

    /// What Extend added in later windows.
    @usableFromInline @inline(never)
    static func releaseMore(
        _ hold: inout HoldState, _ subjects: inout Subjects, _ rules: LimitRules,
        _ transition: inout Transition
    ) {
        for index in 1..<hold.segmentCount { release(hold[index], &subjects, rules, &transition) }
    }

    @inlinable @inline(always)
    static func release(
        _ segment: HoldSegment, _ subjects: inout Subjects, _ rules: LimitRules,
        _ transition: inout Transition
    ) {
        let cycleOpen = segment.cycleStart == subjects.tenant.cycleStart
        segment.amounts.forEachResource { resource in
            guard cycleOpen || !rules.cyclic.hasBit(resource) else { return }
            transition.held.set(resource, transition.held[resource] - segment.amounts[resource])
        }
        if subjects.hasProfile && segment.amounts.present & rules.profileResources != 0
            && segment.dayStart == subjects.profile.dayStart
        {
            transition.profileHeld -= segment.amounts.spendNanos
            transition.touchesProfile = true
        }
    }

    /// Takes a charge of `Mode.commit` back whose caller's deadline had passed; in a closed window a negative
    /// closed charge.
    public static func reverse(
        _ subjects: inout Subjects, _ charged: HoldSegment, _ rules: LimitRules,
        transition: inout Transition, closed: inout ClosedCharges
    ) -> Verdict {
        var hold = HoldState(first: charged)
        return settle(
            &subjects, &hold, charge: Amounts(), freesHold: false, replacesCharge: true, rules,
            &transition, &closed)
    }

    /// What the blocking limits leave for a charge above the hold. In a closed window: nothing, since its totals
    /// are no longer at hand and a cap is never overshot.
    private static func room(
        _ subjects: inout Subjects, _ hold: inout HoldState, _ resource: Int,
        _ rules: LimitRules
    ) -> Int64 {
        let newest = hold[hold.newest(resource)]
        var room = Int64.max
        if subjects.tenant.caps[resource] >= 0 && subjects.tenant.blocks(resource, rules) {
            if rules.cyclic.hasBit(resource) && newest.cycleStart != subjects.tenant.cycleStart {
                return 0
            }
            room =
                subjects.tenant.caps[resource]
                - (subjects.tenant.committed[resource] + subjects.tenant.held[resource])
        }
        if subjects.hasProfile && rules.profileResources.hasBit(resource)
            && subjects.profile.enabled
            && subjects.profile.cap >= 0
        {
            if newest.dayStart != subjects.profile.dayStart { return 0 }
            room = min(
                room, subjects.profile.cap - (subjects.profile.committed + subjects.profile.held))
        }
        return max(0, room)
    }

    /// Distributes a charge over the segments and turns them into deltas.
    private static func settle(
        _ subjects: inout Subjects, _ hold: inout HoldState, charge: Amounts,
        freesHold: Bool, replacesCharge: Bool, _ rules: LimitRules,
        _ transition: inout Transition, _ closed: inout ClosedCharges
    ) -> Verdict {
        closed.count = 0
        var left = charge
        for index in 0..<hold.segmentCount {
            let segment = hold[index]
            let cycleOpen = segment.cycleStart == subjects.tenant.cycleStart
            let dayOpen = subjects.hasProfile && segment.dayStart == subjects.profile.dayStart
            var late = ClosedCharges.Charge(
                cycleStart: segment.cycleStart, dayStart: segment.dayStart, amounts: Amounts(),
                profileSpend: 0)
            for resource in BitIndexes(segment.amounts.present | left.present) {
                let isNewest = index == hold.newest(resource)
                guard isNewest || segment.amounts.contains(resource) else { continue }
                let held = segment.amounts[resource]
                let charged = isNewest ? left[resource] : min(left[resource], held)
                left[resource] -= charged
                let delta = replacesCharge ? charged - held : charged
                let freed = freesHold ? held : 0
                if cycleOpen || !rules.cyclic.hasBit(resource) {
                    let (sum, overflow) = transition.committed[resource]
                        .addingReportingOverflow(delta)
                    if overflow { return .overflow }
                    if delta != 0 { transition.committed.set(resource, sum) }
                    if freed != 0 {
                        transition.held.set(resource, transition.held[resource] - freed)
                    }
                } else if delta != 0 {
                    late.amounts.set(resource, delta)
                }
                guard subjects.hasProfile && rules.profileResources.hasBit(resource) else {
                    continue
                }
                if dayOpen {
                    let (sum, overflow) = transition.profileCommitted.addingReportingOverflow(delta)
                    if overflow { return .overflow }
                    transition.profileCommitted = sum
                    transition.profileHeld -= freed
                    transition.touchesProfile = true
                } else {
                    late.profileSpend = delta
                }
            }
            if !late.amounts.isEmpty || late.profileSpend != 0 {
                closed.charges[closed.count] = late
                closed.count += 1
            }
        }
        return fits(transition, &subjects)
    }

    /// Whether all totals stay within 64 bits and at or above zero once the deltas are added.
    private static func fits(
        _ transition: Transition, _ subjects: inout Subjects
    ) -> Verdict {
        func verdict(_ committed: Int64, _ held: Int64, _ delta: Int64) -> Verdict {
            if delta < 0 { return committed + delta < 0 ? .belowZero : .allowed }
            return overflows(committed, held, delta) ? .overflow : .allowed
        }
        for resource in 0..<4 where transition.committed.contains(resource) {
            let held = subjects.tenant.held[resource] + transition.held[resource]
            let verdict = verdict(
                subjects.tenant.committed[resource], held, transition.committed[resource])
            if verdict != .allowed { return verdict }
        }
        guard transition.touchesProfile else { return .allowed }
        return verdict(
            subjects.profile.committed, subjects.profile.held + transition.profileHeld,
            transition.profileCommitted)
    }
}
