/// Charges to windows that are over: recorded for the books, counted against nothing.
@frozen public struct ClosedCharges: Sendable {
    /// The charged part of a segment: `amounts` of what the window of a resource's first limit is over for, `profileSpend`
    /// of the profile's closed day. May be negative where a provisional charge is replaced by a smaller one.
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
    /// What was held is charged to its own windows, the oldest first; what is above it, or is late for a hold that was
    /// released, to the windows that are open now. Late usage is always recorded in full.
    public static func commit(
        _ subjects: inout Subjects, _ hold: inout HoldState, phase: HoldPhase,
        actual: Amounts, _ rules: LimitRules, transition: inout Transition,
        closed: inout ClosedCharges
    ) -> Settlement {
        let total = hold.total
        var charge = actual.isEmpty ? total : actual
        charge.present |= total.present
        for resource in BitIndexes(charge.present & rules.heldOnly) { charge[resource] = 0 }
        var settlement = Settlement(
            verdict: .allowed, committed: charge, uncharged: Amounts(), reached: [])
        if phase == .open {
            switch hold.overage {
            case .record: break
            case .reject:
                for resource in charge.resources where charge[resource] > total[resource] {
                    settlement.verdict = .exceedsHold
                    return settlement
                }
            case .cap:
                for resource in charge.resources where charge[resource] > total[resource] {
                    let over = charge[resource] - total[resource]
                    let fits = min(over, room(&subjects, resource, rules))
                    charge[resource] = total[resource] + fits
                    settlement.uncharged.set(resource, over - fits)
                }
                settlement.committed = charge
            }
        }
        settlement.verdict = settle(
            &subjects, &hold, charge: charge, phase, rules, &transition, &closed)
        guard settlement.verdict == .allowed else { return settlement }
        let alerts = alerts(of: transition, &subjects, rules)
        transition.raise(alerts.events, subjects.profile, rules)
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
        release(&hold.first, &subjects, rules, &transition)
        if hold.moreCount > 0 { releaseMore(&hold, &subjects, rules, &transition) }
    }

    /// What Extend added in later windows.
    @usableFromInline @inline(never)
    static func releaseMore(
        _ hold: inout HoldState, _ subjects: inout Subjects, _ rules: LimitRules,
        _ transition: inout Transition
    ) {
        for index in 1..<hold.segmentCount {
            var segment = hold[index]
            release(&segment, &subjects, rules, &transition)
        }
    }

    @inlinable @inline(always)
    static func release(
        _ segment: inout HoldSegment, _ subjects: inout Subjects,
        _ rules: LimitRules, _ transition: inout Transition
    ) {
        let open = subjects.tenant.openCounters(of: &segment, rules)
        for counter in BitIndexes(open) {
            transition.held[counter] &-= segment.amounts[rules.resource(of: counter)]
        }
        transition.held.present |= open
        if let resource = subjects.profileResource(segment.amounts.present, rules),
            segment.dayStart == subjects.profile.dayStart
        {
            transition.profileHeld -= segment.amounts[resource]
            transition.touchesProfile = true
        }
    }

    /// Takes a charge of `Mode.commit` back whose caller's deadline had passed, and with it the suspension that it caused;
    /// in a closed window a negative closed charge.
    ///
    /// - Parameter raised: what the charge raised.
    public static func reverse(
        _ subjects: inout Subjects, _ charged: HoldSegment, raised: EventSet, _ rules: LimitRules,
        transition: inout Transition, closed: inout ClosedCharges
    ) -> Verdict {
        var hold = HoldState(first: charged)
        let verdict = settle(
            &subjects, &hold, charge: Amounts(), .expiredCharged, rules, &transition, &closed)
        if verdict == .allowed { reinstate(&subjects, charged, raised: raised, rules, &transition) }
        return verdict
    }

