extension Decide {
    /// CheckAndReserve against a tenant that exists (semantics §3, from "suspension" on).
    ///
    /// Fills decision, refusals, warnings, treatment and granted of `answer`; ids, expiry and limit states are the
    /// caller's.
    @inlinable @inline(always)
    public static func check(
        _ subjects: inout Subjects, action: Action, amounts: inout Amounts,
        minimums: Amounts, mode: Mode, _ rules: LimitRules,
        answer: inout CheckAnswer, transition: inout Transition
    ) -> Verdict {
        answer.decision = .denied
        answer.replayed = false
        answer.refusedBySuspension = false
        answer.refused = []
        answer.warnings = []
        answer.reservationID = 0
        answer.expiresAt = 0
        if !answer.granted.isEmpty { answer.granted = Amounts() }
        answer.treatment = .none
        answer.raised = []
        if subjects.tenant.status == .suspended {
            answer.refusedBySuspension = true
            answer.treatment = .suspended(action)
            return .denied
        }
        let fit =
            mode == .partial
            ? partialFit(&subjects, &amounts, minimums, &transition, rules, &answer.granted)
            : fit(&subjects, amounts: &amounts, holds: mode == .reserve, &transition, rules)
        if fit.overflow { return .overflow }
        answer.warnings = fit.warned
        guard fit.refused.isEmpty else {
            answer.refused = fit.refused
            answer.treatment = .reject
            answer.granted = Amounts()
            holdNothing(&transition)
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
            if rules.heldOnly & amounts.present != 0 { raiseHeld(&subjects, &transition, rules) }
        case .partial:
            hold(answer.granted, &subjects, &transition, rules)
        case .commit:
            charge(&amounts, &subjects, &transition, rules)
            answer.raised = alerts(of: transition, &subjects, rules).events
            transition.raise(answer.raised, subjects.profile, rules)
        }
        return .allowed
    }

    /// `fit` of `Mode.partial`.
    ///
    /// - Parameter granted: what may be taken, unless something refused.
    @usableFromInline @inline(never)
    static func partialFit(
        _ subjects: inout Subjects, _ amounts: inout Amounts, _ minimums: Amounts,
        _ transition: inout Transition, _ rules: LimitRules, _ granted: inout Amounts
    ) -> Fit {
        var fit = fit(&subjects, amounts: &amounts, holds: false, &transition, rules)
        granted = amounts
        if !fit.refused.isEmpty { fit = shrunk(fit, &subjects, &granted, minimums, rules) }
        if !fit.refused.isEmpty { fit.overflow = false }
        return fit
    }

    /// What was put into the transition on the way to a refusal is not held.
    @usableFromInline @inline(never)
    static func holdNothing(_ transition: inout Transition) {
        transition.held = CounterDeltas()
        transition.profileHeld = 0
        transition.touchesProfile = false
    }

    @usableFromInline @inline(never)
    static func raiseHeld(
        _ subjects: inout Subjects, _ transition: inout Transition, _ rules: LimitRules
    ) {
        transition.raise(alerts(ofHeld: transition, &subjects, rules), subjects.profile, rules)
    }

    /// The limits that apply to a set of resources.
    public static func applicable(
        _ amounts: Amounts, _ subjects: inout Subjects, _ rules: LimitRules
    ) -> LimitSet {
        var set: LimitSet = []
        for resource in amounts.resources { set.formUnion(rules.limits(of: resource)) }
        if subjects.profileResource(amounts.present, rules) != nil {
            set.formUnion(rules.limits(of: subjects.profile.kind))
        }
        return set
    }

    /// Adds amounts to what is held.
    @usableFromInline @inline(never)
    static func hold(
        _ amounts: Amounts, _ subjects: inout Subjects, _ transition: inout Transition,
        _ rules: LimitRules
    ) {
        for resource in amounts.resources {
            for counter in BitIndexes(rules.counters(of: resource)) {
                transition.held.set(counter, amounts[resource])
            }
        }
        if let resource = subjects.profileResource(amounts.present, rules) {
            transition.profileHeld = amounts[resource]
            transition.touchesProfile = true
        }
        if rules.heldOnly & amounts.present != 0 { raiseHeld(&subjects, &transition, rules) }
    }

    /// Adds amounts to what is charged.
    @inlinable @inline(always)
    static func charge(
        _ amounts: inout Amounts, _ subjects: inout Subjects,
        _ transition: inout Transition, _ rules: LimitRules
    ) {
        for resource in amounts.resources {
            for counter in BitIndexes(rules.counters(of: resource)) {
                transition.committed.set(counter, amounts[resource])
            }
        }
        if let resource = subjects.profileResource(amounts.present, rules) {
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
        var granted = additional
        let fit =
            mode == .partial
            ? partialFit(&subjects, &granted, minimums, &transition, rules, &answer.granted)
            : fit(&subjects, amounts: &granted, holds: false, &transition, rules)
        if fit.overflow { return .overflow }
        answer.warnings = fit.warned
        guard fit.refused.isEmpty else {
            answer.refused = fit.refused
            answer.treatment = .reject
            answer.granted = Amounts()
            transition.raise(alerts(ofRefusal: fit, &subjects, rules), subjects.profile, rules)
            return .denied
        }
        answer.decision = .allowed
        if asks {
            hold(mode == .partial ? answer.granted : additional, &subjects, &transition, rules)
        }
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
        if let resource = subjects.profileResource(amounts.present, rules),
            overflows(subjects.profile.committed, subjects.profile.held, amounts[resource])
        {
            return .overflow
        }
        var amounts = amounts
        charge(&amounts, &subjects, &transition, rules)
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
