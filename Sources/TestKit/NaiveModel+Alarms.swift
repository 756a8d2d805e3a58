import Limits

// When something is raised, and what suspends (semantics §4); windows that end (§2).
extension NaiveModel {
    /// What a transition has touched, as far as alarms are concerned.
    struct Touched {
        /// Limits whose committed total of the present window (or standing count) was raised.
        var raised: Set<LimitReference> = []
        /// Limits on what is only ever held, of which more is held now.
        var held: Set<LimitReference> = []
        /// Limits that refused.
        var refused: Set<LimitReference> = []
        /// Those of `refused` that refused for more than the holds of others.
        var trippedByRefusal: Set<LimitReference> = []
    }

    /// Thresholds, caps reached and suspension, after a transition of a tenant (§4).
    ///
    /// Choice: all first thresholds, then all second ones and so on, then all caps reached, then requests that were too
    /// large, limits in the order of their numbers; the suspension, if any, comes last.
    mutating func raiseAlarms(tenantID: String, _ touched: Touched) {
        guard let settings = tenants[tenantID]?.settings else { return }
        var isSuspending = false
        var thresholds: [[ModelEvent]] = settings.limits.alertThresholds.map { _ in [] }
        var reached: [ModelEvent] = []
        var refusals: [ModelEvent] = []
        let limits = touched.raised.union(touched.held).union(touched.refused)
        for limit in limits.sorted(by: { $0.kind.rawValue < $1.kind.rawValue }) {
            // "Nothing is raised for a disabled limit."
            guard isEnabled(limit), let cap = cap(of: limit) else { continue }
            let row = limit.kind.row
            let judged = Self.judged(total(currentTotal(limit)), limit.kind)
            for level in dueThresholds(settings.limits, judged: Int128(judged), cap: cap)
            where latch(.threshold(level), limit) {
                thresholds[level].append(
                    .thresholdReached(limit.kind, subject: limit.subject, level: level))
            }
            let isTrippedByUsage =
                touched.raised.contains(limit) && row.tripsByUsage && judged >= cap
            if touched.trippedByRefusal.contains(limit),
                Int128(judged) * 100 < Int128(cap) * Int128(row.refusalTripsFromPercent)
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
            if row.suspends, settings.limits.autoSuspend, settings.onLimit != .alert {
                isSuspending = true
            }
        }
        events += thresholds.flatMap(\.self) + reached + refusals
        // Choice: a closed tenant stays closed.
        if isSuspending, tenants[tenantID]?.status == .active {
            tenants[tenantID]?.status = .suspended
            tenants[tenantID]?.isSuspendedByUsage = touched.raised.isEmpty == false
            events.append(.suspended(tenantID: tenantID))
        }
    }

    /// The same after something was held: of what is only ever held, thresholds are judged by that.
    mutating func raiseAlarms(
        ofHolding amounts: ModelAmounts, tenantID: String, profileID: String
    ) {
        var touched = Touched()
        for (resource, amount) in amounts where amount > 0 && Self.isOnlyHeld(resource) {
            touched.held.formUnion(
                limits(counting: resource, tenantID: tenantID, profileID: profileID))
        }
        raiseAlarms(tenantID: tenantID, touched)
    }

    /// Levels whose percent of a cap is reached; a cap of 0 has none.
    private func dueThresholds(_ limits: TenantLimits, judged: Int128, cap: Int64) -> [Int] {
        limits.alertThresholds.enumerated().compactMap { level, percent in
            let isDue = cap > 0 && percent > 0 && judged * 100 >= Int128(cap) * Int128(percent)
            return isDue ? level : nil
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

    // MARK: Windows that end

    /// "The rollover judges the window that ends once, with committed + held: threshold and limit-reached are raised for
    /// it if they are due; it suspends nobody." Of several thresholds that are due there is one event.
    ///
    /// Choice: with the first transition of the subject in a later window, or by itself (`.judge`), by the settings in front
    /// of that transition. Counts stand, so no window of theirs ends.
    mutating func judgeEndedWindows(tenantID: String, profileID: String = "") {
        guard let tenant = tenants[tenantID] else { return }
        var ended: [(limit: LimitReference, start: Int64)] = []
        let today = utcDay.start
        if let profile = profiles[profileID], profile.judgedDay != today {
            ended.append((profile.limit, profile.judgedDay))
            profiles[profileID]?.judgedDay = today
        }
        for kind in Self.tenantLimits {
            let limit = LimitReference(kind: kind, subject: tenantID)
            if kind.row.window == .billingCycle, tenant.judgedCycle != tenant.cycle.start {
                ended.append((limit, tenant.judgedCycle))
            }
            if kind.row.window == .tenantDay, tenant.judgedDay != tenant.day.start {
                ended.append((limit, tenant.judgedDay))
            }
        }
        tenants[tenantID]?.judgedCycle = tenant.cycle.start
        tenants[tenantID]?.judgedDay = tenant.day.start
        var reached: [ModelEvent] = []
        for (limit, start) in ended.sorted(by: { $0.limit.kind.rawValue < $1.limit.kind.rawValue })
        {
            let total = total(TotalKey(limit: limit, windowStart: start))
            let used = Int128(total.committed) + Int128(total.held)
            guard used > 0, isEnabled(limit), let cap = cap(of: limit) else { continue }
            let due = dueThresholds(tenant.settings.limits, judged: used, cap: cap)
            if due.filter({ latch(.threshold($0), limit, in: start) }).isEmpty == false {
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
        tenants[tenantID]?.judgedDay = tenant.judgedDay
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
        for kind in Self.tenantLimits where kind.row.tripsByUsage && kind.row.suspends {
            let limit = LimitReference(kind: kind, subject: tenantID)
            let committed = total(currentTotal(limit)).committed
            if let cap = cap(of: limit), committed > 0, committed >= cap { return }
        }
        tenants[tenantID]?.status = .active
        events.append(.reinstated(tenantID: tenantID))
        for event in raised {
            switch event {
            case .thresholdReached(let kind, let subject, let level):
                let limit = LimitReference(kind: kind, subject: subject)
                let due = dueThresholds(
                    tenant.settings.limits, judged: Int128(total(currentTotal(limit)).committed),
                    cap: cap(of: limit) ?? 0)
                if due.contains(level) == false { unlatch(.threshold(level), limit) }
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
}
