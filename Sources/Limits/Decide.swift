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
        @usableFromInline let committed: Int64
        @usableFromInline let held: Int64
        @usableFromInline let blocks: Bool

        @inlinable @inline(always) init(
            kind: LimitKind, resource: Int, cap: Int64, committed: Int64, held: Int64, blocks: Bool
        ) {
            self.kind = kind
            self.resource = resource
            self.cap = cap
            self.committed = committed
            self.held = held
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
            let used = limit.committed + limit.held
            let (total, overflow) = used.addingReportingOverflow(asked)
            guard overflow || (limit.cap >= 0 && total > limit.cap) else { return }
            if limit.cap >= 0 && limit.blocks {
                fit.refused.insert(limit.kind)
                if asked > limit.cap - limit.committed { fit.tripped.insert(limit.kind) }
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

    /// `Mode.partial`: the largest common fraction that every blocking limit leaves, rounded down.
    @usableFromInline @inline(never)
    static func shrunk(
        _ fit: Fit, _ subjects: inout Subjects, _ amounts: Amounts, _ minimums: Amounts,
        _ rules: LimitRules
    ) -> Fit {
        var fit = fit
        let over = fit.refused
        fit.refused = []
        fit.tripped = []
        var fraction = Fraction(numerator: 1, denominator: 1)
        forEachLimit(&subjects, amounts, rules) { limit in
            guard over.contains(limit.kind) else { return }
            let asked = amounts[limit.resource]
            let room = Fraction(
                numerator: max(0, limit.cap - (limit.committed + limit.held)), denominator: asked)
            if !room.meets(minimums, of: amounts) {
                fit.refused.insert(limit.kind)
                let ownRoom = min(asked, max(0, limit.cap - limit.committed))
                if !Fraction(numerator: ownRoom, denominator: asked).meets(minimums, of: amounts) {
                    fit.tripped.insert(limit.kind)
                }
            }
            if room < fraction { fraction = room }
        }
        guard fit.refused.isEmpty else { return fit }
        for resource in amounts.resources {
            fit.granted[resource] = fraction.of(amounts[resource])
        }
        // A smaller grant may stay under a cap that is set to alert only.
        fit.warned = []
        fit.overflow = false
        let granted = fit.granted
        forEachLimit(&subjects, granted, rules) { limit in
            let (total, overflow) = (limit.committed + limit.held)
                .addingReportingOverflow(granted[limit.resource])
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
        amounts.forEachResource { resource in
            guard amounts[resource] > 0 else { return }
            visit(
                Limit(
                    kind: .tenant(resource), resource: resource,
                    cap: subjects.tenant.caps[resource],
                    committed: subjects.tenant.committed[resource],
                    held: subjects.tenant.held[resource],
                    blocks: subjects.tenant.blocks(resource, rules)))
            if subjects.hasProfile && rules.profileResources.hasBit(resource) {
                // A disabled limit neither refuses nor warns: it counts.
                visit(
                    Limit(
                        kind: .profileDailySpend, resource: resource,
                        cap: subjects.profile.enabled ? subjects.profile.cap : -1,
                        committed: subjects.profile.committed, held: subjects.profile.held,
                        blocks: true))
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
        forEachResourceIndex { resource in
            guard set.contains(.tenant(resource)) else { return }
            states[.tenant(resource)] = subjects.tenant.limitState(resource, rules)
        }
        if set.contains(.profileDailySpend) {
            states[.profileDailySpend] = subjects.profile.limitState
        }
    }
}

extension LimitKind {
    /// The tenant's limit on a resource, by `Resource.index`.
    @inlinable @inline(always) public static func tenant(_ resource: Int) -> LimitKind {
        switch resource {
        case 0: .tenantMonthlySpend
        case 1: .tenantExtensions
        case 2: .tenantDIDs
        default: .tenantMonthlyMinutes
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
