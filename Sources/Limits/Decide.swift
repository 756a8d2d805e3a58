/// The rules of semantics §1–§4 as pure functions: no I/O, no clock, no allocation.
///
/// Each takes the present state with its windows already open for `now`, and yields an answer and a `Transition`.
/// None changes the state; `Transition.apply` does. (`HoldState` is passed inout only so that it is not copied.)
///
/// What every request goes through (`check`, `release`, `apply`) is inlined into the caller, where the state is in
/// registers; what only some need is a call (`shrunk`, `alerts`).
public enum Decide {
    /// How a decision ended.
    @frozen public enum Verdict: Sendable, Equatable {
        case allowed
        case denied
        /// A total would leave 64 bits: INVALID_ARGUMENT.
        case overflow
        /// A negative amount exceeds what is committed: INVALID_ARGUMENT.
        case belowZero
        /// `OveragePolicy.reject` and more than was held: 49204.
        case exceedsHold
    }

    /// The subjects of one decision.
    @frozen public struct Subjects {
        public var tenant: TenantState
        public var profile: ProfileState
        public var hasProfile: Bool

        @inlinable @inline(always) public init() {
            tenant = TenantState()
            profile = ProfileState()
            hasProfile = false
        }

        /// Whether a resource, by `Resource.index`, counts against the profile too.
        @inlinable @inline(always)
        public func countsForProfile(_ resource: Int, _ rules: LimitRules) -> Bool {
            hasProfile && rules.resources(of: profile.kind).hasBit(resource)
        }

        /// The one of a set of resources that counts against the profile; nil: none does.
        @inlinable @inline(always)
        public func profileResource(_ present: UInt8, _ rules: LimitRules) -> Int? {
            guard hasProfile else { return nil }
            let counting = rules.resources(of: profile.kind) & present
            return counting == 0 ? nil : counting.trailingZeroBitCount
        }

        /// The present windows, with amounts that are held or charged in them.
        @inlinable @inline(always)
        public func segment(_ amounts: Amounts) -> HoldSegment {
            HoldSegment(
                amounts: amounts, dayStart: hasProfile ? profile.dayStart : 0,
                starts: tenant.starts)
        }
    }

    /// What fits: the result of holding the asked amounts against every limit that applies, at one instant.
    @usableFromInline struct Fit {
        @usableFromInline var refused: LimitSet
        /// Refused also if nothing were held: the refusal may trip these.
        @usableFromInline var tripped: LimitSet
        @usableFromInline var warned: LimitSet
        /// A total would leave 64 bits, and nothing refused.
        @usableFromInline var overflow: Bool

        @inlinable @inline(always) init() {
            refused = []
            tripped = []
            warned = []
            overflow = false
        }

        /// Takes one limit in.
        mutating func note(_ limit: Limit, _ asked: Int64) {
            let (total, overflow) = limit.used.addingReportingOverflow(asked)
            guard overflow || (limit.cap >= 0 && total > limit.cap) else { return }
            if limit.cap >= 0 && limit.blocks {
                refused.formUnion(limit.limits)
                if asked > limit.cap - limit.judged { tripped.formUnion(limit.limits) }
            } else {
                if limit.cap >= 0 { warned.formUnion(limit.limits) }
                if overflow { self.overflow = true }
            }
        }
    }

    /// One limit, as `fit` looks at it.
    @usableFromInline struct Limit {
        /// The limit alone.
        @usableFromInline let limits: LimitSet
        @usableFromInline let resource: Int
        @usableFromInline let cap: Int64
        @usableFromInline let used: Int64
        /// What a refusal trips the limit by: what is charged, not what others hold; of what is only ever held, that.
        @usableFromInline let judged: Int64
        @usableFromInline let blocks: Bool

        @inlinable @inline(always) init(
            limits: LimitSet, resource: Int, cap: Int64, used: Int64, judged: Int64, blocks: Bool
        ) {
            self.limits = limits
            self.resource = resource
            self.cap = cap
            self.used = used
            self.judged = judged
            self.blocks = blocks
        }
    }

