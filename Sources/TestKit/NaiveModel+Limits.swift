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
        return tenants[limit.subject]?.settings.limits.cap(Self.resource(of: limit.kind))
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
            let number = now >= 0 ? now / day : (now - day + 1) / day
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
    /// Choice: all thresholds, then all caps reached, limits in the order of their numbers; the
    /// suspension, if any, comes last.
    mutating func raiseAlarms(tenantID: String, _ touched: Touched) {
        guard let settings = tenants[tenantID]?.settings else { return }
        var isSuspending = false
        var reached: [ModelEvent] = []
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
        events += reached
        // Choice: a closed tenant stays closed.
        if isSuspending, tenants[tenantID]?.status == .active {
            tenants[tenantID]?.status = .suspended
            events.append(.suspended(tenantID: tenantID))
        }
    }

    /// - Returns: true the first time in this window and under this setting.
    private mutating func latch(_ alarm: Alarm, _ limit: LimitReference) -> Bool {
        let latch = Latch(alarm: alarm, limit: limit, windowStart: currentWindow(limit).start)
        return latches.insert(latch).inserted
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
        // Choice: an unlimited limit says what it would do if it had a cap.
        state.blocking = isBlocking(limit)
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
        return profile.settings.tenantID == tenantID
    }
}
