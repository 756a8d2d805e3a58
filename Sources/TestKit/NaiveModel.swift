package import Limits

/// semantics.md §1–§4, as plain as it can be said: the yardstick of the real core.
///
/// Written from that document alone, with dictionaries and no thought for speed. Every total of
/// every window is kept for ever; every reservation and every key too, with the instant at which
/// it stops counting as remembered. Time is an operation (`.advance`), and so is expiry
/// (`.expire`): a commit ordered before it is not late. What tells one limit or resource from another it reads in their
/// rows; what follows from that it works out by itself.
///
/// Where the document is silent, the choice stands at the code, marked "Choice:".
package struct NaiveModel: Sendable {
    /// What a calendar is asked for.
    package enum Span: Sendable {
        case day
        /// A billing cycle, from this day of the month on.
        case cycle(UInt8)
    }

    /// The span in a zone that holds an instant: (span, zone, instant, end of the window before or nil). All instants
    /// in Unix milliseconds.
    package typealias Calendar = @Sendable (Span, String, Int64, Int64?) -> CycleWindow

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
        var day: CycleWindow
        /// The starts of the cycle and of the day in which the latest transition was.
        var judgedCycle: Int64
        var judgedDay: Int64
    }

    struct Profile {
        var settings: ProfileSettings
        var isClosed = false
        /// The start of the UTC day in which the latest transition was.
        var judgedDay: Int64

        var limit: LimitReference {
            LimitReference(kind: settings.kind.limit.kind, subject: settings.id)
        }
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
        /// 0: there is none, as of a standing count.
        var windowStart: Int64
    }

    struct Total: Equatable {
        var committed: Int64 = 0
        var held: Int64 = 0
    }

    enum Alarm: Hashable {
        /// By its level, 0 ... 3.
        case threshold(Int)
        case reached, refusal
    }

    /// An alarm that was raised already: once per window and setting of the cap or percent.
    struct Latch: Hashable {
        var alarm: Alarm
        var limit: LimitReference
        /// Start of the window in which alarms are raised once: what has no window uses the billing cycle.
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
        calendar: @escaping Calendar = billingCalendar
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

    /// "Only a rollover resets a total": a tenant whose cycle or day is over enters the one that
    /// holds `now`.
    ///
    /// Done before every operation, so a change of the cycle day or zone meets the windows of the
    /// old setting and takes effect at their ends. Totals need no reset: each window has its own.
    private mutating func rollOver() {
        for (id, tenant) in tenants {
            var next = tenant
            if windowTime >= tenant.cycle.end {
                next.cycle = window(
                    .cycle(tenant.settings.billingCycleDay), tenant.settings, tenant.cycle.end)
            }
            if windowTime >= tenant.day.end {
                next.day = window(.day, tenant.settings, tenant.day.end)
            }
            tenants[id] = next
        }
    }

    /// The present one.
    private func window(
        _ span: Span, _ settings: TenantSettings, _ previousEnd: Int64?
    ) -> CycleWindow {
        let window = calendar(span, settings.timeZone, windowTime, previousEnd)
        precondition(window.contains(windowTime), "the calendar missed")
        return window
    }

    // MARK: Configuration

    private mutating func setTenant(_ settings: TenantSettings) -> ModelAnswer {
        guard let old = tenants[settings.id] else {
            let cycle = window(.cycle(settings.billingCycleDay), settings, nil)
            let day = window(.day, settings, nil)
            tenants[settings.id] = Tenant(
                settings: settings, cycle: cycle, day: day, judgedCycle: cycle.start,
                judgedDay: day.start)
            return .changed(overBy: [:])
        }
        // Ids are never reused.
        guard old.status != .closed else { return .failure(.notFound) }
        judgeEndedWindows(tenantID: settings.id)
        tenants[settings.id]?.settings = settings
        // "Only a changed value re-arms, toggling does not." A changed percent re-arms all alarms
        // of every limit that uses it, the profiles' included.
        let isPercentChanged =
            old.settings.limits.alertThresholds != settings.limits.alertThresholds
        for kind in Self.tenantLimits {
            if isPercentChanged || old.settings.limits[kind] != settings.limits[kind] {
                rearm(LimitReference(kind: kind, subject: settings.id))
            }
        }
        if isPercentChanged {
            for profile in profiles.values
            where profile.settings.tenantID.hasSameBytes(as: settings.id) {
                rearm(profile.limit)
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
            profiles[settings.id] = Profile(settings: settings, judgedDay: utcDay.start)
            return .changed(overBy: [:])
        }
        guard old.isClosed == false else { return .failure(.notFound) }
        // A profile belongs to one tenant and is of one kind for ever; for others it does not exist.
        guard old.settings.tenantID.hasSameBytes(as: settings.tenantID),
            old.settings.kind == settings.kind
        else { return .failure(.notFound) }
        judgeEndedWindows(tenantID: settings.tenantID, profileID: settings.id)
        profiles[settings.id]?.settings = settings
        if old.settings.dailySpendLimitNanos != settings.dailySpendLimitNanos {
            rearm(old.limit)
        }
        return .changed(overBy: overBy([old.limit]))
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
}