    /// Holds amounts against every limit. An amount of zero is never refused.
    ///
    /// - Parameters:
    ///   - amounts: `inout` only so that they are not copied with each look at one of them.
    ///   - holds: puts what is asked for into `transition.held` on the way; of no use if something refuses.
    @inlinable @inline(always)
    static func fit(
        _ subjects: inout Subjects, amounts: inout Amounts, holds: Bool,
        _ transition: inout Transition, _ rules: LimitRules
    ) -> Fit {
        var fit = Fit()
        for resource in amounts.resources {
            let asked = amounts[resource]
            let counters = rules.counters(of: resource)
            for counter in BitIndexes(counters) {
                // Committed and held never exceed 64 bits together (`overflow` keeps it so).
                let total =
                    subjects.tenant.committed[unchecked: counter]
                    &+ subjects.tenant.held[unchecked: counter] &+ asked
                if exceeds(total, subjects.tenant.caps[unchecked: counter]) {
                    note(&fit, &subjects, counter, asked, rules)
                }
                if holds { transition.held[counter] = asked }
            }
            if holds { transition.held.present |= counters }
            if subjects.countsForProfile(resource, rules) {
                let total = subjects.profile.committed &+ subjects.profile.held &+ asked
                if exceeds(total, subjects.profile.cap) {
                    noteProfile(&fit, &subjects, asked, rules)
                }
                if holds {
                    transition.profileHeld = asked
                    transition.touchesProfile = true
                }
            }
        }
        if !fit.refused.isEmpty { fit.overflow = false }
        return fit
    }

    /// Whether a total leaves 64 bits, or is above a cap (-1: none).
    @inlinable @inline(always) static func exceeds(_ total: Int64, _ cap: Int64) -> Bool {
        total < 0 || UInt64(bitPattern: total) > UInt64(bitPattern: cap)
    }

    /// Takes a limit in that an amount may exceed.
    @usableFromInline @inline(never)
    static func note(
        _ fit: inout Fit, _ subjects: inout Subjects, _ counter: Int, _ asked: Int64,
        _ rules: LimitRules
    ) {
        guard asked > 0 else { return }
        fit.note(limit(counter, &subjects, rules), asked)
    }

    @usableFromInline @inline(never)
    static func noteProfile(
        _ fit: inout Fit, _ subjects: inout Subjects, _ asked: Int64, _ rules: LimitRules
    ) {
        guard asked > 0 else { return }
        fit.note(profileLimit(&subjects, rules), asked)
    }

    /// `Mode.partial`: the largest common fraction that every blocking limit leaves, rounded down. What is only ever held
    /// has no part in it: all of it fits, or none.
    ///
    /// - Parameter granted: what is asked for; unless something refuses, what may be taken.
    @usableFromInline @inline(never)
    static func shrunk(
        _ fit: Fit, _ subjects: inout Subjects, _ granted: inout Amounts,
        _ minimums: Amounts, _ rules: LimitRules
    ) -> Fit {
        let amounts = granted
        var left = fit
        left.refused = []
        left.tripped = []
        var divided = amounts
        divided.present &= ~rules.heldOnly
        var fraction = Fraction(numerator: 1, denominator: 1)
        forEachLimit(&subjects, amounts, rules) { limit, asked in
            guard !fit.refused.isDisjoint(with: limit.limits) else { return }
            guard divided.contains(limit.resource) else {
                left.refused.formUnion(limit.limits)
                left.tripped.formUnion(fit.tripped.intersection(limit.limits))
                return
            }
            let room = Fraction(numerator: max(0, limit.cap - limit.used), denominator: asked)
            if !room.meets(minimums, of: divided) {
                left.refused.formUnion(limit.limits)
                let ownRoom = min(asked, max(0, limit.cap - limit.judged))
                if !Fraction(numerator: ownRoom, denominator: asked).meets(minimums, of: divided) {
                    left.tripped.formUnion(limit.limits)
                }
            }
            if room < fraction { fraction = room }
        }
        guard left.refused.isEmpty else { return left }
        for resource in divided.resources {
            granted[resource] = fraction.of(amounts[resource])
        }
        // A smaller grant may stay under a cap that is set to alert only.
        left.warned = []
        left.overflow = false
        forEachLimit(&subjects, granted, rules) { limit, asked in
            let (total, overflow) = limit.used.addingReportingOverflow(asked)
            if overflow {
                left.overflow = true
            } else if limit.cap >= 0 && total > limit.cap && !limit.blocks {
                left.warned.formUnion(limit.limits)
            }
        }
        return left
    }

