import Limits

// The table of semantics §1 and the policy of §4.
extension NaiveModel {
    static let tenantLimits: [LimitKind] = [
        .tenantMonthlySpend, .tenantExtensions, .tenantDIDs, .tenantMonthlyMinutes,
    ]

    /// What a limit counts.
    static func resource(of kind: LimitKind) -> Resource {
        switch kind {
        case .profileDailySpend, .tenantMonthlySpend: .spend
        case .tenantExtensions: .extensions
        case .tenantDIDs: .dids
        case .tenantMonthlyMinutes: .callSeconds
        }
    }

    static func isStandingCount(_ kind: LimitKind) -> Bool {
        kind == .tenantExtensions || kind == .tenantDIDs
    }

    /// Every limit that counts a resource: spend with a profile counts twice.
    func limits(
        counting resource: Resource, tenantID: String, profileID: String
    ) -> [LimitReference] {
        LimitKind.allCases.filter { Self.resource(of: $0) == resource }.compactMap { kind in
            if kind == .profileDailySpend {
                return profileID.isEmpty
                    ? nil : LimitReference(kind: kind, subject: profileID)
            }
            return LimitReference(kind: kind, subject: tenantID)
        }
    }

    /// The tenant whose settings govern a limit.
    func tenant(of limit: LimitReference) -> Tenant? {
        guard limit.kind == .profileDailySpend else { return tenants[limit.subject] }
        return profiles[limit.subject].flatMap { tenants[$0.settings.tenantID] }
    }

    /// nil: no limit.
    func cap(of limit: LimitReference) -> Int64? {
        if limit.kind == .profileDailySpend {
            return profiles[limit.subject]?.settings.dailySpendLimitNanos
        }
        return tenants[limit.subject]?.settings.limits[limit.kind]
    }

    /// Only a profile's limit can be disabled.
    func isEnabled(_ limit: LimitReference) -> Bool {
        guard limit.kind == .profileDailySpend else { return true }
        return profiles[limit.subject]?.settings.dailySpendLimitEnabled == true
    }

    /// Whether the limit refuses what does not fit, by the table of §4.
    func isBlocking(_ limit: LimitReference) -> Bool {
        // "Refuse (40333) while enabled"; on_limit never touches profile caps.
        if limit.kind == .profileDailySpend { return isEnabled(limit) }
        guard let settings = tenants[limit.subject]?.settings else { return false }
        switch settings.onLimit {
        case .alert: return false
        case .block: return true
        case .auto: return Self.isStandingCount(limit.kind) || settings.limits.autoSuspend
        }
    }

    /// Where usage of this instant adds up.
    func currentTotal(_ limit: LimitReference) -> TotalKey {
        TotalKey(
            limit: limit,
            windowStart: Self.isStandingCount(limit.kind) ? 0 : currentWindow(limit).start)
    }

    /// The window in which alarms are raised once; of all but counts also that of the total.
    func currentWindow(_ limit: LimitReference) -> CycleWindow {
        if limit.kind == .profileDailySpend {
            let day: Int64 = 86_400_000
            let number = windowTime >= 0 ? windowTime / day : (windowTime - day + 1) / day
            return CycleWindow(start: number * day, end: (number + 1) * day)
        }
        guard let cycle = tenants[limit.subject]?.cycle else {
            preconditionFailure("a limit of an unknown tenant")
        }
        return cycle
    }

    func total(_ key: TotalKey) -> Total { totals[key] ?? Total() }

    // MARK: Alarms

    /// What a transition has touched, as far as alarms are concerned.
    struct Touched {
        /// Limits whose committed total of the present window (or standing count) was raised.
        var raised: Set<LimitReference> = []
        /// Limits that refused.
        var refused: Set<LimitReference> = []
        /// Those of `refused` that refused for more than the holds of others.
        var trippedByRefusal: Set<LimitReference> = []
    }

