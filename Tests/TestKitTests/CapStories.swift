import Limits
import Testing

@testable import TestKit

@Suite("semantics §4: what a cap does")
struct CapStories {
    private static let spendThreshold = ModelEvent.thresholdReached(
        .tenantMonthlySpend, subject: "acme")
    private static let spendReached = ModelEvent.limitReached(.tenantMonthlySpend, subject: "acme")
    private static let suspended = ModelEvent.suspended(tenantID: "acme")

    @Test(
        "The table: refuse or alert only, by kind of limit, auto-suspend and on_limit",
        arguments: Side.allCases,
        [
            (.auto, true, true, true), (.auto, false, false, true),
            (.block, true, true, true), (.block, false, true, true),
            (.alert, true, false, false), (.alert, false, false, false),
        ] as [(OnLimit, Bool, Bool, Bool)])
    func table(_ side: Side, _ row: (OnLimit, Bool, Bool, Bool)) throws {
        let (onLimit, autoSuspend, usageRefuses, countsRefuse) = row
        let resources: [(Resource, LimitKind, Bool)] = [
            (.spend, .tenantMonthlySpend, usageRefuses),
            (.callSeconds, .tenantMonthlyMinutes, usageRefuses),
            (.extensions, .tenantExtensions, countsRefuse), (.dids, .tenantDIDs, countsRefuse),
        ]
        for (resource, kind, refuses) in resources {
            var story = Story(
                side,
                TenantLimits(
                    monthlySpendNanos: 10, maxExtensions: 10, maxDIDs: 10, monthlyCallSeconds: 10,
                    autoSuspend: autoSuspend), onLimit: onLimit)
            let answer = try story.check([resource: 11])
            #expect(answer.decision == (refuses ? .denied : .allowed))
            #expect(answer.refused == (refuses ? LimitSet(kind) : []))
            #expect(answer.warnings == (refuses ? [] : LimitSet(kind)))
            #expect(try story.state(kind).blocking == refuses)
            // Of spend and minutes nothing is used: one request too large is no bill.
            let suspends = refuses && autoSuspend && kind.row.window == .standing
            #expect(answer.tenantStatus == (suspends ? .suspended : .active))
        }
    }