    /// Visits every limit that an amount above zero counts against, with the amount.
    static func forEachLimit(
        _ subjects: inout Subjects, _ amounts: Amounts, _ rules: LimitRules,
        _ visit: (Limit, Int64) -> Void
    ) {
        for resource in amounts.resources where amounts[resource] > 0 {
            for counter in BitIndexes(rules.counters(of: resource)) {
                visit(limit(counter, &subjects, rules), amounts[resource])
            }
            if subjects.countsForProfile(resource, rules) {
                visit(profileLimit(&subjects, rules), amounts[resource])
            }
        }
    }

    private static func limit(
        _ counter: Int, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> Limit {
        let committed = subjects.tenant.committed[counter]
        let used = committed + subjects.tenant.held[counter]
        return Limit(
            limits: rules.limit(ofCounter: counter), resource: rules.resource(of: counter),
            cap: subjects.tenant.caps[counter], used: used,
            judged: rules.heldOnlyCounters.hasBit(counter) ? used : committed,
            blocks: subjects.tenant.blocks(counter, rules))
    }

    /// A disabled limit neither refuses nor warns: it counts.
    private static func profileLimit(_ subjects: inout Subjects, _ rules: LimitRules) -> Limit {
        Limit(
            limits: rules.limits(of: subjects.profile.kind),
            resource: rules.resources(of: subjects.profile.kind).trailingZeroBitCount,
            cap: subjects.profile.enabled ? subjects.profile.cap : -1,
            used: subjects.profile.committed + subjects.profile.held,
            judged: subjects.profile.committed, blocks: true)
    }

    /// Fills in the states of a set of limits.
    @inlinable @inline(always)
    public static func describe(
        _ set: LimitSet, _ subjects: inout Subjects, _ rules: LimitRules, asOf now: Int64,
        into states: inout LimitStates
    ) {
        states.present = []
        if !set.isEmpty { fill(&states, set, &subjects, rules, asOf: now) }
    }

    @usableFromInline @inline(never)
    static func fill(
        _ states: inout LimitStates, _ set: LimitSet, _ subjects: inout Subjects,
        _ rules: LimitRules, asOf now: Int64
    ) {
        states.asOf = now
        for counter in 0..<LimitKind.counterCount {
            let kind = rules.kind(of: counter)
            if set.contains(kind) { states[kind] = subjects.tenant.limitState(counter, rules) }
        }
        let limit = rules.limit(of: subjects.profile.kind)
        if subjects.hasProfile && set.contains(limit) {
            states[limit] = subjects.profile.limitState
        }
    }
}

/// A fraction 0 ... 1 of what was asked; products in full width.
private struct Fraction {
    var numerator: Int64
    var denominator: Int64

    static func < (a: Fraction, b: Fraction) -> Bool {
        let left = a.numerator.multipliedFullWidth(by: b.denominator)
        let right = b.numerator.multipliedFullWidth(by: a.denominator)
        return left.high != right.high ? left.high < right.high : left.low < right.low
    }

    /// `amount` × fraction, rounded down.
    func of(_ amount: Int64) -> Int64 {
        denominator.dividingFullWidth(amount.multipliedFullWidth(by: numerator)).quotient
    }

    /// Whether every asked amount keeps at least its minimum (0 means 1; asked 0 is exempt).
    func meets(_ minimums: Amounts, of amounts: Amounts) -> Bool {
        for resource in amounts.resources where amounts[resource] > 0 {
            if of(amounts[resource]) < max(1, minimums[resource]) { return false }
        }
        return true
    }
}