    /// Thresholds, caps reached and suspension, after a transition of a tenant (§4).
    ///
    /// Choice: all thresholds, then all caps reached, then requests that were too large, limits in the order of their
    /// numbers; the suspension, if any, comes last.
    mutating func raiseAlarms(tenantID: String, _ touched: Touched) {
        guard let settings = tenants[tenantID]?.settings else { return }
        var isSuspending = false
        var reached: [ModelEvent] = []
        var refusals: [ModelEvent] = []
        let limits = touched.raised.union(touched.refused)
        for limit in limits.sorted(by: { $0.kind.rawValue < $1.kind.rawValue }) {
            // "Nothing is raised for a disabled limit."
            guard isEnabled(limit), let cap = cap(of: limit) else { continue }
            let committed = total(currentTotal(limit)).committed
            let percent = Int128(settings.limits.alertThresholdPercent)
            if cap > 0, Int128(committed) * 100 >= Int128(cap) * percent,
                latch(.threshold, limit)
            {
                events.append(.thresholdReached(limit.kind, subject: limit.subject))
            }
            let isTrippedByUsage =
                touched.raised.contains(limit) && Self.isStandingCount(limit.kind) == false
                && committed >= cap
            if touched.trippedByRefusal.contains(limit),
                Int128(committed) * 100 < Int128(cap) * Self.refusalTripsFromPercent(limit.kind)
            {
                // "Refused and suspends nobody: an estimate is no bill."
                if latch(.refusal, limit) {
                    refusals.append(.requestRefused(limit.kind, subject: limit.subject))
                }
                continue
            }
            guard isTrippedByUsage || touched.trippedByRefusal.contains(limit) else { continue }
            if latch(.reached, limit) {
                reached.append(.limitReached(limit.kind, subject: limit.subject))
            }
            if limit.kind != .profileDailySpend, settings.limits.autoSuspend,
                settings.onLimit != .alert
            {
                isSuspending = true
            }
        }
        events += reached + refusals
        // Choice: a closed tenant stays closed.
        if isSuspending, tenants[tenantID]?.status == .active {
            tenants[tenantID]?.status = .suspended
            tenants[tenantID]?.isSuspendedByUsage = touched.raised.isEmpty == false
            events.append(.suspended(tenantID: tenantID))
        }
    }

    /// - Returns: true the first time in this window and under this setting.
    private mutating func latch(
        _ alarm: Alarm, _ limit: LimitReference, in start: Int64? = nil
    ) -> Bool {
        let latch = Latch(
            alarm: alarm, limit: limit, windowStart: start ?? currentWindow(limit).start)
        return latches.insert(latch).inserted
    }

    /// The column of the catalogue: "trips only once at least 80 % of the cap is committed"; counts at once.
    static func refusalTripsFromPercent(_ kind: LimitKind) -> Int128 {
        isStandingCount(kind) ? 0 : 80
    }

    // MARK: Windows that end

    /// "The rollover judges the window that ends once, with committed + held: threshold and limit-reached are raised for
    /// it if they are due; it suspends nobody."
    ///
    /// Choice: with the first transition of the subject in a later window, or by itself (`.judge`), by the settings in front
    /// of that transition. Counts stand, so no window of theirs ends.
    mutating func judgeEndedWindows(tenantID: String, profileID: String = "") {
        guard let tenant = tenants[tenantID] else { return }
        var ended: [(limit: LimitReference, start: Int64)] = []
        if let profile = profiles[profileID] {
            let limit = LimitReference(kind: .profileDailySpend, subject: profileID)
            let day = currentWindow(limit).start
            if profile.judgedDay != day {
                ended.append((limit, profile.judgedDay))
                profiles[profileID]?.judgedDay = day
            }
        }
        if tenant.judgedCycle != tenant.cycle.start {
            for kind in Self.tenantLimits where Self.isStandingCount(kind) == false {
                ended.append((LimitReference(kind: kind, subject: tenantID), tenant.judgedCycle))
            }
            tenants[tenantID]?.judgedCycle = tenant.cycle.start
        }
        var reached: [ModelEvent] = []
        for (limit, start) in ended {
            let total = total(TotalKey(limit: limit, windowStart: start))
            let used = Int128(total.committed) + Int128(total.held)
            guard used > 0, isEnabled(limit), let cap = cap(of: limit) else { continue }
            let percent = Int128(tenant.settings.limits.alertThresholdPercent)
            if cap > 0, used * 100 >= Int128(cap) * percent, latch(.threshold, limit, in: start) {
                events.append(.windowEndedAtThreshold(limit.kind, subject: limit.subject))
            }
            if used >= Int128(cap), latch(.reached, limit, in: start) {
                reached.append(.windowEndedAtLimit(limit.kind, subject: limit.subject))
            }
        }
        events += reached
    }

    /// Choice: once in a quarter of an hour, with which every window ends. What is deleted is told of no more, unless a hold
    /// of it is settled. What has nothing to raise stays as it is, to be judged by a transition.
    mutating func judgeEndedWindows() {
        let quarter = windowTime / 900_000
        guard judgedQuarter != quarter else { return }
        judgedQuarter = quarter
        for id in tenants.keys.sorted() { judgeByItself(tenantID: id.text, profileID: "") }
        for profile in profiles.values.sorted(by: { $0.settings.id < $1.settings.id })
        where profile.isClosed == false {
            judgeByItself(tenantID: profile.settings.tenantID, profileID: profile.settings.id)
        }
    }

