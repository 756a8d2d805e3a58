import Limits
import Testing

@testable import TestKit

/// A limit has up to four alert thresholds.
@Suite("Semantics §4, thresholds, on the model and on the engine")
struct ThresholdStories {
    private func raised(
        _ levels: [Int], _ kind: LimitKind = .tenantMonthlySpend, of subject: String = "acme"
    ) -> [ModelEvent] {
        levels.map { .thresholdReached(kind, subject: subject, level: $0) }
    }

    private func limits(_ percents: [UInt8], spend: Int64? = 100) -> TenantLimits {
        var limits = TenantLimits(monthlySpendNanos: spend)
        limits.alertThresholds = percents
        return limits
    }

    @Test(
        "Of up to four thresholds each is raised once a window, lowest first",
        arguments: Side.allCases)
    func eachOnce(_ side: Side) throws {
        var story = Story(side, limits([50, 80, 90, 95]))
        for (amount, levels) in [(49, []), (1, [0]), (39, [1]), (0, []), (10, [2, 3]), (0, [])]
            as [(Int64, [Int])]
        {
            try story.record([.spend: amount])
            #expect(story.eventsSinceLast() == raised(levels))
        }
        story.wait(until: Story.nextCycle)
        try story.record([.spend: 81])
        #expect(story.eventsSinceLast() == raised([0, 1]))
    }

    @Test("One charge past all raises them in their order, then reached", arguments: Side.allCases)
    func allAtOnce(_ side: Side) throws {
        var story = Story(side, limits([1, 2, 99, 100]))
        try story.record([.spend: 100])
        #expect(
            story.eventsSinceLast()
                == raised([0, 1, 2, 3]) + [.limitReached(.tenantMonthlySpend, subject: "acme")])
    }

    @Test("Any changed percent re-arms all, the same ones none", arguments: Side.allCases)
    func aChangeRearms(_ side: Side) throws {
        var story = Story(side, limits([50, 80]))
        try story.record([.spend: 85])
        #expect(story.eventsSinceLast() == raised([0, 1]))
        story.configure()
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast().isEmpty)
        story.tenant.limits.alertThresholds = [50, 80, 86]
        story.configure()
        #expect(story.eventsSinceLast().isEmpty)
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast() == raised([0, 1, 2]))
        story.tenant.limits.alertThresholds = [80]
        story.configure()
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast() == raised([0]))
    }

    @Test("Profiles use all their tenant's percents", arguments: Side.allCases)
    func profiles(_ side: Side) throws {
        var story = Story(side, limits([30, 60, 90], spend: nil), dailyCap: 10)
        try story.check([.spend: 6], mode: .commit, profileID: "promo")
        #expect(story.eventsSinceLast() == raised([0, 1], .profileDailySpend, of: "promo"))
        try story.check([.spend: 3], mode: .commit, profileID: "promo")
        #expect(story.eventsSinceLast() == raised([2], .profileDailySpend, of: "promo"))
    }

    @Test("The end of a window tells of several that are due once", arguments: Side.allCases)
    func endOfWindow(_ side: Side) throws {
        var story = Story(side, limits([50, 80, 90, 95]))
        story.wait(until: Story.nextCycle - 3_600_000)
        try story.check([.spend: 96]) { $0.ttlMilliseconds = 80_000_000 }
        #expect(story.eventsSinceLast().isEmpty)
        story.wait(until: Story.nextCycle)
        try story.record([.spend: 1])
        #expect(
            story.eventsSinceLast() == [
                .windowEndedAtThreshold(.tenantMonthlySpend, subject: "acme")
            ])
    }
}
