import Limits
import Testing

/// The rules as functions of states that are put together by hand: what tells limits apart are the columns of their rows.
struct Decision {
    /// The catalogue, with monthly minutes counted by the tenant's day instead.
    static let dailyMinutes = LimitRules(
        catalogue: LimitKind.catalogue.map { row in
            guard row.kind == .tenantMonthlyMinutes else { return row }
            return LimitRow(
                kind: row.kind, name: row.name, subject: row.subject, resource: row.resource,
                window: .tenantDay, blocksOnlyWithAutoSuspend: row.blocksOnlyWithAutoSuspend,
                tripsByUsage: row.tripsByUsage, suspends: row.suspends,
                refusalTripsFromPercent: row.refusalTripsFromPercent, error: row.error,
                cap: row.cap, words: row.words)
        })

    static func counter(_ kind: LimitKind) -> Int { LimitRules.standard.counter(of: kind) ?? 0 }

    var subjects = Decide.Subjects()
    var rules = LimitRules.standard
    var transition = Transition()
    var answer = CheckAnswer()
    var closed = ClosedCharges()

    /// A tenant that suspends itself, in cycle 100 ..< 900 s and day 200 ..< 300 s, with caps of 10.
    init(_ rules: LimitRules = .standard) {
        self.rules = rules
        subjects.tenant.version = 1
        subjects.tenant.autoSuspend = true
        (subjects.tenant.cycleStart, subjects.tenant.cycleEnd) = (100_000, 900_000)
        (subjects.tenant.dayStart, subjects.tenant.dayEnd) = (200_000, 300_000)
        for counter in 0..<LimitKind.counterCount { subjects.tenant.caps[counter] = 10 }
    }

    /// Names a profile with a cap of 10, which is enabled.
    mutating func nameProfile(_ kind: ProfileKind = .messaging) {
        subjects.hasProfile = true
        subjects.profile.kind = kind
        subjects.profile.cap = 10
        subjects.profile.enabled = true
    }

    mutating func use(_ kind: LimitKind, committed: Int64 = 0, held: Int64 = 0) {
        subjects.tenant.committed[Self.counter(kind)] = committed
        subjects.tenant.held[Self.counter(kind)] = held
    }

    @discardableResult
    mutating func check(
        _ amounts: Amounts, _ mode: Mode = .reserve, minimums: Amounts = Amounts()
    ) -> Decide.Verdict {
        transition = Transition()
        var amounts = amounts
        return Decide.check(
            &subjects, action: .unspecified, amounts: &amounts, minimums: minimums, mode: mode,
            rules, answer: &answer, transition: &transition)
    }

    /// A hold in the present windows.
    func hold(
        _ amounts: Amounts, overage: OveragePolicy = .record, onExpiry: ExpiryPolicy = .release
    ) -> HoldState {
        var hold = HoldState(first: subjects.segment(amounts))
        hold.policy = HoldState.policy(.unspecified, onExpiry, overage)
        hold.hasProfile = subjects.hasProfile
        return hold
    }

    mutating func commit(
        _ hold: HoldState, _ actual: Amounts = Amounts(), phase: Decide.HoldPhase = .open
    ) -> Decide.Settlement {
        transition = Transition()
        var hold = hold
        return Decide.commit(
            &subjects, &hold, phase: phase, actual: actual, rules, transition: &transition,
            closed: &closed)
    }

    mutating func extend(
        _ amounts: Amounts, _ mode: Mode = .reserve
    ) -> (verdict: Decide.Verdict, answer: ExtendAnswer) {
        transition = Transition()
        var answer = ExtendAnswer()
        let verdict = Decide.extend(
            &subjects, action: .outboundCall, additional: amounts, minimums: Amounts(), mode: mode,
            rules, answer: &answer, transition: &transition)
        return (verdict, answer)
    }

    mutating func record(_ amounts: Amounts) -> (verdict: Decide.Verdict, reached: LimitSet) {
        transition = Transition()
        var reached: LimitSet = []
        let verdict = Decide.record(
            &subjects, amounts: amounts, rules, transition: &transition, reached: &reached)
        return (verdict, reached)
    }

    mutating func reverse(_ charged: HoldSegment, raised: EventSet) -> Decide.Verdict {
        transition = Transition()
        return Decide.reverse(
            &subjects, charged, raised: raised, rules, transition: &transition, closed: &closed)
    }

    /// Leaves one cap alone.
    mutating func limitOnly(_ kind: LimitKind, to cap: Int64 = 10) {
        for counter in 0..<LimitKind.counterCount { subjects.tenant.caps[counter] = -1 }
        subjects.tenant.caps[Self.counter(kind)] = cap
    }

