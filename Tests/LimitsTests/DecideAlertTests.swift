import Limits
import Testing

@Suite struct DecideAlertTests {
    @Test(
        arguments: [
            (1_000, 80, 799, false), (1_000, 80, 800, true), (3, 67, 2, false), (3, 66, 2, true),
            (.max, 100, .max - 1, false), (.max, 99, .max - 1, true), (0, 1, 0, true),
        ] as [(Int64, UInt8, Int64, Bool)])
    func percentsAreExact(_ cap: Int64, _ percent: UInt8, _ total: Int64, isReached: Bool) {
        #expect(Decide.reaches(total, cap: cap, percent: percent) == isReached)
    }

    @Test(arguments: LimitSubject.tenant.limits.filter(\.tripsByUsage).map(\.kind))
    func usageTripsOnceInAWindow(_ kind: LimitKind) {
        var decision = Decision()
        decision.limitOnly(kind, to: 10)
        let amounts = Amounts(kind.row.resource, 8)
        decision.check(amounts, .commit)
        #expect(decision.transition.events == EventSet(.threshold, kind))
        decision.apply()
        decision.subjects.tenant.autoSuspend = false
        decision.check(amounts, .commit)
        #expect(decision.transition.events == EventSet(.reached, kind))
        decision.apply()
        decision.check(amounts, .commit)
        #expect(decision.transition.events.isEmpty)
        // The other kind of window begins anew: nothing of this one's. Its own: everything.
        let raised = decision.subjects.tenant.raised
        var other = decision.subjects.tenant
        if kind.row.window == .tenantDay {
            other.openCycle(start: 900_000, end: 1_900_000, .standard)
            decision.subjects.tenant.openDay(start: 300_000, end: 400_000, .standard)
        } else {
            other.openDay(start: 300_000, end: 400_000, .standard)
            decision.subjects.tenant.openCycle(start: 900_000, end: 1_900_000, .standard)
        }
        #expect(other.raised == raised && !raised.isEmpty)
        #expect(other.committed[Decision.counter(kind)] == 16)
        #expect(decision.subjects.tenant.raised.isEmpty)
        #expect(decision.subjects.tenant.committed[Decision.counter(kind)] == 0)
    }

    /// A day's counter is cleared and re-armed by its day, and by nothing else.
    @Test func aDayEndsByItself() {
        let rules = Decision.dailyMinutes
        var decision = Decision(rules)
        decision.check(Amounts((.callSeconds, 10), (.spend, 9)), .commit)
        decision.apply()
        #expect(decision.subjects.tenant.status == .suspended)
        let minutes = Decision.counter(.tenantMonthlyMinutes)
        let spend = Decision.counter(.tenantMonthlySpend)
        var tenant = decision.subjects.tenant
        tenant.openCycle(start: 900_000, end: 1_900_000, rules)
        #expect(tenant.committed[minutes] == 10 && tenant.committed[spend] == 0)
        #expect(tenant.raised.contains(.threshold, .tenantMonthlyMinutes))
        #expect(!tenant.raised.contains(.threshold, .tenantMonthlySpend))
        #expect(tenant.raised.reached.contains(.tenantMonthlyMinutes))
        decision.subjects.tenant.openDay(start: 300_000, end: 400_000, rules)
        #expect(decision.subjects.tenant.committed[minutes] == 0)
        #expect(decision.subjects.tenant.committed[spend] == 9)
        #expect(decision.subjects.tenant.raised.limits(.threshold).contains(.tenantMonthlySpend))
        #expect(!decision.subjects.tenant.raised.reached.contains(.tenantMonthlyMinutes))
        #expect(decision.subjects.tenant.status == .suspended, "a rollover reinstates nobody")
    }

    /// What a charge of spend raises.
    private static func charge(_ amount: Int64, _ decision: inout Decision) -> EventSet {
        decision.check(Amounts(.spend, amount), .commit)
        let events = decision.transition.events
        decision.apply()
        return events
    }

