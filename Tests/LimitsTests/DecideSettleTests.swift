import Limits
import Testing

@Suite struct DecideSettleTests {
    private let spend = Decision.counter(.tenantMonthlySpend)
    private let minutes = Decision.counter(.tenantMonthlyMinutes)

    @Test func whatWasHeldIsChargedAndTheRestFreed() {
        var decision = Decision()
        decision.nameProfile()
        decision.use(.tenantMonthlySpend, held: 5)
        decision.subjects.profile.held = 5
        let hold = decision.hold(Amounts(.spend, 5))
        let settlement = decision.commit(hold, Amounts(.spend, 3))
        #expect(settlement.verdict == .allowed && settlement.committed == Amounts(.spend, 3))
        #expect(decision.transition.committed[spend] == 3)
        #expect(decision.transition.held[spend] == -5)
        #expect(decision.transition.profileCommitted == 3 && decision.transition.profileHeld == -5)
        #expect(decision.closed.count == 0)
        // Nothing named: all of it. Another resource alone: none of it.
        #expect(decision.commit(hold).committed == Amounts(.spend, 5))
        #expect(
            decision.commit(hold, Amounts(.dids, 1)).committed == Amounts((.spend, 0), (.dids, 1)))
    }

    @Test func overageGoesByThePolicy() {
        var decision = Decision()
        decision.nameProfile()
        decision.use(.tenantMonthlySpend, committed: 2, held: 5)
        decision.subjects.profile.held = 5
        let actual = Amounts(.spend, 9)
        let recorded = decision.commit(decision.hold(Amounts(.spend, 5)), actual)
        #expect(recorded.committed == actual && recorded.uncharged.isEmpty)
        #expect(recorded.reached.contains(.tenantMonthlySpend))
        let capped = decision.commit(decision.hold(Amounts(.spend, 5), overage: .cap), actual)
        #expect(capped.committed == Amounts(.spend, 8) && capped.uncharged == Amounts(.spend, 1))
        decision.subjects.profile.committed = 4
        let byProfile = decision.commit(decision.hold(Amounts(.spend, 5), overage: .cap), actual)
        #expect(byProfile.committed == Amounts(.spend, 6))
        let refused = decision.commit(decision.hold(Amounts(.spend, 5), overage: .reject), actual)
        #expect(refused.verdict == .exceedsHold && decision.transition.isEmpty)
        let late = decision.commit(
            decision.hold(Amounts(.spend, 5), overage: .reject), actual, phase: .expiredReleased)
        #expect(late.verdict == .allowed && late.committed == actual)
        #expect(decision.transition.held.isEmpty, "it was freed before")
    }

    /// A cycle and a day end at other instants: each counter goes by its own window.
    @Test func aClosedWindowTakesItsChargeAndTheOpenOneTheExcess() {
        var decision = Decision(Decision.dailyMinutes)
        let amounts = Amounts((.spend, 4), (.callSeconds, 4))
        var hold = decision.hold(amounts)
        hold.first.starts.day = 100_000
        decision.use(.tenantMonthlySpend, held: 4)
        let settlement = decision.commit(hold, Amounts((.spend, 5), (.callSeconds, 6)))
        #expect(settlement.verdict == .allowed)
        #expect(decision.transition.committed[spend] == 5)
        #expect(decision.transition.held[spend] == -4)
        #expect(decision.transition.committed[minutes] == 2, "what was not held, today")
        #expect(decision.transition.held[minutes] == 0, "what was held went with its day")
        #expect(decision.closed.count == 1)
        #expect(decision.closed.charges[0].amounts == Amounts(.callSeconds, 4))
        #expect(settlement.reached.isEmpty)
    }

    @Test func theOldestSegmentIsFilledFirst() {
        var decision = Decision(Decision.dailyMinutes)
        var hold = decision.hold(Amounts(.callSeconds, 3))
        hold.first.starts.day = 100_000
        hold.more[0] = decision.subjects.segment(Amounts(.callSeconds, 5))
        hold.moreCount = 1
        decision.use(.tenantMonthlyMinutes, held: 5)
        let settlement = decision.commit(hold, Amounts(.callSeconds, 4))
        #expect(settlement.committed == Amounts(.callSeconds, 4))
        #expect(decision.transition.committed[minutes] == 1)
        #expect(decision.transition.held[minutes] == -5)
        #expect(decision.closed.charges[0].amounts == Amounts(.callSeconds, 3))
        decision.transition = Transition()
        Decide.release(
            &decision.subjects, &hold, decision.rules, transition: &decision.transition)
        #expect(decision.transition.held[minutes] == -5 && decision.transition.committed.isEmpty)
    }

    @Test func aProvisionalChargeIsReplaced() {
        var decision = Decision()
        decision.use(.tenantMonthlySpend, committed: 5)
        let hold = decision.hold(Amounts(.spend, 5), onExpiry: .commit)
        _ = decision.commit(hold, Amounts(.spend, 2), phase: .expiredCharged)
        #expect(decision.transition.committed[spend] == -3 && decision.transition.events.isEmpty)
        let more = decision.commit(hold, Amounts(.spend, 9), phase: .expiredCharged)
        #expect(decision.transition.committed[spend] == 4)
        #expect(more.reached.isEmpty)
        // Of a closed cycle: a correction of the books there.
        var old = hold
        old.first.starts.cycle = 1_000
        _ = decision.commit(old, Amounts(.spend, 2), phase: .expiredCharged)
        #expect(decision.transition.committed[spend] == 0)
        #expect(decision.closed.charges[0].amounts == Amounts(.spend, -3))
    }

    @Test func limitsThatAHoldDoesNotKnowAreLeftAlone() {
        var decision = Decision()
        var hold = decision.hold(Amounts(.spend, 5))
        hold.first.counters = 0
        Decide.release(
            &decision.subjects, &hold, decision.rules, transition: &decision.transition)
        #expect(decision.transition.held.isEmpty)
    }

    @Test func aTotalBeyond64BitsChangesNothing() {
        var decision = Decision()
        decision.use(.tenantMonthlySpend, committed: .max - 5, held: 5)
        let hold = decision.hold(Amounts(.spend, 5))
        #expect(decision.commit(hold, Amounts(.spend, 6)).verdict == .overflow)
        #expect(decision.commit(hold, Amounts(.spend, 5)).verdict == .allowed)
    }

    /// What is only ever held is freed by each way of settling, and charged by none.
    @Test func whatIsOnlyEverHeldIsFreed() {
        for kind in LimitSubject.tenant.limits where kind.resource.row.nature == .held {
            let counter = Decision.counter(kind.kind)
            for overage in OveragePolicy.allCases {
                var decision = Decision()
                decision.use(kind.kind, held: 2)
                let hold = decision.hold(Amounts(kind.resource, 2), overage: overage)
                let settlement = decision.commit(hold)
                #expect(settlement.verdict == .allowed && settlement.committed[kind.resource] == 0)
                #expect(decision.transition.held[counter] == -2)
                #expect(decision.transition.committed[counter] == 0)
            }
            var decision = Decision()
            let hold = decision.hold(Amounts(kind.resource, 2), onExpiry: .commit)
            _ = decision.commit(hold, phase: .expiredCharged)
            #expect(decision.transition.committed[counter] == 0 && decision.closed.count == 0)
        }
    }

    @Test func aReversedChargeTakesItsSuspensionBack() {
        for (rules, kind) in [
            (LimitRules.standard, LimitKind.tenantMonthlySpend),
            (Decision.dailyMinutes, .tenantMonthlyMinutes),
        ] {
            var decision = Decision(rules)
            decision.limitOnly(kind)
            decision.check(Amounts(kind.row.resource, 10), .commit)
            let raised = decision.answer.raised
            #expect(
                raised == [
                    EventSet(.threshold, kind), EventSet(.reached, kind), .suspended,
                ])
            decision.apply()
            #expect(decision.subjects.tenant.status == .suspended)
            #expect(decision.subjects.tenant.suspendedByUsage)
            let charged = decision.subjects.segment(Amounts(kind.row.resource, 10))
            let before = decision.subjects
            // Tripped without it: the suspension stays.
            decision.use(kind, committed: 20)
            #expect(decision.reverse(charged, raised: raised) == .allowed)
            #expect(!decision.transition.events.contains(.reinstated))
            decision.subjects = before
            #expect(decision.reverse(charged, raised: raised) == .allowed)
            #expect(decision.transition.events == .reinstated)
            decision.apply()
            #expect(decision.subjects.tenant.status == .active)
            #expect(decision.subjects.tenant.raised.isEmpty, "its alerts are due again")
            #expect(decision.subjects.tenant.committed[Decision.counter(kind)] == 0)
        }
    }
}