    /// Takes over what was decided.
    mutating func apply() { transition.apply(to: &subjects.tenant, &subjects.profile, rules) }
}

extension Amounts {
    /// Several resources.
    init(_ amounts: (Resource, Int64)...) {
        self.init()
        for (resource, amount) in amounts { set(resource.index, amount) }
    }
}

@Suite struct DecideCheckTests {
    private let spend = Decision.counter(.tenantMonthlySpend)

    @Test func whatFitsIsHeldAndNothingElse() {
        var decision = Decision()
        decision.use(.tenantMonthlySpend, committed: 3, held: 2)
        #expect(decision.check(Amounts(.spend, 5)) == .allowed)
        #expect(decision.answer.decision == .allowed && decision.answer.granted.isEmpty)
        #expect(decision.transition.held[spend] == 5 && decision.transition.committed.isEmpty)
        #expect(decision.transition.events.isEmpty && !decision.transition.touchesProfile)
        decision.apply()
        #expect(decision.subjects.tenant.held[spend] == 7 && decision.subjects.tenant.version == 2)
        #expect(decision.check(Amounts(.spend, 1)) == .denied)
        #expect(decision.answer.treatment == .reject && decision.transition.held.isEmpty)
        #expect(decision.check(Amounts(.spend, 0)) == .allowed)
    }

