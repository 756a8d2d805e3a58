import Limits
import Testing

@testable import TestKit

extension LimitKind {
    /// A tenant's limits on what adds up: spend, minutes, …
    static let ofUsage = ofTenants { $0.resource.row.nature == .accumulating }
    /// A tenant's limits on what is there until it is given back.
    static let ofCounts = ofTenants { $0.resource.row.nature == .standing }
    /// A tenant's limits on what is only ever held.
    static let ofHeld = ofTenants { $0.resource.row.nature == .held }
    /// A tenant's limits on what another one, of a longer window, counts too.
    static let ofShorterWindows = ofTenants { row in
        row.window == .tenantDay && row.longer != nil
    }

    private static func ofTenants(_ column: (LimitRow) -> Bool) -> [LimitKind] {
        catalogue.filter { $0.subject == .tenant && column($0) }.map(\.kind)
    }
}

extension LimitRow {
    /// The limit of the billing cycle on the same resource.
    var longer: LimitKind? {
        LimitKind.catalogue.first {
            $0.subject == .tenant && $0.resource == resource && $0.window == .billingCycle
        }?.kind
    }
}

/// What the columns of a row bring about, for every row that has them.
@Suite("A limit is a row: what adds up, and profiles")
struct RowStories {
    static let zone = "Asia/Kathmandu"
    /// 5:45 ahead of UTC: the day ends at 18:15.
    private static let ahead: Int64 = 20_700_000

    /// Where the window of the story's beginning ends in `zone`, and the next one.
    static func ends(_ window: LimitWindow) -> (first: Int64, second: Int64) {
        let day: Int64 = 86_400_000
        switch window {
        case .tenantDay: return (Story.midnight - ahead, Story.midnight - ahead + day)
        case .utcDay: return (Story.midnight, Story.midnight + day)
        case .billingCycle, .standing:
            return (Story.nextCycle - ahead, Story.nextCycle - ahead + 31 * day)
        }
    }

    static func story(
        _ side: Side, _ kind: LimitKind, cap: Int64 = 100, autoSuspend: Bool = true,
        onLimit: OnLimit = .auto
    ) -> Story {
        var limits = TenantLimits(autoSuspend: autoSuspend)
        limits[kind] = cap
        return Story(side, limits, onLimit: onLimit, timeZone: zone)
    }

    static let suspended = ModelEvent.suspended(tenantID: "acme")

    @Test("Every row of the catalogue has its stories here or in HeldStories")
    func coverage() {
        let covered =
            LimitKind.ofUsage + LimitKind.ofCounts + LimitKind.ofHeld
            + ProfileKind.allCases.map(\.limit.kind)
        #expect(covered.sorted { $0.rawValue < $1.rawValue } == LimitKind.allCases)
        for row in LimitKind.catalogue where row.subject == .tenant {
            #expect((row.window == .standing) == (row.resource.row.nature != .accumulating))
            #expect(row.tripsByUsage == (row.resource.row.nature == .accumulating))
            #expect(row.suspends == (row.resource.row.nature != .held))
        }
    }

