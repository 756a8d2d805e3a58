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
        /// Of a suspension: usage came to a cap.
        var isSuspendedByUsage = false
        /// An operator has suspended it, and so ended its holds.
        var isSuspendedByOperator = false
        var cycle: CycleWindow
        /// The start of the cycle in which the latest transition was.
        var judgedCycle: Int64
    }

    struct Profile {
        var settings: ProfileSettings
        var isClosed = false
        /// The start of the day in which the latest transition was.
        var judgedDay: Int64
    }

    /// One limit of one subject.
    struct LimitReference: Hashable {
        var kind: LimitKind
        /// Tenant or profile id.
        var subject: String

        static func == (one: LimitReference, other: LimitReference) -> Bool {
            one.kind == other.kind && one.subject.hasSameBytes(as: other.subject)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(kind)
            hasher.combine(Identifier(subject))
        }
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

    enum Alarm { case threshold, reached, refusal }

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
        /// nil: the key is bound to its content by a denial, which is no stored answer.
        var answer: ModelAnswer?
        var storedAt: Int64
    }

    struct KeyReference: Hashable {
        let tenantID: Identifier
        let key: Identifier

        init(tenantID: String, key: String) {
            self.tenantID = Identifier(tenantID)
            self.key = Identifier(key)
        }
    }

    /// What lives count by: Unix milliseconds; only `.advance` moves it.
    package private(set) var now: Int64
    /// By how much the time that windows go by is ahead of it; only `.leap` moves it.
    private var lead: Int64 = 0
    /// What windows go by, Unix milliseconds.
    package var windowTime: Int64 { now + lead }
    /// The quarter of an hour in which ended windows were last judged by themselves.
    var judgedQuarter: Int64?
    let calendar: Calendar
    let isOverdue: Overdue
    package let retentionMilliseconds: Int64
    package let maximumLifeMilliseconds: Int64

    var tenants: [Identifier: Tenant] = [:]
    var profiles: [Identifier: Profile] = [:]
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
        case .leap(let milliseconds):
            precondition(milliseconds >= 0, "engine time never goes back")
            lead += milliseconds
            answer = .done
        case .expire:
            expireOverdue()
            answer = .done
        case .judge:
            judgeEndedWindows()
            answer = .done
        }
        return ModelOutcome(told(answer), events: events)
    }

    /// An answer's instants are told in the time that windows go by.
    private func told(_ answer: ModelAnswer) -> ModelAnswer {
        switch answer {
        case .check(var answer):
            if answer.expiresAt != 0 { answer.expiresAt += lead }
            return .check(answer)
        case .extend(var answer):
            if answer.expiresAt != 0 { answer.expiresAt += lead }
            return .extend(answer)
        default: return answer
        }
    }

    /// "Only a rollover resets a total": a tenant whose cycle is over enters the one that holds
    /// `now`.
    ///
    /// Done before every operation, so a change of the cycle day or zone meets the window of the
    /// old setting and takes effect at its end. Totals need no reset: each window has its own.
    private mutating func rollOver() {
        for (id, tenant) in tenants where windowTime >= tenant.cycle.end {
            let settings = tenant.settings
            let next = calendar(
                settings.billingCycleDay, settings.timeZone, windowTime, tenant.cycle.end)
            precondition(next.contains(windowTime), "the calendar missed")
            tenants[id]?.cycle = next
        }
    }

    // MARK: Configuration

    private mutating func setTenant(_ settings: TenantSettings) -> ModelAnswer {
        guard let old = tenants[settings.id] else {
            let cycle = calendar(settings.billingCycleDay, settings.timeZone, windowTime, nil)
            tenants[settings.id] = Tenant(
                settings: settings, cycle: cycle, judgedCycle: cycle.start)
            return .changed(overBy: [:])
        }
        // Ids are never reused.
        guard old.status != .closed else { return .failure(.notFound) }
        judgeEndedWindows(tenantID: settings.id)
        tenants[settings.id]?.settings = settings
        // "Only a changed value re-arms, toggling does not." A changed percent re-arms both alarms
        // of every limit that uses it, the profiles' included.
        let isPercentChanged =
            old.settings.limits.alertThresholdPercent != settings.limits.alertThresholdPercent
        for kind in Self.tenantLimits {
            if isPercentChanged || old.settings.limits[kind] != settings.limits[kind] {
                rearm(LimitReference(kind: kind, subject: settings.id))
            }
        }
        if isPercentChanged {
            for profile in profiles.values
            where profile.settings.tenantID.hasSameBytes(as: settings.id) {
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
            judgeEndedWindows(tenantID: settings.tenantID)
            let limit = LimitReference(kind: .profileDailySpend, subject: settings.id)
            profiles[settings.id] = Profile(
                settings: settings, judgedDay: currentWindow(limit).start)
            return .changed(overBy: [:])
        }
        guard old.isClosed == false else { return .failure(.notFound) }
        // A profile belongs to one tenant for ever; to another one it does not exist.
        guard old.settings.tenantID.hasSameBytes(as: settings.tenantID) else {
            return .failure(.notFound)
        }
        judgeEndedWindows(tenantID: settings.tenantID, profileID: settings.id)
        profiles[settings.id]?.settings = settings
        if old.settings.dailySpendLimitNanos != settings.dailySpendLimitNanos {
            rearm(LimitReference(kind: .profileDailySpend, subject: settings.id))
        }
        return .changed(
            overBy: overBy([LimitReference(kind: .profileDailySpend, subject: settings.id)]))
    }

    /// Choice: another percent re-arms also a profile's day that is over and was not judged.
    private mutating func rearm(_ limit: LimitReference) {
        latches = latches.filter { $0.limit != limit }
    }

    private mutating func closeTenant(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        judgeEndedWindows(tenantID: id)
        tenants[id]?.status = .closed
        endHolds(of: id)
        return .done
    }

    private mutating func closeProfile(_ id: String) -> ModelAnswer {
        guard let profile = profiles[id], profile.isClosed == false else {
            return .failure(.notFound)
        }
        judgeEndedWindows(tenantID: profile.settings.tenantID, profileID: id)
        profiles[id]?.isClosed = true
        return .done
    }

    private mutating func suspend(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        if tenant.isSuspendedByOperator == false {
            judgeEndedWindows(tenantID: id)
            tenants[id]?.status = .suspended
            tenants[id]?.isSuspendedByUsage = false
            tenants[id]?.isSuspendedByOperator = true
        }
        if tenant.status == .active { events.append(.suspended(tenantID: id)) }
        endHolds(of: id)
        return .done
    }

    /// "Neither raising a cap nor a rollover reinstates: an operator does."
    private mutating func reinstate(_ id: String) -> ModelAnswer {
        guard let tenant = tenants[id], tenant.status != .closed else {
            return .failure(.notFound)
        }
        if tenant.status == .suspended {
            judgeEndedWindows(tenantID: id)
            tenants[id]?.status = .active
            tenants[id]?.isSuspendedByOperator = false
            events.append(.reinstated(tenantID: id))
        }
        return .done
    }

    // MARK: Idempotency

    /// The answer to give at once: a replay, 49201, or nil where the key is new, bound by a denial, or there is none.
    func storedAnswer(tenantID: String, key: String, content: String) -> ModelAnswer? {
        guard key.isEmpty == false else { return nil }
        guard let stored = storedAnswers[KeyReference(tenantID: tenantID, key: key)],
            now < stored.storedAt + retentionMilliseconds
        else { return nil }
        guard stored.content.hasSameBytes(as: content) else { return .failure(.keyReused) }
        return stored.answer.map(Self.replayed)
    }

    /// Keeps an answer. Failures are not stored; "a denial is no stored answer, the key stays bound to its content".
    ///
    /// Choice: bound for the retention from its first denial on; further ones do not prolong that.
    mutating func store(_ answer: ModelAnswer, tenantID: String, key: String, content: String) {
        guard key.isEmpty == false else { return }
        let reference = KeyReference(tenantID: tenantID, key: key)
        var isDenial = false
        switch answer {
        case .failure: return
        case .check(let answer): isDenial = answer.decision == .denied
        case .extend(let answer): isDenial = answer.decision == .denied
        default: break
        }
        if isDenial, let bound = storedAnswers[reference],
            now < bound.storedAt + retentionMilliseconds
        {
            return
        }
        storedAnswers[reference] = StoredAnswer(
            content: content, answer: isDenial ? nil : answer, storedAt: now)
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

    /// Quantities as part of a content: sorted by resource, without those of zero.
    static func sorted(_ amounts: ModelAmounts) -> String {
        amounts.withoutZeros.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }

    /// Least amounts as part of a content: of what is asked, 0 meaning 1; without meaning but in PARTIAL.
    static func sorted(_ minimums: ModelAmounts, of asked: ModelAmounts, _ mode: Mode) -> String {
        guard mode == .partial else { return "" }
        return sorted(
            asked.withoutZeros.reduce(into: [:]) { $0[$1.key] = max(1, minimums[$1.key] ?? 0) })
    }
}
