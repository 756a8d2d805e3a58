import Limits
import Testing

@testable import TestKit

@Suite("A limit is a row: what is only ever held")
struct HeldStories {
    @Test(
        "The (N+1)th is refused, suspends nobody, and is told once a cycle",
        arguments: Side.allCases, LimitKind.ofHeld)
    func refuses(_ side: Side, _ kind: LimitKind) throws {
        let reached = ModelEvent.limitReached(kind, subject: "acme")
        let threshold = ModelEvent.thresholdReached(kind, subject: "acme")
        for onLimit in [OnLimit.auto, .block] {
            var story = RowStories.story(side, kind, cap: 2, onLimit: onLimit)
            let call = [kind.row.resource: 1 as Int64]
            let first = try story.check(call) { $0.ttlMilliseconds = 86_400_000 }.reservation
            #expect(story.eventsSinceLast().isEmpty)
            try story.check(call) { $0.ttlMilliseconds = 86_400_000 }
            // The threshold is judged by what is held.
            #expect(story.eventsSinceLast() == [threshold])
            for _ in 0..<2 {
                let refused = try story.check(call)
                #expect(refused.refused == LimitSet(kind) && refused.tenantStatus == .active)
            }
            #expect(story.eventsSinceLast() == [reached])
            #expect(try story.state(kind).held == 2 && story.state(kind).blocking)
            try story.release(first)
            #expect(try story.check(call).decision == .allowed)
            #expect(story.eventsSinceLast().isEmpty)
            story.wait(until: RowStories.ends(.standing).first)
            #expect(try story.check([kind.row.resource: 3]).refused == LimitSet(kind))
            #expect(story.eventsSinceLast() == [reached])
        }
    }

    @Test(
        "Without auto-suspend it refuses too; alert lets it through", arguments: Side.allCases,
        LimitKind.ofHeld)
    func alertOnly(_ side: Side, _ kind: LimitKind) throws {
        var story = RowStories.story(side, kind, cap: 1, autoSuspend: false)
        #expect(try story.check([kind.row.resource: 2]).refused == LimitSet(kind))
        story.tenant.onLimit = .alert
        story.configure()
        _ = story.eventsSinceLast()
        let answer = try story.check([kind.row.resource: 2])
        #expect(answer.decision == .allowed && answer.warnings == LimitSet(kind))
        #expect(answer.tenantStatus == .active)
        #expect(story.eventsSinceLast() == [.thresholdReached(kind, subject: "acme")])
        #expect(try story.state(kind).blocking == false)
    }

    @Test(
        "Settling or expiring frees it and charges nothing, whatever the policy",
        arguments: Side.allCases, LimitKind.ofHeld)
    func freed(_ side: Side, _ kind: LimitKind) throws {
        var story = RowStories.story(side, kind)
        let resource = kind.row.resource
        for overage in OveragePolicy.allCases {
            let hold = try story.check([resource: 1, .spend: 5]) { $0.overage = overage }
            #expect(try story.held(kind) == 1)
            #expect(try story.commit(hold.reservation).committed == [.spend: 5])
            // The same in other words.
            #expect(try story.commit(hold.reservation, [.spend: 5]).replayed)
            let state = try story.state(kind)
            #expect(state.held == 0 && state.committed == 0)
        }
        for onExpiry in ExpiryPolicy.allCases {
            let hold = try story.check([resource: 1, .spend: 5]) { $0.onExpiry = onExpiry }
            story.wait(60_000)
            let state = try story.state(kind)
            #expect(state.held == 0 && state.committed == 0)
            let late = try story.commit(hold.reservation)
            #expect(late.late && late.committed == [.spend: 5])
            #expect(try story.committed(kind) == 0)
        }
        #expect(try story.committed(.tenantMonthlySpend) == 25)
    }

    @Test(
        "It is held from one cycle into the next", arguments: Side.allCases, LimitKind.ofHeld)
    func stands(_ side: Side, _ kind: LimitKind) throws {
        var story = RowStories.story(side, kind, cap: 1)
        story.wait(until: RowStories.ends(.standing).first - 1_000)
        let hold = try story.check([kind.row.resource: 1]).reservation
        story.wait(2_000)
        let state = try story.state(kind)
        #expect(state.held == 1 && state.windowStart == 0 && state.resetsAt == 0)
        try story.extend(hold, [:], ttl: 60_000)
        #expect(try story.extend(hold, [kind.row.resource: 1]).refused == LimitSet(kind))
        try story.release(hold)
        #expect(try story.held(kind) == 0)
    }

    @Test(
        "PARTIAL holds all of it or refuses: it has no part in the fraction",
        arguments: Side.allCases, LimitKind.ofHeld)
    func partial(_ side: Side, _ kind: LimitKind) throws {
        var story = RowStories.story(side, kind, cap: 3)
        story.tenant.limits.monthlySpendNanos = 10
        story.configure()
        let resource = kind.row.resource
        let short = try story.check([resource: 2, .spend: 40], mode: .partial)
        #expect(short.granted == [resource: 2, .spend: 10])
        #expect(try story.held(kind) == 2)
        let refused = try story.check([resource: 2, .callSeconds: 1], mode: .partial)
        #expect(refused.decision == .denied && refused.refused == LimitSet(kind))
        #expect(try story.held(.tenantMonthlyMinutes) == 0)
    }

    @Test(
        "Nothing charges it: in COMMIT mode, RecordUsage, `actual` and a set count it is 10015",
        arguments: Side.allCases, LimitKind.ofHeld)
    func neverCharged(_ side: Side, _ kind: LimitKind) throws {
        var story = RowStories.story(side, kind)
        let amounts: ModelAmounts = [kind.row.resource: 1, .spend: 1]
        var charge = CheckOperation(tenantID: "acme", amounts: amounts)
        charge.mode = .commit
        #expect(story.perform(.check(charge)) == .failure(.badField))
        let usage = RecordOperation(tenantID: "acme", amounts: amounts)
        #expect(story.perform(.record(usage)) == .failure(.badField))
        #expect(
            story.perform(.setCounts(tenantID: "acme", [kind.row.resource: 1]))
                == .failure(.badField))
        let hold = try story.check(amounts).reservation
        #expect(
            story.perform(.commit(reservation: hold, actual: amounts)) == .failure(.badField))
        #expect(try story.held(kind) == 1)
        for kind in story.kinds { #expect(try story.committed(kind) == 0) }
    }
}