    @Test(
        "A window ends where the tenant is, and only a rollover resets its total",
        arguments: Side.allCases, LimitKind.ofUsage)
    func window(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind)
        let ends = Self.ends(kind.row.window)
        try story.record([kind.row.resource: 99])
        #expect(try story.state(kind).resetsAt == ends.first)
        story.wait(until: ends.first - 1)
        #expect(try story.check([kind.row.resource: 2]).refused == LimitSet(kind))
        #expect(try story.committed(kind) == 99)
        story.perform(.reinstate("acme"))
        story.wait(1)
        let state = try story.state(kind)
        #expect(state.committed == 0 && state.held == 0 && state.cap == 100)
        #expect(state.windowStart == ends.first && state.resetsAt == ends.second)
        #expect(try story.check([kind.row.resource: 100]).decision == .allowed)
    }

    @Test(
        "Usage trips it: threshold, reached, suspended; once in a window", arguments: Side.allCases,
        LimitKind.ofUsage)
    func trips(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind)
        let raised: [ModelEvent] = [
            .thresholdReached(kind, subject: "acme"), .limitReached(kind, subject: "acme"),
            Self.suspended,
        ]
        let hold = try story.check([kind.row.resource: 100]).reservation
        #expect(story.eventsSinceLast().isEmpty)
        let answer = try story.commit(hold)
        #expect(answer.warnings == LimitSet(kind) && answer.tenantStatus == .suspended)
        #expect(story.eventsSinceLast() == raised)
        story.perform(.reinstate("acme"))
        _ = story.eventsSinceLast()
        try story.record([kind.row.resource: 1])
        #expect(story.eventsSinceLast() == [Self.suspended])
        story.perform(.reinstate("acme"))
        story.wait(until: Self.ends(kind.row.window).first)
        _ = story.eventsSinceLast()
        try story.record([kind.row.resource: 100])
        #expect(story.eventsSinceLast() == raised)
    }

    @Test(
        "A request too large by itself suspends nobody; without auto-suspend it is let through",
        arguments: Side.allCases, LimitKind.ofUsage)
    func tooLarge(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind)
        let refused = try story.check([kind.row.resource: 101])
        #expect(refused.refused == LimitSet(kind) && refused.tenantStatus == .active)
        #expect(story.eventsSinceLast() == [.requestRefused(kind, subject: "acme")])
        story.tenant.limits.autoSuspend = false
        story.configure()
        let allowed = try story.check([kind.row.resource: 101])
        #expect(allowed.decision == .allowed && allowed.warnings == LimitSet(kind))
    }

    @Test(
        "The end of its window is judged with what is held", arguments: Side.allCases,
        LimitKind.ofUsage)
    func judged(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind)
        let end = Self.ends(kind.row.window).first
        story.wait(until: end - 1_000)
        try story.check([kind.row.resource: 100])
        #expect(story.eventsSinceLast().isEmpty)
        story.perform(.advance(milliseconds: 1_000))
        story.perform(.judge)
        #expect(
            story.eventsSinceLast() == [
                .windowEndedAtThreshold(kind, subject: "acme"),
                .windowEndedAtLimit(kind, subject: "acme"),
            ])
        story.perform(.advance(milliseconds: 900_000))
        story.perform(.judge)
        #expect(story.eventsSinceLast().isEmpty)
        #expect(try story.held(kind) == 0)
    }

    @Test(
        "A reversed charge takes back the suspension that it caused", arguments: Side.allCases,
        LimitKind.ofUsage)
    func reversed(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind)
        var charge = CheckOperation(tenantID: "acme", amounts: [kind.row.resource: 100])
        charge.mode = .commit
        for _ in 0..<2 {
            story.perform(.withdrawnCheck(charge))
            #expect(
                story.eventsSinceLast() == [
                    .thresholdReached(kind, subject: "acme"), .limitReached(kind, subject: "acme"),
                    Self.suspended, .reinstated(tenantID: "acme"),
                ])
            #expect(try story.committed(kind) == 0)
        }
    }

    @Test(
        "Two windows of one resource: both count, either refuses, each ends by itself",
        arguments: Side.allCases, LimitKind.ofShorterWindows)
    func twoWindows(_ side: Side, _ kind: LimitKind) throws {
        let longer = try #require(kind.row.longer)
        let resource = kind.row.resource
        var story = Self.story(side, kind, cap: 10)
        story.tenant.limits[longer] = 15
        story.configure()
        try story.record([resource: 9])
        #expect(try story.committed(kind) == 9 && story.committed(longer) == 9)
        #expect(try story.check([resource: 2], mode: .checkOnly).refused == LimitSet(kind))
        #expect(
            try story.check([resource: 7], mode: .checkOnly).refused
                == [LimitSet(kind), LimitSet(longer)])
        // PARTIAL and CAP go by the least room.
        let hold = try story.check([resource: 5], mode: .partial) { $0.overage = .cap }
        #expect(hold.granted == [resource: 1])
        #expect(try story.commit(hold.reservation, [resource: 3]).uncharged == [resource: 2])
        story.perform(.reinstate("acme"))
        story.wait(until: Self.ends(.tenantDay).first)
        #expect(try story.committed(kind) == 0 && story.committed(longer) == 10)
        #expect(try story.check([resource: 6], mode: .checkOnly).refused == LimitSet(longer))
    }

    @Test(
        "A hold that outlives the shorter window is charged there and to the longer one",
        arguments: Side.allCases, LimitKind.ofShorterWindows)
    func overTheShorterWindow(_ side: Side, _ kind: LimitKind) throws {
        let longer = try #require(kind.row.longer)
        let resource = kind.row.resource
        var story = Self.story(side, kind, cap: 100)
        story.tenant.limits[longer] = 100
        story.configure()
        story.wait(until: Self.ends(.tenantDay).first - 1_000)
        let hold = try story.check([resource: 20]).reservation
        story.wait(2_000)
        #expect(try story.held(kind) == 0 && story.held(longer) == 20)
        try story.extend(hold, [resource: 5])
        #expect(try story.held(kind) == 5 && story.held(longer) == 25)
        // The oldest first, and what is above the hold to what is open.
        try story.commit(hold, [resource: 27])
        #expect(try story.committed(kind) == 7 && story.committed(longer) == 27)
        #expect(try story.held(kind) == 0 && story.held(longer) == 0)
    }

    @Test(
        "Counts stand, may be given back, and trip by refusal alone", arguments: Side.allCases,
        LimitKind.ofCounts)
    func counts(_ side: Side, _ kind: LimitKind) throws {
        var story = Self.story(side, kind, cap: 2)
        let resource = kind.row.resource
        #expect(try story.record([resource: 2]).tenantStatus == .active)
        story.wait(until: Self.ends(.billingCycle).second)
        let state = try story.state(kind)
        #expect(state.committed == 2 && state.windowStart == 0 && state.resetsAt == 0)
        _ = story.eventsSinceLast()
        #expect(try story.check([resource: 1]).tenantStatus == .suspended)
        try story.record([resource: -2])
        story.perform(.reinstate("acme"))
        #expect(try story.check([resource: 2]).decision == .allowed)
    }

    @Test(
        "A profile of each kind has its UTC day, refuses, never suspends, and is found by its field",
        arguments: Side.allCases, ProfileKind.allCases)
    func profile(_ side: Side, _ profileKind: ProfileKind) throws {
        let kind = profileKind.limit.kind
        var story = Story(
            side, TenantLimits(autoSuspend: true), dailyCap: 10, profileKind: profileKind,
            timeZone: Self.zone)
        try story.check([.spend: 10], mode: .commit, profileID: "promo")
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(kind, subject: "promo"), .limitReached(kind, subject: "promo"),
            ])
        let refused = try story.check([.spend: 1], profileID: "promo")
        #expect(refused.refused == LimitSet(kind) && refused.tenantStatus == .active)
        let state = try story.state(kind)
        #expect(state.committed == 10 && state.resetsAt == Story.midnight && state.blocking)
        for other in ProfileKind.allCases where other != profileKind {
            var ask = CheckOperation(tenantID: "acme", amounts: [.spend: 1])
            ask.profileID = "promo"
            ask.profileKind = other
            #expect(story.perform(.check(ask)) == .failure(.notFound))
            var settings = story.profile
            settings.kind = other
            #expect(story.perform(.setProfile(settings)) == .failure(.notFound))
        }
        story.wait(until: Story.midnight)
        #expect(try story.check([.spend: 10], profileID: "promo").decision == .allowed)
    }
}