    @Test(
        "Profile daily spend: refuse while enabled, never suspends; on_limit never touches it",
        arguments: Side.allCases)
    func profile(_ side: Side) throws {
        for onLimit in OnLimit.allCases {
            var story = Story(side, TenantLimits(autoSuspend: true), onLimit: onLimit, dailyCap: 10)
            let answer = try story.check([.spend: 11], profileID: "promo")
            #expect(answer.refused == LimitSet(.profileDailySpend))
            #expect(answer.tenantStatus == .active)
            #expect(
                story.eventsSinceLast() == [
                    .requestRefused(.profileDailySpend, subject: "promo")
                ])
            story.profile.dailySpendLimitEnabled = false
            story.configure()
            let allowed = try story.check([.spend: 11], mode: .commit, profileID: "promo")
            #expect(allowed.decision == .allowed && allowed.warnings.isEmpty)
            // "Nothing is raised for a disabled limit."
            #expect(story.eventsSinceLast().isEmpty)
            #expect(try story.state(.profileDailySpend).blocking == false)
        }
    }

    @Test(
        "Tripped: committed ≥ cap after a transition that raised committed; it suspends",
        arguments: Side.allCases)
    func trippedByUsage(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        let hold = try story.check([.spend: 10]).reservation
        #expect(story.events.isEmpty)
        let answer = try story.commit(hold)
        // A charge that passes both raises threshold, then reached; it suspends in the same step.
        #expect(
            story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached, Self.suspended])
        #expect(answer.tenantStatus == .suspended)
        #expect(answer.warnings == LimitSet(.tenantMonthlySpend))
        let later = try story.check([.spend: 1])
        #expect(later.refusedBySuspension && later.refused.isEmpty)
        #expect(story.events.isEmpty)
    }

    @Test(
        "One charge against two limits raises thresholds, then caps reached, then the suspension",
        arguments: Side.allCases)
    func eventOrder(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true), dailyCap: 10)
        try story.record([.spend: 10], profileID: "promo")
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(.profileDailySpend, subject: "promo"), Self.spendThreshold,
                .limitReached(.profileDailySpend, subject: "promo"), Self.spendReached,
                Self.suspended,
            ])
    }

    @Test("Counts trip by a refusal only, however much usage is recorded", arguments: Side.allCases)
    func countsTripByRefusal(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 10, autoSuspend: true))
        let answer = try story.check([.extensions: 10], mode: .commit)
        #expect(answer.tenantStatus == .active)
        #expect(
            story.eventsSinceLast() == [.thresholdReached(.tenantExtensions, subject: "acme")])
        let warnings = try story.record([.extensions: 5]).warnings
        #expect(warnings == LimitSet(.tenantExtensions))
        #expect(story.events.isEmpty)
        let refused = try story.check([.extensions: 1])
        #expect(refused.refused == LimitSet(.tenantExtensions))
        #expect(refused.tenantStatus == .suspended)
        #expect(
            story.eventsSinceLast() == [
                .limitReached(.tenantExtensions, subject: "acme"), Self.suspended,
            ])
    }

    @Test(
        "A refusal that others' holds alone caused denies, but trips nothing",
        arguments: Side.allCases)
    func holdsAreNoBill(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 10, autoSuspend: true))
        try story.check([.extensions: 10])
        let answer = try story.check([.extensions: 10])
        #expect(answer.decision == .denied && answer.tenantStatus == .active)
        #expect(story.eventsSinceLast().isEmpty)
        // More than the cap alone would be refused in an empty house.
        #expect(try story.check([.extensions: 11]).tenantStatus == .suspended)
    }

    @Test(
        "Threshold: committed × 100 ≥ cap × percent, in full width; cap 0 has none",
        arguments: Side.allCases,
        [
            (1_000, 80, 799, false), (1_000, 80, 800, true), (3, 67, 2, false), (3, 66, 2, true),
            (1, 1, 1, true), (Int64.max, 100, Int64.max - 1, false),
            (Int64.max, 99, Int64.max - 1, true), (0, 1, 1, false),
        ] as [(Int64, UInt8, Int64, Bool)])
    func threshold(_ side: Side, _ row: (Int64, UInt8, Int64, Bool)) throws {
        let (cap, percent, usage, isRaised) = row
        var story = Story(
            side, TenantLimits(monthlySpendNanos: cap, alertThresholdPercent: percent))
        try story.record([.spend: usage])
        #expect(story.eventsSinceLast().contains(Self.spendThreshold) == isRaised)
    }

    @Test("Profiles use their tenant's percent", arguments: Side.allCases)
    func profilePercent(_ side: Side) throws {
        var story = Story(side, TenantLimits(alertThresholdPercent: 50), dailyCap: 10)
        try story.check([.spend: 5], mode: .commit, profileID: "promo")
        #expect(
            story.eventsSinceLast() == [.thresholdReached(.profileDailySpend, subject: "promo")])
    }

    @Test(
        "Both are raised once per window and per setting of the cap or percent",
        arguments: Side.allCases)
    func onceOnly(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10))
        try story.record([.spend: 12])
        #expect(story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached])
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast().isEmpty)

        // Toggling does not re-arm; neither does setting what is set.
        story.tenant.limits.autoSuspend = true
        story.configure()
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast() == [Self.suspended])
        story.tenant.limits.autoSuspend = false
        story.configure()
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast().isEmpty)

        // A changed cap does, at the next transition that raises committed, not at the change.
        story.tenant.limits.monthlySpendNanos = 15
        story.configure()
        #expect(story.eventsSinceLast().isEmpty)
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached])
        story.tenant.limits.alertThresholds = [50]
        story.configure()
        try story.record([.spend: 1])
        #expect(story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached])

        // And so does a new window.
        story.wait(until: Story.nextCycle)
        try story.record([.spend: 8])
        #expect(story.eventsSinceLast() == [Self.spendThreshold])
    }

    @Test("Toggling a profile's limit does not re-arm", arguments: Side.allCases)
    func togglingProfile(_ side: Side) throws {
        var story = Story(side, dailyCap: 10)
        try story.record([.spend: 10], profileID: "promo")
        #expect(story.eventsSinceLast().count == 2)
        for isEnabled in [false, true] {
            story.profile.dailySpendLimitEnabled = isEnabled
            story.configure()
        }
        try story.record([.spend: 1], profileID: "promo")
        #expect(story.eventsSinceLast().isEmpty)
        story.wait(until: Story.midnight)
        try story.record([.spend: 10], profileID: "promo")
        #expect(story.eventsSinceLast().count == 2)
    }

    @Test("Counts use the billing cycle as their alert window", arguments: Side.allCases)
    func countsAlertWindow(_ side: Side) throws {
        let threshold = ModelEvent.thresholdReached(.tenantExtensions, subject: "acme")
        var story = Story(side, TenantLimits(maxExtensions: 10))
        try story.record([.extensions: 8])
        #expect(story.eventsSinceLast() == [threshold])
        try story.record([.extensions: 1])
        #expect(story.eventsSinceLast().isEmpty)
        story.wait(until: Story.nextCycle)
        #expect(story.eventsSinceLast().isEmpty)
        try story.record([.extensions: 1])
        #expect(story.eventsSinceLast() == [threshold])
    }

    @Test(
        "Neither raising a cap nor a rollover reinstates: an operator does",
        arguments: Side.allCases)
    func reinstatement(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        try story.record([.spend: 10])
        story.tenant.limits.monthlySpendNanos = 1_000
        story.configure()
        #expect(try story.check([.spend: 1]).refusedBySuspension)
        story.wait(until: Story.nextCycle)
        #expect(try story.check([.spend: 1]).refusedBySuspension)
        _ = story.eventsSinceLast()
        story.perform(.reinstate("acme"))
        #expect(story.eventsSinceLast() == [.reinstated(tenantID: "acme")])
        story.perform(.reinstate("acme"))
        #expect(story.eventsSinceLast().isEmpty)
        #expect(try story.check([.spend: 1]).decision == .allowed)
    }

    @Test(
        "A tenant that is still over is suspended again by its next charge or creation",
        arguments: Side.allCases)
    func suspendedAgain(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 10, maxExtensions: 2, autoSuspend: true))
        try story.record([.spend: 10])
        story.perform(.reinstate("acme"))
        _ = story.eventsSinceLast()
        // Another limit is touched: nothing.
        #expect(try story.record([.callSeconds: 1]).tenantStatus == .active)
        // Each suspension raises tenant.suspended; the latched alarms stay silent.
        #expect(try story.check([.spend: 1]).tenantStatus == .suspended)
        #expect(story.eventsSinceLast() == [Self.suspended])
        story.perform(.reinstate("acme"))
        _ = story.eventsSinceLast()
        #expect(try story.record([.spend: 1]).tenantStatus == .suspended)
        #expect(story.eventsSinceLast() == [Self.suspended])
    }

    @Test("A cap set below present usage suspends nobody by itself", arguments: Side.allCases)
    func loweredCap(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 100, autoSuspend: true))
        try story.record([.spend: 50])
        let hold = try story.check([.spend: 10]).reservation
        story.tenant.limits.monthlySpendNanos = 20
        story.configure()
        #expect(story.eventsSinceLast().isEmpty)
        #expect(try story.check([.spend: 0]).decision == .allowed)
        let answer = try story.commit(hold)
        #expect(answer.committed == [.spend: 10] && answer.tenantStatus == .suspended)
        #expect(
            story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached, Self.suspended])
    }

    @Test(
        "Alerts of a refusal: the threshold is evaluated for the limits that refused",
        arguments: Side.allCases)
    func thresholdAtRefusal(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 100, autoSuspend: true))
        try story.record([.spend: 90])
        #expect(story.eventsSinceLast() == [Self.spendThreshold])
        story.tenant.limits.monthlySpendNanos = 99
        story.configure()
        try story.check([.spend: 5])
        let denied = try story.check([.spend: 9], mode: .checkOnly)
        #expect(denied.decision == .denied && story.eventsSinceLast().isEmpty)
        try story.check([.spend: 9])
        // Refused because of the hold of 5 alone: the threshold, but no trip.
        #expect(story.eventsSinceLast() == [Self.spendThreshold])
        try story.check([.spend: 10])
        #expect(story.eventsSinceLast() == [Self.spendReached, Self.suspended])
    }

    @Test(
        "A refusal alone trips spend and minutes only once 80 % of the cap is committed",
        arguments: Side.allCases,
        [
            (.spend, .tenantMonthlySpend, 399, false), (.spend, .tenantMonthlySpend, 400, true),
            (.callSeconds, .tenantMonthlyMinutes, 399, false),
            (.callSeconds, .tenantMonthlyMinutes, 400, true),
            (.dids, .tenantDIDs, 0, true), (.extensions, .tenantExtensions, 0, true),
        ] as [(Resource, LimitKind, Int64, Bool)])
    func refusalAlone(_ side: Side, _ row: (Resource, LimitKind, Int64, Bool)) throws {
        let (resource, kind, used, trips) = row
        var story = Story(
            side,
            TenantLimits(
                monthlySpendNanos: 500, maxExtensions: 500, maxDIDs: 500, monthlyCallSeconds: 500,
                alertThresholdPercent: 100, autoSuspend: true))
        try story.record([resource: used])
        let refused = try story.check([resource: 501])
        #expect(refused.refused == LimitSet(kind))
        #expect(refused.tenantStatus == (trips ? .suspended : .active))
        #expect(
            story.eventsSinceLast()
                == (trips
                    ? [.limitReached(kind, subject: "acme"), Self.suspended]
                    : [.requestRefused(kind, subject: "acme")]))
    }

    @Test(
        "A request too large is told once in a window, and does not use up the cap's alert",
        arguments: Side.allCases)
    func refusalLatch(_ side: Side) throws {
        let refused = ModelEvent.requestRefused(.tenantMonthlySpend, subject: "acme")
        var story = Story(
            side,
            TenantLimits(
                monthlySpendNanos: 500, alertThresholdPercent: 100, autoSuspend: true))
        try story.check([.spend: 501])
        try story.check([.spend: 900])
        #expect(story.eventsSinceLast() == [refused])
        // A refusal that holds alone caused is none.
        let hold = try story.check([.spend: 300]).reservation
        try story.check([.spend: 300])
        #expect(story.eventsSinceLast().isEmpty)
        try story.release(hold)
        try story.record([.spend: 400])
        try story.check([.spend: 101])
        #expect(story.eventsSinceLast() == [Self.spendReached, Self.suspended])
        story.perform(.reinstate("acme"))
        story.wait(until: Story.nextCycle)
        _ = story.eventsSinceLast()
        try story.check([.spend: 501])
        #expect(story.eventsSinceLast() == [refused])
        // Extend and PARTIAL are told alike.
        story.tenant.limits.monthlySpendNanos = 400
        story.configure()
        let small = try story.check([.spend: 1]).reservation
        #expect(try story.extend(small, [.spend: 401]).decision == .denied)
        #expect(story.eventsSinceLast() == [refused])
    }

    @Test(
        "alert: never refuse, never suspend; the mail comes all the same", arguments: Side.allCases)
    func alertOnly(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 10, maxDIDs: 0, autoSuspend: true),
            onLimit: .alert)
        let answer = try story.check([.spend: 10, .dids: 3], mode: .commit)
        #expect(answer.warnings == LimitSet(.tenantDIDs) && answer.tenantStatus == .active)
        // "When used + asked > cap": reaching it exactly is no warning; DIDs trip by refusal only.
        #expect(story.eventsSinceLast() == [Self.spendThreshold, Self.spendReached])
    }
}
