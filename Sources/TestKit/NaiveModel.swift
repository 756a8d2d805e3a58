package import Limits

/// semantics.md §1–§4, as plain as it can be said: the yardstick of the real core.
///
/// Written from that document alone, with dictionaries and no thought for speed. Every total of
/// every window is kept for ever; every reservation and every key too, with the instant at which
/// it stops counting as remembered. Time is an operation (`.advance`), and so is expiry
/// (`.expire`): a commit ordered before it is not late.
///
/// Where the document is silent, the choice stands at the code, marked "Choice:".
package struct NaiveModel: Sendable {
    /// The billing cycle that holds an instant: (cycle day, zone, instant, end of the window
    /// before or nil). All instants in Unix milliseconds.
    package typealias Calendar = @Sendable (UInt8, String, Int64, Int64?) -> CycleWindow

    /// Whether a hold that is open may, and then must, expire: (its expiry, now).
    package typealias Overdue = @Sendable (Int64, Int64) -> Bool

    struct Tenant {
        var settings: TenantSettings
        var status = TenantStatus.active
        var cycle: CycleWindow
    }

    struct Profile {
        var settings: ProfileSettings
        var isClosed = false
    }

    /// One limit of one subject.
    struct LimitReference: Hashable {
        var kind: LimitKind
        /// Tenant or profile id.
        var subject: String
    }

    /// Where usage adds up: a limit in one of its windows.
    struct TotalKey: Hashable {
        var limit: LimitReference
        /// 0: standing count.
        var windowStart: Int64
    }

    struct Total: Equatable {
        var committed: Int64 = 0
        var held: Int64 = 0
    }

    enum Alarm { case threshold, reached }

    /// An alarm that was raised already: once per window and setting of the cap or percent.
    struct Latch: Hashable {
        var alarm: Alarm
        var limit: LimitReference
        /// Start of the window in which alarms are raised once: counts use the billing cycle.
        var windowStart: Int64
    }

    struct StoredAnswer {
        /// Everything that must be equal for a repeat, as a text.
        var content: String
        var answer: ModelAnswer
        var storedAt: Int64
    }

    struct KeyReference: Hashable {
        var tenantID: String
        var key: String
    }

    /// Unix milliseconds; only `.advance` moves it.
    package private(set) var now: Int64
    let calendar: Calendar
    let isOverdue: Overdue
    package let retentionMilliseconds: Int64
    package let maximumLifeMilliseconds: Int64

    var tenants: [String: Tenant] = [:]
    var profiles: [String: Profile] = [:]
    var totals: [TotalKey: Total] = [:]
    var latches: Set<Latch> = []
    /// By ordinal − 1.
    var reservations: [Reservation] = []
    var storedAnswers: [KeyReference: StoredAnswer] = [:]
    /// Raised by the operation under way.
    var events: [ModelEvent] = []

    /// - Parameters:
    ///   - now: Unix milliseconds at which the history begins.
    ///   - retentionMilliseconds: How long keys and settled reservations are remembered.
    ///   - maximumLifeMilliseconds: Bound on the whole life of a reservation.
    ///   - isOverdue: What `.expire` takes; a subject with a coarse timer says here how coarse it
    ///     is. Never true before the expiry.
    package init(
        now: Int64, retentionMilliseconds: Int64 = 900_000,
        maximumLifeMilliseconds: Int64 = 86_400_000,
        isOverdue: @escaping Overdue = { expiresAt, now in expiresAt <= now },
        calendar: @escaping Calendar
    ) {
        self.now = now
        self.retentionMilliseconds = retentionMilliseconds
        self.maximumLifeMilliseconds = maximumLifeMilliseconds
        self.isOverdue = isOverdue
        self.calendar = calendar
    }

    /// Does one operation, at `now`.
    package mutating func perform(_ operation: ModelOperation) -> ModelOutcome {
        events = []
        rollOver()
        let answer: ModelAnswer
        switch operation {
        case .setTenant(let settings): answer = setTenant(settings)
        case .setProfile(let settings): answer = setProfile(settings)
        case .closeTenant(let id): answer = closeTenant(id)
        case .closeProfile(let id): answer = closeProfile(id)
        case .suspend(let id): answer = suspend(id)
        case .reinstate(let id): answer = reinstate(id)
        case .check(let operation): answer = check(operation)
        case .withdrawnCheck(let operation): answer = withdrawnCheck(operation)
        case .commit(let ordinal, let actual): answer = commit(ordinal, actual: actual)
        case .release(let ordinal): answer = release(ordinal)
        case .extend(let operation): answer = extend(operation)
        case .record(let operation): answer = record(operation)
        case .setCounts(let tenantID, let counts): answer = setCounts(tenantID, counts)
        case .usage(let tenantID, let profileID):
            answer = usage(tenantID: tenantID, profileID: profileID)
        case .advance(let milliseconds):
            precondition(milliseconds >= 0, "engine time never goes back")
            now += milliseconds
            answer = .done
        case .expire:
            expireOverdue()
            answer = .done
        }
        return ModelOutcome(answer, events: events)
    }

    /// "Only a rollover resets a total": a tenant whose cycle is over enters the one that holds
    /// `now`.
    ///
    /// Done before every operation, so a change of the cycle day or zone meets the window of the
    /// old setting and takes effect at its end. Totals need no reset: each window has its own.
    private mutating func rollOver() {
        for (id, tenant) in tenants where now >= tenant.cycle.end {
            let settings = tenant.settings
            let next = calendar(
                settings.billingCycleDay, settings.timeZone, now, tenant.cycle.end)
            precondition(next.contains(now), "the calendar missed")
            tenants[id]?.cycle = next
        }
    }

    // MARK: Configuration

    private mutating func setTenant(_ settings: TenantSettings) -> ModelAnswer {
        guard let old = tenants[settings.id] else {
            let cycle = calendar(settings.billingCycleDay, settings.timeZone, now, nil)
            tenants[settings.id] = Tenant(settings: settings, cycle: cycle)
            return .changed(overBy: [:])
        }
        // Ids are never reused.
        guard old.status != .closed else { return .failure(.notFound) }
        tenants[settings.id]?.settings = settings
        // "Only a changed value re-arms, toggling does not." A changed percent re-arms both alarms
        // of every limit that uses it, the profiles' included.
        let isPercentChanged =
            old.settings.limits.alertThresholdPercent != settings.limits.alertThresholdPercent
        for kind in Self.tenantLimits {
            let resource = Self.resource(of: kind)
            if isPercentChanged
                || old.settings.limits.cap(resource) != settings.limits.cap(resource)
            {
                rearm(LimitReference(kind: kind, subject: settings.id))
            }
        }
        if isPercentChanged {
            for profile in profiles.values where profile.settings.tenantID == settings.id {
                rearm(LimitReference(kind: .profileDailySpend, subject: profile.settings.id))
            }
        }
        return .changed(
            overBy: overBy(
                Self.tenantLimits.map { LimitReference(kind: $0, subject: settings.id) }))
    }

    /// "A cap set below present usage suspends nobody by itself; the answer to the change says `over_by`."
    private func overBy(_ limits: [LimitReference]) -> [LimitKind: Int64] {
        var result: [LimitKind: Int64] = [:]
        for limit in limits {
            let total = total(currentTotal(limit))
            guard let cap = cap(of: limit), total.committed + total.held > cap else { continue }
            result[limit.kind] = total.committed + total.held - cap
        }
        return result
    }

    private mutating func setProfile(_ settings: ProfileSettings) -> ModelAnswer {
        guard let tenant = tenants[settings.tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        guard let old = profiles[settings.id] else {
            profiles[settings.id] = Profile(settings: settings)
            return .changed(overBy: [:])
        }
        guard old.isClosed == false else { return .failure(.notFound) }
        // A profile belongs to one tenant for ever; to another one it does not exist.
        guard old.settings.tenantID == settings.tenantID else { return .failure(.notFound) }
        profiles[settings.id]?.settings = settings
        if old.settings.dailySpendLimitNanos != settings.dailySpendLimitNanos {
            rearm(LimitReference(kind: .profileDailySpend, subject: settings.id))
        }
        return .changed(
            overBy: overBy([LimitReference(kind: .profileDailySpend, subject: settings.id)]))
    }

    private mutating func rearm(_ limit: LimitReference) {
        latches = latches.filter { $0.limit != limit }
    }

    private mutating func closeTenant(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        tenants[id]?.status = .closed
        return .done
    }

    private mutating func closeProfile(_ id: String) -> ModelAnswer {
        guard let profile = profiles[id], profile.isClosed == false else {
            return .failure(.notFound)
        }
        profiles[id]?.isClosed = true
        return .done
    }

    private mutating func suspend(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        if tenant.status == .active {
            tenants[id]?.status = .suspended
            events.append(.suspended(tenantID: id))
        }
        return .done
    }

    /// "Neither raising a cap nor a rollover reinstates: an operator does."
    private mutating func reinstate(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        if tenant.status == .suspended {
            tenants[id]?.status = .active
            events.append(.reinstated(tenantID: id))
        }
        return .done
    }

    // MARK: Idempotency

    /// The answer to give at once: a replay, 49201, or nil where the key is new or there is none.
    func storedAnswer(tenantID: String, key: String, content: String) -> ModelAnswer? {
        guard key.isEmpty == false else { return nil }
        guard let stored = storedAnswers[KeyReference(tenantID: tenantID, key: key)],
            now < stored.storedAt + retentionMilliseconds
        else { return nil }
        guard stored.content == content else { return .failure(.keyReused) }
        return Self.replayed(stored.answer)
    }

    /// Keeps an answer, denials included; failures are not stored.
    mutating func store(_ answer: ModelAnswer, tenantID: String, key: String, content: String) {
        guard key.isEmpty == false else { return }
        if case .failure = answer { return }
        storedAnswers[KeyReference(tenantID: tenantID, key: key)] = StoredAnswer(
            content: content, answer: answer, storedAt: now)
    }

    private static func replayed(_ answer: ModelAnswer) -> ModelAnswer {
        switch answer {
        case .check(var answer):
            answer.replayed = true
            return .check(answer)
        case .extend(var answer):
            answer.replayed = true
            return .extend(answer)
        case .record(var answer):
            answer.replayed = true
            return .record(answer)
        default:
            preconditionFailure("an answer without a key was stored")
        }
    }

    /// Quantities as part of a content: sorted by resource.
    static func sorted(_ amounts: ModelAmounts) -> String {
        amounts.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }
}
