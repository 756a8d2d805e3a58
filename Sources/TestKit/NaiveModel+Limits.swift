import Limits

// The table of semantics §1, read from the catalogue's rows, and the policy of §4.
extension NaiveModel {
    static let tenantLimits = LimitKind.catalogue.filter { $0.subject == .tenant }.map(\.kind)

    /// Settling frees it and charges nothing.
    static func isOnlyHeld(_ resource: Resource) -> Bool { resource.row.nature == .held }

    /// What a limit is judged by: what is charged; of what is only ever held, that.
    static func judged(_ total: Total, _ kind: LimitKind) -> Int64 {
        isOnlyHeld(kind.row.resource) ? total.held : total.committed
    }

    /// Every limit that counts a resource: spend with a profile counts there too.
    func limits(
        counting resource: Resource, tenantID: String, profileID: String
    ) -> [LimitReference] {
        let own = Self.tenantLimits.filter { $0.row.resource == resource }.map {
            LimitReference(kind: $0, subject: tenantID)
        }
        guard let limit = profiles[profileID]?.limit, limit.kind.row.resource == resource else {
            return own
        }
        return own + [limit]
    }

    /// nil: no limit.
    func cap(of limit: LimitReference) -> Int64? {
        if limit.kind.row.subject == .tenant {
            return tenants[limit.subject]?.settings.limits[limit.kind]
        }
        return profiles[limit.subject]?.settings.dailySpendLimitNanos
    }

    /// Only a profile's limit can be disabled.
    func isEnabled(_ limit: LimitReference) -> Bool {
        limit.kind.row.subject == .tenant
            || profiles[limit.subject]?.settings.dailySpendLimitEnabled == true
    }

    /// Whether the limit refuses what does not fit, by the table of §4.
    func isBlocking(_ limit: LimitReference) -> Bool {
        // "Refuse (40333) while enabled"; on_limit never touches profile caps.
        guard limit.kind.row.subject == .tenant else { return isEnabled(limit) }
        guard let settings = tenants[limit.subject]?.settings else { return false }
        switch settings.onLimit {
        case .alert: return false
        case .block: return true
        case .auto:
            return limit.kind.row.blocksOnlyWithAutoSuspend == false || settings.limits.autoSuspend
        }
    }

    /// Where usage of this instant adds up.
    func currentTotal(_ limit: LimitReference) -> TotalKey {
        TotalKey(
            limit: limit,
            windowStart: limit.kind.row.window == .standing ? 0 : currentWindow(limit).start)
    }

    var utcDay: CycleWindow {
        let day: Int64 = 86_400_000
        let number = windowTime >= 0 ? windowTime / day : (windowTime - day + 1) / day
        return CycleWindow(start: number * day, end: (number + 1) * day)
    }

    /// The window in which alarms are raised once; of all but standing counts also that of the total.
    func currentWindow(_ limit: LimitReference) -> CycleWindow {
        if limit.kind.row.window == .utcDay { return utcDay }
        guard let tenant = tenants[limit.subject] else {
            preconditionFailure("a limit of an unknown tenant")
        }
        return limit.kind.row.window == .tenantDay ? tenant.day : tenant.cycle
    }

    func total(_ key: TotalKey) -> Total { totals[key] ?? Total() }

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
        if limit.kind.row.window != .standing {
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
            guard let profile = profiles[profileID],
                isUsable(profileID, profile.settings.kind, tenantID: tenantID)
            else { return .failure(.notFound) }
            answer.limits[profile.limit.kind] = state(of: profile.limit)
        }
        return .usage(answer)
    }

    /// No profile at all, or an open one of this tenant and kind; another one reads as NOT_FOUND.
    func isUsable(_ profileID: String, _ kind: ProfileKind?, tenantID: String) -> Bool {
        if profileID.isEmpty { return true }
        guard let profile = profiles[profileID], profile.isClosed == false else { return false }
        return profile.settings.tenantID.hasSameBytes(as: tenantID) && profile.settings.kind == kind
    }
}