    @Test func eachThresholdIsRaisedOnce() {
        var decision = Decision()
        decision.limitOnly(.tenantMonthlySpend, to: 100)
        for (level, percent) in ([50, 80, 90, 95] as [UInt8]).enumerated() {
            decision.subjects.tenant.setThreshold(level, percent)
        }
        #expect(Self.charge(49, &decision).isEmpty)
        #expect(Self.charge(1, &decision) == EventSet(.threshold, .tenantMonthlySpend))
        #expect(Self.charge(39, &decision) == EventSet(.secondThreshold, .tenantMonthlySpend))
        #expect(
            Self.charge(10, &decision) == [
                EventSet(.thirdThreshold, .tenantMonthlySpend),
                EventSet(.fourthThreshold, .tenantMonthlySpend),
            ])
        #expect(Self.charge(0, &decision).isEmpty)
    }

    @Test func aWindowThatEndsTellsOfWhatWasHeld() {
        let rules = Decision.dailyMinutes
        var tenant = Decision(rules).subjects.tenant
        tenant.setThreshold(1, 90)
        let minutes = Decision.counter(.tenantMonthlyMinutes)
        let spend = Decision.counter(.tenantMonthlySpend)
        tenant.committed[minutes] = 4
        tenant.held[minutes] = 6
        tenant.committed[spend] = 8
        #expect(
            Decide.alerts(ofWindowOf: tenant, rules.daily, rules) == [
                EventSet(.endedThreshold, .tenantMonthlyMinutes),
                EventSet(.endedReached, .tenantMonthlyMinutes),
            ])
        #expect(
            Decide.alerts(ofWindowOf: tenant, rules.cyclic, rules)
                == EventSet(.endedThreshold, .tenantMonthlySpend))
        tenant.raised = [
            EventSet(.threshold, .tenantMonthlyMinutes),
            EventSet(.secondThreshold, .tenantMonthlyMinutes),
            EventSet(.reached, .tenantMonthlyMinutes),
        ]
        #expect(Decide.alerts(ofWindowOf: tenant, rules.daily, rules).isEmpty)
        tenant.raised = []
        tenant.committed[minutes] = 0
        tenant.held[minutes] = 0
        tenant.caps[minutes] = 0
        #expect(Decide.alerts(ofWindowOf: tenant, rules.daily, rules).isEmpty, "nothing of nothing")
    }

    @Test func aProfilesDayTellsWhileItsLimitIsEnabled() {
        for kind in ProfileKind.allCases {
            var decision = Decision()
            decision.nameProfile(kind)
            decision.subjects.profile.held = 10
            let (profile, tenant) = (decision.subjects.profile, decision.subjects.tenant)
            #expect(
                Decide.alerts(ofDayOf: profile, tenant, .standard) == [
                    EventSet(.endedThreshold, kind.limit.kind),
                    EventSet(.endedReached, kind.limit.kind),
                ])
            var disabled = profile
            disabled.enabled = false
            #expect(Decide.alerts(ofDayOf: disabled, tenant, .standard).isEmpty)
        }
    }

    /// A refusal that others' holds alone caused trips nothing, but for what is only ever held; too large a request trips
    /// once enough of the cap is used.
    @Test(arguments: LimitSubject.tenant.limits.map(\.kind))
    func refusalsTripByTheRow(_ kind: LimitKind) {
        let row = kind.row
        let isOnlyHeld = row.resource.row.nature == .held
        var decision = Decision()
        decision.limitOnly(kind, to: 10)
        decision.subjects.tenant.setThreshold(0, 100)
        decision.use(kind, held: 9)
        #expect(decision.check(Amounts(row.resource, 2)) == .denied)
        #expect(
            decision.transition.events == (isOnlyHeld ? EventSet(.reached, kind) : []),
            "\(row.name)")
        decision.use(kind)
        decision.check(Amounts(row.resource, 11))
        let trips: EventSet =
            row.suspends ? [EventSet(.reached, kind), .suspended] : EventSet(.reached, kind)
        #expect(
            decision.transition.events
                == (row.refusalTripsFromPercent == 0 ? trips : EventSet(.refusal, kind)))
        guard !isOnlyHeld else { return }
        decision.use(kind, committed: 8)
        decision.check(Amounts(row.resource, 3))
        #expect(decision.transition.events == trips)
        decision.apply()
        #expect(decision.subjects.tenant.status == (row.suspends ? .suspended : .active))
        #expect(!decision.subjects.tenant.suspendedByUsage, "a refusal is no usage")
    }

    /// Thresholds of what is only ever held are judged when it is held.
    @Test func holdsAreToldOfWhereNothingIsCharged() {
        for row in LimitSubject.tenant.limits where row.resource.row.nature == .held {
            var decision = Decision()
            decision.check(Amounts(row.resource, 7))
            #expect(decision.transition.events.isEmpty)
            decision.check(Amounts(row.resource, 8))
            #expect(decision.transition.events == EventSet(.threshold, row.kind))
        }
    }
}
