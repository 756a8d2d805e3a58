extension Decide {
    /// CheckAndReserve against a tenant that exists (semantics §3, from "suspension" on).
    ///
    /// Fills decision, refusals, warnings, treatment and granted of `answer`; ids, expiry and limit states are the
    /// caller's. `evaluated` is the set of limits that applied.
    @inlinable @inline(always)
    public static func check(
        _ subjects: inout Subjects, action: Action, amounts: Amounts, minimums: Amounts,
        mode: Mode, _ rules: LimitRules, answer: inout CheckAnswer, transition: inout Transition,
        evaluated: inout LimitSet
    ) -> Verdict {
        answer.decision = .denied
        answer.replayed = false
        answer.refusedBySuspension = false
        answer.refused = []
        answer.warnings = []
        answer.reservationID = 0
        answer.expiresAt = 0
        answer.granted = Amounts()
        answer.treatment = .none
        answer.raised = []
        evaluated = []
        if subjects.tenant.status == .suspended {
            answer.refusedBySuspension = true
            answer.treatment = .suspended(action)
            return .denied
        }
        let fit = fit(
            &subjects, amounts: amounts, minimums: minimums, partial: mode == .partial, rules)
        if fit.overflow { return .overflow }
        evaluated = applicable(amounts, &subjects, rules)
        answer.warnings = fit.warned
        guard fit.refused.isEmpty else {
            answer.refused = fit.refused
            answer.treatment = .reject
            if mode != .checkOnly {
                transition.raise(
                    alerts(ofRefusal: fit, &subjects, rules), subjects.profile, rules)
            }
            return .denied
        }
        answer.decision = .allowed
        switch mode {
        case .checkOnly:
            break
        case .reserve:
            hold(amounts, &subjects, &transition, rules)
        case .partial:
            answer.granted = fit.granted
            hold(fit.granted, &subjects, &transition, rules)
        case .commit:
            charge(amounts, &subjects, &transition, rules)
            answer.raised = alerts(of: transition, &subjects, rules).events
            transition.raise(answer.raised, subjects.profile, rules)
        }
        return .allowed
    }

    /// The limits that apply to a set of resources.
    @inlinable @inline(always) static func applicable(
        _ amounts: Amounts, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> LimitSet {
        var set: LimitSet = []
        for resource in amounts.resources { set.formUnion(rules.limits(of: resource)) }
        if subjects.profileResource(amounts, rules) != nil {
            set.insert(rules.limit(of: subjects.profile.kind))
        }
        return set
    }

    /// Adds amounts to what is held.
    @inlinable @inline(always)
    static func hold(
        _ amounts: Amounts, _ subjects: inout Subjects, _ transition: inout Transition,
        _ rules: LimitRules
    ) {
        for resource in amounts.resources {
            for counter in BitIndexes(rules.counters(of: resource)) {
                transition.held.set(counter, amounts[resource])
            }
        }
        if let resource = subjects.profileResource(amounts, rules) {
            transition.profileHeld = amounts[resource]
            transition.touchesProfile = true
        }
        if rules.heldOnly & amounts.present != 0 {
            transition.raise(
                alerts(ofHeld: transition, &subjects, rules), subjects.profile, rules)
        }
    }

    /// Adds amounts to what is charged.
    @inlinable @inline(always)
    static func charge(
        _ amounts: Amounts, _ subjects: inout Subjects, _ transition: inout Transition,
        _ rules: LimitRules
    ) {
        for resource in amounts.resources {
            for counter in BitIndexes(rules.counters(of: resource)) {
                transition.committed.set(counter, amounts[resource])
            }
        }
        if let resource = subjects.profileResource(amounts, rules) {
            transition.profileCommitted = amounts[resource]
            transition.touchesProfile = true
        }
    }

    /// Room added to a reservation (Extend). As `check` in mode RESERVE or PARTIAL; `answer` gets decision,
    /// refusals, warnings, treatment and granted.
    public static func extend(
        _ subjects: inout Subjects, action: Action, additional: Amounts, minimums: Amounts,
        mode: Mode, _ rules: LimitRules, answer: inout ExtendAnswer, transition: inout Transition
    ) -> Verdict {
        let asks = additional.resources.contains { additional[$0] > 0 }
        answer = ExtendAnswer()
        if asks && subjects.tenant.status == .suspended {
            answer.refusedBySuspension = true
            answer.treatment = .suspended(action)
            return .denied
        }
        let fit = fit(
            &subjects, amounts: additional, minimums: minimums, partial: mode == .partial, rules)
        if fit.overflow { return .overflow }
        answer.warnings = fit.warned
        guard fit.refused.isEmpty else {
            answer.refused = fit.refused
            answer.treatment = .reject
            transition.raise(alerts(ofRefusal: fit, &subjects, rules), subjects.profile, rules)
            return .denied
        }
        answer.decision = .allowed
        if mode == .partial { answer.granted = fit.granted }
        if asks { hold(fit.granted, &subjects, &transition, rules) }
        return .allowed
    }

    /// RecordUsage: never refused by a limit or a suspension. Returns the limits that this usage reached in `reached`.
    public static func record(
        _ subjects: inout Subjects, amounts: Amounts, _ rules: LimitRules,
        transition: inout Transition, reached: inout LimitSet
    ) -> Verdict {
        for resource in amounts.resources {
            let amount = amounts[resource]
            for counter in BitIndexes(rules.counters(of: resource)) {
                let committed = subjects.tenant.committed[counter]
                if amount < 0 {
                    // Counts only; committed is never negative, so this cannot overflow.
                    if committed + amount < 0 { return .belowZero }
                } else if overflows(committed, subjects.tenant.held[counter], amount) {
                    return .overflow
                }
            }
        }
        if let resource = subjects.profileResource(amounts, rules),
            overflows(subjects.profile.committed, subjects.profile.held, amounts[resource])
        {
            return .overflow
        }
        charge(amounts, &subjects, &transition, rules)
        let alerts = alerts(of: transition, &subjects, rules)
        transition.raise(alerts.events, subjects.profile, rules)
        reached = alerts.reached
        return .allowed
    }

    /// Whether the sum of three amounts, none negative, leaves 64 bits.
    @inline(always)
    static func overflows(_ a: Int64, _ b: Int64, _ c: Int64) -> Bool {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow || sum.addingReportingOverflow(c).overflow
    }
}