    /// What the blocking limits leave, in the windows that are open, for a charge above the hold.
    private static func room(
        _ subjects: inout Subjects, _ resource: Int, _ rules: LimitRules
    ) -> Int64 {
        var room = Int64.max
        for counter in BitIndexes(rules.counters(of: resource))
        where subjects.tenant.caps[counter] >= 0 && subjects.tenant.blocks(counter, rules) {
            let used = subjects.tenant.committed[counter] + subjects.tenant.held[counter]
            room = min(room, subjects.tenant.caps[counter] - used)
        }
        if subjects.countsForProfile(resource, rules) && subjects.profile.enabled
            && subjects.profile.cap >= 0
        {
            room = min(
                room, subjects.profile.cap - (subjects.profile.committed + subjects.profile.held))
        }
        return max(0, room)
    }

    /// Turns a charge into deltas: what was held goes to its windows, which may be over; the rest to those that are open.
    private static func settle(
        _ subjects: inout Subjects, _ hold: inout HoldState, charge: Amounts, _ phase: HoldPhase,
        _ rules: LimitRules, _ transition: inout Transition, _ closed: inout ClosedCharges
    ) -> Verdict {
        closed.count = 0
        var left = charge
        // A hold that was released is in no window any more.
        for index in 0..<(phase == .expiredReleased ? 0 : hold.segmentCount) {
            var segment = hold[index]
            let open = subjects.tenant.openCounters(of: &segment, rules)
            let dayOpen = subjects.hasProfile && segment.dayStart == subjects.profile.dayStart
            var late = ClosedCharges.Charge(
                cycleStart: segment.starts.cycle, dayStart: segment.dayStart, amounts: Amounts(),
                profileSpend: 0)
            for resource in segment.amounts.resources {
                let held = segment.amounts[resource]
                let charged = min(left[resource], held)
                left[resource] -= charged
                // What is only ever held was never charged.
                let isReplaced = phase == .expiredCharged && !rules.heldOnly.hasBit(resource)
                let delta = isReplaced ? charged - held : charged
                let freed = phase == .open ? held : 0
                for counter in BitIndexes(open & rules.counters(of: resource)) {
                    // What was held together is within 64 bits.
                    if delta != 0 { transition.committed.add(counter, delta) }
                    if freed != 0 { transition.held.add(counter, -freed) }
                }
                if delta != 0 && !open.hasBit(rules.mainCounter(of: resource)) {
                    late.amounts.set(resource, delta)
                }
                guard subjects.countsForProfile(resource, rules) else { continue }
                if dayOpen {
                    transition.profileCommitted += delta
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
        for resource in left.resources where left[resource] > 0 {
            if add(left[resource], resource, &subjects, rules, &transition) == .overflow {
                return .overflow
            }
        }
        return fits(transition, &subjects)
    }

    /// Adds an amount to the windows that are open.
    private static func add(
        _ amount: Int64, _ resource: Int, _ subjects: inout Subjects, _ rules: LimitRules,
        _ transition: inout Transition
    ) -> Verdict {
        for counter in BitIndexes(rules.counters(of: resource)) {
            let (sum, overflow) = transition.committed[counter].addingReportingOverflow(amount)
            if overflow { return .overflow }
            transition.committed.set(counter, sum)
        }
        guard subjects.countsForProfile(resource, rules) else { return .allowed }
        let (spend, isOver) = transition.profileCommitted.addingReportingOverflow(amount)
        if isOver { return .overflow }
        transition.profileCommitted = spend
        transition.touchesProfile = true
        return .allowed
    }

    /// Whether all totals stay within 64 bits and at or above zero once the deltas are added.
    private static func fits(
        _ transition: Transition, _ subjects: inout Subjects
    ) -> Verdict {
        func verdict(_ committed: Int64, _ held: Int64, _ delta: Int64) -> Verdict {
            if delta < 0 { return committed + delta < 0 ? .belowZero : .allowed }
            return overflows(committed, held, delta) ? .overflow : .allowed
        }
        for counter in transition.committed.counters {
            let held = subjects.tenant.held[counter] + transition.held[counter]
            let verdict = verdict(
                subjects.tenant.committed[counter], held, transition.committed[counter])
            if verdict != .allowed { return verdict }
        }
        guard transition.touchesProfile else { return .allowed }
        return verdict(
            subjects.profile.committed, subjects.profile.held + transition.profileHeld,
            transition.profileCommitted)
    }
}