    @Test func everyLimitThatRefusesIsNamed() {
        var decision = Decision()
        decision.nameProfile()
        let asked = Amounts((.spend, 11), (.dids, 11), (.extensions, 10))
        #expect(decision.check(asked) == .denied)
        let onSpend = LimitRules.standard.limits(of: Resource.spend.index)
        #expect(
            decision.answer.refused
                == onSpend.union([LimitSet(.profileDailySpend), LimitSet(.tenantDIDs)]))
        #expect(decision.transition.held.isEmpty && decision.transition.profileHeld == 0)
    }

    @Test func aProfileCountsSpendAlone() {
        for kind in ProfileKind.allCases {
            var decision = Decision()
            decision.nameProfile(kind)
            decision.check(Amounts(.dids, 4))
            #expect(!decision.transition.touchesProfile)
            decision.check(Amounts(.spend, 4), .commit)
            #expect(decision.transition.profileCommitted == 4)
            decision.subjects.profile.committed = 7
            #expect(decision.check(Amounts(.spend, 4)) == .denied)
            #expect(decision.answer.refused == LimitSet(kind.limit.kind))
            decision.subjects.profile.enabled = false
            #expect(decision.check(Amounts(.spend, 4)) == .allowed)
            #expect(decision.answer.warnings.isEmpty)
        }
    }

    @Test func aSuspendedTenantIsLookedAtNoFurther() {
        var decision = Decision()
        decision.subjects.tenant.status = .suspended
        #expect(decision.check(Amounts(.dids, 11)) == .denied)
        #expect(decision.answer.refusedBySuspension && decision.answer.refused.isEmpty)
        #expect(decision.transition.isEmpty)
    }

    @Test(arguments: OnLimit.allCases, [false, true])
    func theTableOfWhatACapDoes(_ onLimit: OnLimit, autoSuspend: Bool) {
        for row in LimitSubject.tenant.limits {
            var decision = Decision()
            decision.limitOnly(row.kind)
            decision.subjects.tenant.onLimit = onLimit
            decision.subjects.tenant.autoSuspend = autoSuspend
            let blocks =
                switch onLimit {
                case .auto: autoSuspend || !row.blocksOnlyWithAutoSuspend
                case .block: true
                case .alert: false
                }
            let verdict = decision.check(Amounts(row.resource, 11))
            #expect(verdict == (blocks ? .denied : .allowed), "\(row.name)")
            #expect(decision.answer.refused == (blocks ? LimitSet(row.kind) : []))
            #expect(decision.answer.warnings == (blocks ? [] : LimitSet(row.kind)))
            let suspends =
                blocks && autoSuspend && row.suspends && row.refusalTripsFromPercent == 0
            #expect(decision.transition.events.contains(.suspended) == suspends, "\(row.name)")
        }
    }

    @Test func modesLeaveDifferentThings() {
        var decision = Decision()
        decision.check(Amounts(.spend, 4), .checkOnly)
        #expect(decision.answer.decision == .allowed && decision.transition.isEmpty)
        decision.check(Amounts(.spend, 11), .checkOnly)
        #expect(decision.answer.decision == .denied && decision.transition.isEmpty)
        decision.check(Amounts(.spend, 4), .commit)
        #expect(decision.transition.committed[spend] == 4 && decision.transition.held.isEmpty)
        decision.check(Amounts(.spend, 14), .partial)
        #expect(decision.answer.granted == Amounts(.spend, 10))
        #expect(decision.transition.held[spend] == 10)
        decision.check(Amounts((.spend, 20), (.dids, 5)), .partial)
        #expect(decision.answer.granted == Amounts((.spend, 10), (.dids, 2)))
        decision.check(Amounts((.spend, 20), (.dids, 1)), .partial)
        #expect(decision.answer.refused.contains(.tenantMonthlySpend))
        decision.check(Amounts(.spend, 20), .partial, minimums: Amounts(.spend, 11))
        #expect(decision.answer.decision == .denied)
    }

    @Test func whatLeaves64BitsIsRefusedAsWrong() {
        var decision = Decision()
        for counter in 0..<LimitKind.counterCount { decision.subjects.tenant.caps[counter] = -1 }
        decision.use(.tenantMonthlySpend, committed: .max - 5)
        #expect(decision.check(Amounts(.spend, 6)) == .overflow)
        #expect(decision.check(Amounts(.spend, 5)) == .allowed)
        decision.subjects.tenant.caps[spend] = 10
        #expect(decision.check(Amounts(.spend, 6)) == .denied, "a refusal comes first")
    }

    @Test func moreRoomIsAskedForLikeAHold() {
        var decision = Decision()
        #expect(decision.extend(Amounts(.spend, 10)).verdict == .allowed)
        #expect(decision.transition.held[spend] == 10)
        let partial = decision.extend(Amounts(.spend, 30), .partial)
        #expect(partial.verdict == .allowed && partial.answer.granted == Amounts(.spend, 10))
        let denied = decision.extend(Amounts(.spend, 11))
        #expect(denied.verdict == .denied && denied.answer.treatment == .reject)
        decision.subjects.tenant.status = .suspended
        let suspended = decision.extend(Amounts(.spend, 1))
        #expect(suspended.verdict == .denied && suspended.answer.treatment == .blockCall)
        #expect(decision.extend(Amounts(.spend, 0)).verdict == .allowed, "time alone")
        #expect(decision.transition.held[spend] == 0 && decision.transition.events.isEmpty)
    }

    @Test func usageIsRecordedWhateverTheLimits() {
        var decision = Decision()
        decision.subjects.tenant.status = .suspended
        decision.use(.tenantDIDs, committed: 3)
        let recorded = decision.record(Amounts((.dids, 9), (.extensions, 9)))
        #expect(recorded.verdict == .allowed && recorded.reached == LimitSet(.tenantDIDs))
        #expect(decision.record(Amounts(.dids, -3)).verdict == .allowed)
        #expect(decision.transition.committed[Decision.counter(.tenantDIDs)] == -3)
        #expect(decision.record(Amounts(.dids, -4)).verdict == .belowZero)
        decision.use(.tenantDIDs, committed: 3, held: 9)
        #expect(
            decision.record(Amounts(.dids, -4)).verdict == .belowZero,
            "what is held is not given back")
        decision.use(.tenantMonthlySpend, committed: 5, held: .max - 5)
        #expect(decision.record(Amounts(.spend, 1)).verdict == .overflow)
    }

    /// What is counted in a tenant's day is shown with that window.
    @Test func eachCounterHasItsWindow() {
        let rules = Decision.dailyMinutes
        let minutes = Decision.counter(.tenantMonthlyMinutes)
        #expect(rules.daily.hasBit(minutes) && !rules.cyclic.hasBit(minutes))
        let tenant = Decision(rules).subjects.tenant
        let state = tenant.limitState(minutes, rules)
        #expect(state.windowStart == 200_000 && state.resetsAt == 300_000 && state.blocking)
        #expect(tenant.limitState(spend, rules).resetsAt == 900_000)
        let dids = tenant.limitState(Decision.counter(.tenantDIDs), rules)
        #expect(dids.windowStart == 0 && dids.resetsAt == 0)
        for row in LimitSubject.tenant.limits {
            let state = tenant.limitState(Decision.counter(row.kind), .standard)
            let end: Int64 =
                switch row.window {
                case .billingCycle: 900_000
                case .tenantDay: 300_000
                case .utcDay, .standing: 0
                }
            #expect(state.resetsAt == end, "\(row.name)")
        }
    }
}
