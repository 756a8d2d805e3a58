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

        /// The one of `amounts` that counts against the profile; nil: none does.
        @inlinable @inline(always)
        public func profileResource(_ amounts: Amounts, _ rules: LimitRules) -> Int? {
            guard hasProfile else { return nil }
            let counting = rules.resources(of: profile.kind) & amounts.present
            return counting == 0 ? nil : counting.trailingZeroBitCount
        }

        /// The present windows, with amounts that are held or charged in them.
        @inlinable @inline(always)
        public func segment(_ amounts: Amounts) -> HoldSegment {
            HoldSegment(
                amounts: amounts, dayStart: hasProfile ? profile.dayStart : 0,
                cycleStart: tenant.cycleStart, tenantDay: tenant.dayStart)
        }
    }

    /// What fits: the result of holding the asked amounts against every limit that applies, at one instant.
    @usableFromInline struct Fit {
        /// What may be taken; meaningful unless something refused.
        @usableFromInline var granted: Amounts
        @usableFromInline var refused: LimitSet
        /// Refused also if nothing were held: the refusal may trip these.
        @usableFromInline var tripped: LimitSet
        @usableFromInline var warned: LimitSet
        /// A total would leave 64 bits, and nothing refused.
        @usableFromInline var overflow: Bool

        @inlinable @inline(always) init(granted: Amounts) {
            self.granted = granted
            refused = []
            tripped = []
            warned = []
            overflow = false
        }
    }

    /// One limit, as `fit` looks at it.
    @usableFromInline struct Limit {
        @usableFromInline let kind: LimitKind
        @usableFromInline let resource: Int
        @usableFromInline let cap: Int64
        @usableFromInline let used: Int64
        /// What a refusal trips the limit by: what is charged, not what others hold; of what is only ever held, that.
        @usableFromInline let judged: Int64
        @usableFromInline let blocks: Bool

        @inlinable @inline(always) init(
            kind: LimitKind, resource: Int, cap: Int64, used: Int64, judged: Int64, blocks: Bool
        ) {
            self.kind = kind
            self.resource = resource
            self.cap = cap
            self.used = used
            self.judged = judged
            self.blocks = blocks
        }
    }

    /// Holds amounts against every limit. An amount of zero is never refused.
    @inlinable @inline(always)
    static func fit(
        _ subjects: inout Subjects, amounts: Amounts, minimums: Amounts, partial: Bool,
        _ rules: LimitRules
    ) -> Fit {
        var fit = Fit(granted: amounts)
        forEachLimit(&subjects, amounts, rules) { limit in
            let asked = amounts[limit.resource]
            // Committed and held never exceed 64 bits together (`overflow` keeps it so).
            let (total, overflow) = limit.used.addingReportingOverflow(asked)
            guard overflow || (limit.cap >= 0 && total > limit.cap) else { return }
            if limit.cap >= 0 && limit.blocks {
                fit.refused.insert(limit.kind)
                if asked > limit.cap - limit.judged { fit.tripped.insert(limit.kind) }
            } else {
                if limit.cap >= 0 { fit.warned.insert(limit.kind) }
                if overflow { fit.overflow = true }
            }
        }
        if partial && !fit.refused.isEmpty {
            fit = shrunk(fit, &subjects, amounts, minimums, rules)
        }
        if !fit.refused.isEmpty { fit.overflow = false }
        return fit
    }

    /// `Mode.partial`: the largest common fraction that every blocking limit leaves, rounded down. What is only ever held
    /// has no part in it: all of it fits, or none.
    @usableFromInline @inline(never)
    static func shrunk(
        _ fit: Fit, _ subjects: inout Subjects, _ amounts: Amounts, _ minimums: Amounts,
        _ rules: LimitRules
    ) -> Fit {
        var fit = fit
        let over = fit.refused
        let tripped = fit.tripped
        fit.refused = []
        fit.tripped = []
        var divided = amounts
        divided.present &= ~rules.heldOnly
        var fraction = Fraction(numerator: 1, denominator: 1)
        forEachLimit(&subjects, amounts, rules) { limit in
            guard over.contains(limit.kind) else { return }
            guard divided.contains(limit.resource) else {
                fit.refused.insert(limit.kind)
                if tripped.contains(limit.kind) { fit.tripped.insert(limit.kind) }
                return
            }
            let asked = amounts[limit.resource]
            let room = Fraction(numerator: max(0, limit.cap - limit.used), denominator: asked)
            if !room.meets(minimums, of: divided) {
                fit.refused.insert(limit.kind)
                let ownRoom = min(asked, max(0, limit.cap - limit.judged))
                if !Fraction(numerator: ownRoom, denominator: asked).meets(minimums, of: divided) {
                    fit.tripped.insert(limit.kind)
                }
            }
            if room < fraction { fraction = room }
        }
        guard fit.refused.isEmpty else { return fit }
        for resource in divided.resources {
            fit.granted[resource] = fraction.of(amounts[resource])
        }
        // A smaller grant may stay under a cap that is set to alert only.
        fit.warned = []
        fit.overflow = false
        let granted = fit.granted
        forEachLimit(&subjects, granted, rules) { limit in
            let (total, overflow) = limit.used.addingReportingOverflow(granted[limit.resource])
            if overflow {
                fit.overflow = true
            } else if limit.cap >= 0 && total > limit.cap && !limit.blocks {
                fit.warned.insert(limit.kind)
            }
        }
        return fit
    }

    /// Visits every limit that an amount above zero counts against.
    @inlinable @inline(always)
    static func forEachLimit(
        _ subjects: inout Subjects, _ amounts: Amounts, _ rules: LimitRules,
        _ visit: (Limit) -> Void
    ) {
        for resource in amounts.resources where amounts[resource] > 0 {
            for counter in BitIndexes(rules.counters(of: resource)) {
                let committed = subjects.tenant.committed[counter]
                let used = committed + subjects.tenant.held[counter]
                visit(
                    Limit(
                        kind: rules.kind(of: counter), resource: resource,
                        cap: subjects.tenant.caps[counter], used: used,
                        judged: rules.heldOnlyCounters.hasBit(counter) ? used : committed,
                        blocks: subjects.tenant.blocks(counter, rules)))
            }
            if subjects.countsForProfile(resource, rules) {
                // A disabled limit neither refuses nor warns: it counts.
                visit(
                    Limit(
                        kind: rules.limit(of: subjects.profile.kind), resource: resource,
                        cap: subjects.profile.enabled ? subjects.profile.cap : -1,
                        used: subjects.profile.committed + subjects.profile.held,
                        judged: subjects.profile.committed, blocks: true))
            }
        }
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
