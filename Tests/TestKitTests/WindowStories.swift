import Limits
import Testing

@testable import TestKit

@Suite("semantics §1 and §2: limits and windows")
struct WindowStories {
    @Test("Using exactly the cap is allowed; the (N+1)th does not fit", arguments: Side.allCases)
    func exactlyTheCap(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 3))
        #expect(try story.check([.extensions: 3]).decision == .allowed)
        let denied = try story.check([.extensions: 1])
        #expect(denied.decision == .denied)
        #expect(denied.refused == LimitSet(.tenantExtensions))
        #expect(denied.treatment == .reject)
    }

    @Test("An amount of zero is never refused by a limit", arguments: Side.allCases)
    func zero(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 0), dailyCap: 0)
        #expect(try story.check([.extensions: 0]).decision == .allowed)
        #expect(try story.check([.spend: 0], profileID: "promo").decision == .allowed)
        #expect(try story.check([.extensions: 1]).decision == .denied)
    }

    @Test("An empty cap means no limit; usage is counted all the same", arguments: Side.allCases)
    func noCap(_ side: Side) throws {
        var story = Story(side)
        try story.record([.spend: 700, .callSeconds: 5])
        #expect(try story.committed(.tenantMonthlySpend) == 700)
        story.tenant.limits = TenantLimits(monthlySpendNanos: 700, autoSuspend: true)
        story.configure()
        #expect(try story.check([.spend: 1]).refused == LimitSet(.tenantMonthlySpend))
    }

    @Test("Overflow is refused, never wrapped", arguments: Side.allCases)
    func overflow(_ side: Side) throws {
        var story = Story(side)
        try story.record([.spend: Int64.max - 1])
        let ask = CheckOperation(tenantID: "acme", amounts: [.spend: 2])
        #expect(story.perform(.check(ask)) == .failure(.badField))
        let usage = RecordOperation(tenantID: "acme", amounts: [.spend: 2])
        #expect(story.perform(.record(usage)) == .failure(.badField))
        try story.record([.spend: 1])
        #expect(try story.committed(.tenantMonthlySpend) == Int64.max)
    }

    @Test(
        "All or nothing: none is held and every limit that refused is named",
        arguments: Side.allCases)
    func allOrNothing(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 10, maxExtensions: 1, autoSuspend: true),
            dailyCap: 5)
        let denied = try story.check(
            [.spend: 11, .extensions: 2, .dids: 9], profileID: "promo")
        #expect(
            denied.refused == [
                LimitSet(.profileDailySpend), LimitSet(.tenantMonthlySpend),
                LimitSet(.tenantExtensions),
            ])
        for kind in story.kinds { #expect(try story.held(kind) == 0) }
        // Room in the tenant's cycle, none in the profile's day.
        story.perform(.reinstate("acme"))
        #expect(
            try story.check([.spend: 6], profileID: "promo").refused
                == LimitSet(.profileDailySpend))
        #expect(try story.held(.tenantMonthlySpend) == 0)
    }

    @Test("A profile of another tenant reads as NOT_FOUND", arguments: Side.allCases)
    func foreignProfile(_ side: Side) {
        var story = Story(side)
        story.perform(.setTenant(TenantSettings(id: "globex")))
        var ask = CheckOperation(tenantID: "globex", amounts: [.spend: 1])
        ask.profileID = "promo"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
        ask.tenantID = "nobody"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
        var moved = story.profile
        moved.tenantID = "globex"
        #expect(story.perform(.setProfile(moved)) == .failure(.notFound))
    }

    @Test("Day: 00:00:00 UTC to the next; only a rollover resets a total", arguments: Side.allCases)
    func day(_ side: Side) throws {
        var story = Story(side, dailyCap: 10)
        try story.check([.spend: 10], mode: .commit, profileID: "promo")
        story.profile.dailySpendLimitEnabled = false
        story.configure()
        try story.check([.spend: 3], mode: .commit, profileID: "promo")
        story.profile.dailySpendLimitEnabled = true
        story.profile.dailySpendLimitNanos = 12
        story.configure()
        #expect(try story.committed(.profileDailySpend) == 13)
        story.wait(until: Story.midnight - 1)
        #expect(try story.check([.spend: 1], profileID: "promo").decision == .denied)
        story.wait(1)
        let state = try story.state(.profileDailySpend)
        #expect(state.committed == 0)
        #expect(state.windowStart == Story.midnight)
        #expect(state.resetsAt == Story.midnight + 86_400_000)
        #expect(try story.check([.spend: 12], profileID: "promo").decision == .allowed)
        #expect(try story.committed(.tenantMonthlySpend) == 13)
    }

    @Test("Billing cycle: calendar months; counts are standing", arguments: Side.allCases)
    func cycle(_ side: Side) throws {
        var story = Story(side)
        try story.record([.spend: 5, .callSeconds: 6, .extensions: 7, .dids: 8])
        story.wait(until: Story.nextCycle - 1)
        #expect(try story.committed(.tenantMonthlySpend) == 5)
        story.wait(1)
        #expect(try story.committed(.tenantMonthlySpend) == 0)
        #expect(try story.committed(.tenantMonthlyMinutes) == 0)
        #expect(try story.committed(.tenantExtensions) == 7)
        let dids = try story.state(.tenantDIDs)
        #expect(dids.committed == 8 && dids.windowStart == 0 && dids.resetsAt == 0)
    }

    @Test(
        "Changing the cycle day takes effect at the current window's end; a short cycle follows",
        arguments: Side.allCases)
    func changedCycleDay(_ side: Side) throws {
        var story = Story(side)
        story.tenant.billingCycleDay = 15
        story.configure()
        #expect(try story.state(.tenantMonthlySpend).resetsAt == Story.nextCycle)
        story.wait(until: Story.nextCycle)
        let short = try story.state(.tenantMonthlySpend)
        #expect(short.windowStart == Story.nextCycle)
        #expect(short.resetsAt == Story.nextCycle + 14 * 86_400_000)
    }

    @Test(
        "A change that comes after an unseen rollover meets the window of the old setting",
        arguments: Side.allCases)
    func changeAfterRollover(_ side: Side) throws {
        var story = Story(side)
        story.wait(until: Story.nextCycle + 1)
        story.tenant.billingCycleDay = 15
        story.configure()
        let state = try story.state(.tenantMonthlySpend)
        #expect(state.windowStart == Story.nextCycle)
        #expect(state.resetsAt == Story.nextCycle + 31 * 86_400_000)
    }

    @Test(
        "A hold belongs to its window; committed after the rollover it is charged to that window",
        arguments: Side.allCases)
    func closedWindow(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 1, autoSuspend: true), onLimit: .alert,
            dailyCap: 100)
        story.wait(until: Story.nextCycle - 1_000)
        let hold = try story.check([.spend: 50], profileID: "promo").reservation
        story.wait(2_000)
        #expect(try story.held(.tenantMonthlySpend) == 0)
        story.tenant.onLimit = .auto
        story.configure()
        _ = story.eventsSinceLast()
        let answer = try story.commit(hold)
        #expect(answer.committed == [.spend: 50] && answer.late == false)
        // "Charges to a closed window neither alert nor suspend."
        #expect(answer.tenantStatus == .active && answer.warnings.isEmpty)
        #expect(story.eventsSinceLast().isEmpty)
        #expect(try story.committed(.tenantMonthlySpend) == 0)
        #expect(try story.committed(.profileDailySpend) == 0)
    }

    @Test(
        "A hold of several windows outgrows 64 bits in none of them, but altogether",
        arguments: Side.allCases)
    func extensionsTogether(_ side: Side) throws {
        var story = Story(side)
        story.wait(until: Story.nextCycle - 1_000)
        let hold = try story.check([.callSeconds: 2]) { $0.ttlMilliseconds = 60_000 }.reservation
        story.wait(2_000)
        var more = ExtendOperation(reservation: hold)
        more.additional = [.callSeconds: Int64.max - 1]
        #expect(story.perform(.extend(more)) == .failure(.badField))
        #expect(try story.held(.tenantMonthlyMinutes) == 0)
        _ = try story.extend(hold, [.callSeconds: Int64.max - 2])
        #expect(try story.held(.tenantMonthlyMinutes) == Int64.max - 2)
    }

    @Test("A commit fills the oldest window first", arguments: Side.allCases)
    func extendedOverRollover(_ side: Side) throws {
        var story = Story(side)
        story.wait(until: Story.nextCycle - 1_000)
        let hold = try story.check([.spend: 50]) { $0.ttlMilliseconds = 60_000 }.reservation
        story.wait(2_000)
        try story.extend(hold, [.spend: 20])
        #expect(try story.held(.tenantMonthlySpend) == 20)
        try story.commit(hold, [.spend: 55])
        #expect(try story.committed(.tenantMonthlySpend) == 5)
        #expect(try story.held(.tenantMonthlySpend) == 0)

        let other = try story.check([.spend: 1]).reservation
        try story.commit(other, [.spend: 10])
        #expect(try story.committed(.tenantMonthlySpend) == 15)
    }

    @Test(
        "What a commit charges above the hold belongs to the windows that are open at the commit",
        arguments: Side.allCases)
    func excessAfterRollover(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 1_000, autoSuspend: true), dailyCap: 2_000)
        story.wait(until: Story.nextCycle - 1_000)
        let holds = try (0..<10).map { _ in
            try story.check([.spend: 1], profileID: "promo").reservation
        }
        story.wait(2_000)
        _ = story.eventsSinceLast()
        #expect(try story.commit(holds[0], [.spend: 501, .dids: 2]).tenantStatus == .active)
        #expect(try story.committed(.tenantMonthlySpend) == 500)
        #expect(try story.committed(.profileDailySpend) == 500)
        #expect(try story.committed(.tenantDIDs) == 2)
        // It alerts and suspends there like any charge.
        let answer = try story.commit(holds[1], [.spend: 501])
        #expect(answer.tenantStatus == .suspended)
        #expect(answer.warnings == LimitSet(.tenantMonthlySpend))
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(.tenantMonthlySpend, subject: "acme"),
                .limitReached(.tenantMonthlySpend, subject: "acme"),
                .suspended(tenantID: "acme"),
            ])
        for hold in holds.dropFirst(2) { try story.commit(hold, [.spend: 500]) }
        #expect(try story.committed(.tenantMonthlySpend) == 1_000 + 8 * 499)
    }

    private static let endedAtThreshold = ModelEvent.windowEndedAtThreshold(
        .tenantMonthlySpend, subject: "acme")
    private static let endedAtLimit = ModelEvent.windowEndedAtLimit(
        .tenantMonthlySpend, subject: "acme")

    @Test(
        "The rollover judges the window that ends once, with what is held; it suspends nobody",
        arguments: Side.allCases)
    func judgement(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 100, autoSuspend: true), dailyCap: 100)
        story.wait(until: Story.nextCycle - 1_000)
        try story.record([.spend: 40], profileID: "promo")
        let hold = try story.check([.spend: 60], profileID: "promo").reservation
        #expect(story.eventsSinceLast().isEmpty)
        story.wait(2_000)
        // A read judges nothing: it changes nothing.
        _ = try story.state(.tenantMonthlySpend)
        #expect(story.eventsSinceLast().isEmpty)
        #expect(try story.commit(hold).tenantStatus == .active)
        #expect(
            story.eventsSinceLast() == [
                .windowEndedAtThreshold(.profileDailySpend, subject: "promo"),
                Self.endedAtThreshold,
                .windowEndedAtLimit(.profileDailySpend, subject: "promo"), Self.endedAtLimit,
            ])
        try story.record([.spend: 1], profileID: "promo")
        #expect(story.eventsSinceLast().isEmpty)
        // The new window has alerts of its own.
        try story.record([.spend: 79], profileID: "promo")
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(.profileDailySpend, subject: "promo"),
                .thresholdReached(.tenantMonthlySpend, subject: "acme"),
            ])
    }

    @Test(
        "What was raised in a window is not raised again at its end; nothing is due of nothing",
        arguments: Side.allCases)
    func judgedOnce(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 100, monthlyCallSeconds: 0))
        try story.record([.spend: 85])
        let hold = try story.check([.spend: 15], { $0.ttlMilliseconds = 86_400_000 })
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(.tenantMonthlySpend, subject: "acme")
            ])
        #expect(hold.decision == .allowed)
        story.wait(86_400_000)
        story.wait(until: Story.nextCycle)
        // The hold had expired before.
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast().isEmpty)
        // A disabled limit raises nothing; a refusal, too, is a transition that opens the window.
        story.tenant.limits.autoSuspend = true
        story.configure()
        try story.check([.spend: 90], { $0.ttlMilliseconds = 86_400_000 })
        story.perform(.advance(milliseconds: 31 * 86_400_000))
        #expect(try story.check([.spend: 101]).decision == .denied)
        #expect(
            story.eventsSinceLast() == [
                Self.endedAtThreshold,
                .requestRefused(.tenantMonthlySpend, subject: "acme"),
            ])
    }

    @Test("The total life of a reservation is bounded", arguments: Side.allCases)
    func boundedLife(_ side: Side) throws {
        var story = Story(side)
        let first = try story.check([.spend: 1]) { $0.ttlMilliseconds = 86_400_000 }
        #expect(first.expiresAt == Story.start + 86_400_000)
        story.wait(1_000_000)
        let answer = try story.extend(first.reservation, ttl: 86_400_000)
        #expect(answer.decision == .allowed)
        #expect(answer.expiresAt == Story.start + 86_400_000)
    }
}