    private mutating func judgeByItself(tenantID: String, profileID: String) {
        guard let tenant = tenants[tenantID], tenant.status != .closed else { return }
        let judgedDay = profiles[profileID]?.judgedDay
        let before = events.count
        judgeEndedWindows(tenantID: tenantID, profileID: profileID)
        guard events.count == before else { return }
        tenants[tenantID]?.judgedCycle = tenant.judgedCycle
        if let judgedDay { profiles[profileID]?.judgedDay = judgedDay }
    }

    // MARK: Charges that are taken back

    /// Reinstates a tenant that a charge had suspended which is reversed now, unless something is tripped without it.
    ///
    /// Choice: an alert that the charge raised and that is due without it stays raised.
    mutating func takeSuspensionBack(tenantID: String, raised: [ModelEvent]) {
        guard let tenant = tenants[tenantID], raised.contains(.suspended(tenantID: tenantID)),
            tenant.status == .suspended, tenant.isSuspendedByUsage
        else { return }
        for kind in Self.tenantLimits where Self.isStandingCount(kind) == false {
            let limit = LimitReference(kind: kind, subject: tenantID)
            let committed = total(currentTotal(limit)).committed
            if let cap = cap(of: limit), committed > 0, committed >= cap { return }
        }
        tenants[tenantID]?.status = .active
        events.append(.reinstated(tenantID: tenantID))
        let percent = Int128(tenant.settings.limits.alertThresholdPercent)
        for event in raised {
            switch event {
            case .thresholdReached(let kind, let subject):
                let limit = LimitReference(kind: kind, subject: subject)
                let committed = Int128(total(currentTotal(limit)).committed)
                if committed * 100 < Int128(cap(of: limit) ?? 0) * percent {
                    unlatch(.threshold, limit)
                }
            case .limitReached(let kind, let subject):
                let limit = LimitReference(kind: kind, subject: subject)
                if total(currentTotal(limit)).committed < cap(of: limit) ?? 0 {
                    unlatch(.reached, limit)
                }
            default: break
            }
        }
    }

    private mutating func unlatch(_ alarm: Alarm, _ limit: LimitReference) {
        latches.remove(
            Latch(alarm: alarm, limit: limit, windowStart: currentWindow(limit).start))
    }

    // MARK: Warnings and states

    /// Limits that usage reached or passed: those raised, not disabled, with committed ≥ cap.
    func reachedOrPassed(_ raised: Set<LimitReference>) -> LimitSet {
        var result: LimitSet = []
        for limit in raised where isEnabled(limit) {
            if let cap = cap(of: limit), total(currentTotal(limit)).committed >= cap {
                result.insert(limit.kind)
            }
        }
        return result
    }

    func state(of limit: LimitReference) -> LimitState {
        let total = total(currentTotal(limit))
        var state = LimitState()
        state.cap = cap(of: limit)
        state.committed = total.committed
        state.held = total.held
        if Self.isStandingCount(limit.kind) == false {
            state.windowStart = currentWindow(limit).start
            state.resetsAt = currentWindow(limit).end
        }
        // "True only for a limit that has a cap, is enabled and refuses."
        state.blocking = isBlocking(limit) && state.cap != nil
        return state
    }

    func usage(tenantID: String, profileID: String) -> ModelAnswer {
        guard let tenant = tenants[tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        var answer = ModelUsageAnswer()
        answer.tenantStatus = tenant.status
        for kind in Self.tenantLimits {
            answer.limits[kind] = state(of: LimitReference(kind: kind, subject: tenantID))
        }
        if profileID.isEmpty == false {
            guard isUsable(profileID: profileID, tenantID: tenantID) else {
                return .failure(.notFound)
            }
            answer.limits[.profileDailySpend] = state(
                of: LimitReference(kind: .profileDailySpend, subject: profileID))
        }
        return .usage(answer)
    }

    /// No profile at all, or an open one of this tenant; another tenant's reads as NOT_FOUND.
    func isUsable(profileID: String, tenantID: String) -> Bool {
        if profileID.isEmpty { return true }
        guard let profile = profiles[profileID], profile.isClosed == false else { return false }
        return profile.settings.tenantID.hasSameBytes(as: tenantID)
    }
}
