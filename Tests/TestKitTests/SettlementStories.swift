import Limits
import Testing

@testable import TestKit

@Suite("semantics §3: commit, release, expiry, extend")
struct SettlementStories {
    @Test(
        "Empty actual = what was held; less frees the rest; an absent resource is 0",
        arguments: Side.allCases)
    func commit(_ side: Side) throws {
        var story = Story(side)
        let whole = try story.check([.spend: 5, .callSeconds: 60]).reservation
        #expect(try story.commit(whole).committed == [.spend: 5, .callSeconds: 60])
        let part = try story.check([.spend: 5, .callSeconds: 60]).reservation
        #expect(try story.commit(part, [.spend: 2]).committed == [.spend: 2])
        #expect(try story.committed(.tenantMonthlySpend) == 7)
        #expect(try story.committed(.tenantMonthlyMinutes) == 60)
        for kind in story.kinds { #expect(try story.held(kind) == 0) }
    }

    @Test(
        "Overage RECORD charges it all; a resource that was not held is all overage",
        arguments: Side.allCases)
    func record(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 6, autoSuspend: true))
        let hold = try story.check([.spend: 5]).reservation
        let answer = try story.commit(hold, [.spend: 9, .dids: 1])
        #expect(answer.committed == [.spend: 9, .dids: 1] && answer.uncharged.isEmpty)
        #expect(answer.tenantStatus == .suspended)
        #expect(try story.committed(.tenantMonthlySpend) == 9)
    }

    @Test(
        "Overage CAP charges what the least room among the blocking limits leaves",
        arguments: Side.allCases)
    func cap(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 100, maxDIDs: 0, autoSuspend: true), dailyCap: 10)
        let hold = try story.check([.spend: 5], profileID: "promo") { $0.overage = .cap }
        try story.check([.spend: 2], profileID: "promo")
        let answer = try story.commit(hold.reservation, [.spend: 50, .dids: 1])
        // 10 − (5 + 2) = 3 beyond the hold.
        #expect(answer.committed == [.spend: 8])
        #expect(answer.uncharged == [.spend: 42, .dids: 1])
        #expect(try story.committed(.profileDailySpend) == 8)
        #expect(try story.held(.profileDailySpend) == 2)
        // No blocking limit leaves all the room.
        story.tenant.onLimit = .alert
        story.configure()
        let free = try story.check([.dids: 1]) { $0.overage = .cap }
        #expect(try story.commit(free.reservation, [.dids: 9]).uncharged.isEmpty)
        // A cap lowered below the hold leaves no room, but what was held is charged.
        story.tenant.onLimit = .auto
        let lowered = try story.check([.spend: 4]) { $0.overage = .cap }
        story.tenant.limits.monthlySpendNanos = 1
        story.configure()
        #expect(try story.commit(lowered.reservation, [.spend: 9]).committed == [.spend: 4])
    }

    @Test(
        "Overage CAP: the room is that of the windows that are open at the commit",
        arguments: Side.allCases)
    func capAfterRollover(_ side: Side) throws {
        var story = Story(side, dailyCap: 100)
        story.wait(until: Story.midnight - 1_000)
        let first = try story.check([.spend: 5], profileID: "promo") { $0.overage = .cap }
        let second = try story.check([.spend: 95], profileID: "promo") { $0.overage = .cap }
        story.wait(2_000)
        try story.record([.spend: 98], profileID: "promo")
        // The day that is over is full; the new one leaves 2.
        let answer = try story.commit(first.reservation, [.spend: 9])
        #expect(answer.committed == [.spend: 7] && answer.uncharged == [.spend: 2])
        #expect(try story.committed(.profileDailySpend) == 100)
        #expect(try story.commit(second.reservation, [.spend: 96]).committed == [.spend: 95])
    }

    @Test("Overage REJECT: 49204, the hold stands", arguments: Side.allCases)
    func reject(_ side: Side) throws {
        var story = Story(side)
        let hold = try story.check([.spend: 5]) { $0.overage = .reject }.reservation
        let tooMuch = ModelOperation.commit(reservation: hold, actual: [.spend: 6])
        #expect(story.perform(tooMuch) == .failure(.exceedsReservation))
        #expect(
            story.perform(.commit(reservation: hold, actual: [.spend: 1, .dids: 1]))
                == .failure(.exceedsReservation))
        #expect(try story.held(.tenantMonthlySpend) == 5)
        #expect(try story.commit(hold, [.spend: 5]).committed == [.spend: 5])
    }

    @Test(
        "Equal repeat: replayed; different repeat, Commit after Release and the reverse: 49203",
        arguments: Side.allCases)
    func repeats(_ side: Side) throws {
        var story = Story(side)
        let first = try story.check([.spend: 5]).reservation
        try story.commit(first)
        #expect(try story.commit(first).replayed)
        #expect(try story.commit(first, [.spend: 5]).replayed)
        #expect(
            story.perform(.commit(reservation: first, actual: [.spend: 4]))
                == .failure(.alreadySettled))
        #expect(story.perform(.release(reservation: first)) == .failure(.alreadySettled))
        #expect(try story.committed(.tenantMonthlySpend) == 5)

        let second = try story.check([.spend: 7]).reservation
        #expect(try story.release(second).replayed == false)
        #expect(try story.release(second).replayed)
        #expect(
            story.perform(.commit(reservation: second, actual: [:])) == .failure(.alreadySettled))
        #expect(try story.held(.tenantMonthlySpend) == 0)
    }

    @Test("Unknown or forgotten: NOT_FOUND", arguments: Side.allCases)
    func unknown(_ side: Side) throws {
        var story = Story(side)
        for ordinal in [0, 1, 99] {
            #expect(
                story.perform(.commit(reservation: ordinal, actual: [:])) == .failure(.notFound))
            #expect(story.perform(.release(reservation: ordinal)) == .failure(.notFound))
            #expect(
                story.perform(.extend(ExtendOperation(reservation: ordinal)))
                    == .failure(.notFound))
        }
        let hold = try story.check([.spend: 1]).reservation
        try story.commit(hold)
        story.wait(Story.retention - 1)
        #expect(try story.commit(hold).replayed)
        // The engine may remember longer: until it needs the room.
        guard side == .model else { return }
        story.wait(1)
        #expect(story.perform(.commit(reservation: hold, actual: [:])) == .failure(.notFound))
    }

    @Test("Expiry is never early; RELEASE frees", arguments: Side.allCases)
    func expiryReleases(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxDIDs: 1))
        let hold = try story.check([.dids: 1])
        #expect(hold.expiresAt == Story.start + 60_000)
        story.wait(59_999)
        #expect(try story.held(.tenantDIDs) == 1)
        story.wait(1)
        #expect(try story.held(.tenantDIDs) == 0)
        #expect(try story.check([.dids: 1]).decision == .allowed)
    }

    @Test("A commit ordered before the expiry is not late", arguments: Side.allCases)
    func orderedBefore(_ side: Side) throws {
        var story = Story(side)
        let hold = try story.check([.spend: 1]).reservation
        story.perform(.advance(milliseconds: 61_000))
        #expect(try story.commit(hold).late == false)
    }

    @Test(
        "Expiry by COMMIT charges what was held, alerting and suspending like any charge",
        arguments: Side.allCases)
    func expiryCommits(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        let hold = try story.check([.spend: 10]) { $0.onExpiry = .commit }.reservation
        story.wait(60_000)
        #expect(story.events.count == 3)
        #expect(try story.committed(.tenantMonthlySpend) == 10)
        #expect(try story.held(.tenantMonthlySpend) == 0)
        #expect(story.perform(.release(reservation: hold)) == .failure(.alreadySettled))
        // The late commit replaces the provisional charge, once.
        let late = try story.commit(hold, [.spend: 4])
        #expect(late.late && late.committed == [.spend: 4])
        #expect(late.tenantStatus == .suspended)
        #expect(try story.committed(.tenantMonthlySpend) == 4)
        #expect(try story.commit(hold, [.spend: 4]).replayed)
        #expect(
            story.perform(.commit(reservation: hold, actual: [.spend: 5]))
                == .failure(.alreadySettled))
    }

    @Test("A correction upwards alerts, one downwards does not", arguments: Side.allCases)
    func corrections(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        let up = try story.check([.spend: 3]) { $0.onExpiry = .commit }.reservation
        let down = try story.check([.spend: 3]) { $0.onExpiry = .commit }.reservation
        story.wait(60_000)
        #expect(story.events.isEmpty)
        try story.commit(up, [.spend: 8])
        #expect(try story.committed(.tenantMonthlySpend) == 11)
        #expect(story.eventsSinceLast().count == 3)
        story.perform(.reinstate("acme"))
        _ = story.eventsSinceLast()
        let answer = try story.commit(down, [.spend: 2])
        #expect(answer.tenantStatus == .active && answer.warnings.isEmpty)
        #expect(story.events.isEmpty)
    }

    @Test(
        "Late: a Commit after expiry is recorded as usage, always RECORD", arguments: Side.allCases)
    func late(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 5, autoSuspend: true))
        let hold = try story.check([.spend: 5]) { $0.overage = .reject }.reservation
        story.wait(60_000)
        let answer = try story.commit(hold, [.spend: 9])
        #expect(answer.late && answer.committed == [.spend: 9])
        #expect(answer.tenantStatus == .suspended)
        #expect(try story.committed(.tenantMonthlySpend) == 9)
        #expect(try story.commit(hold, [.spend: 9]).late)
    }

    @Test(
        "Late, after a rollover: all of it is usage of the open windows, where it alerts and suspends",
        arguments: Side.allCases)
    func lateAfterRollover(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 50, autoSuspend: true), dailyCap: 1_000)
        story.wait(until: Story.nextCycle - 60_000)
        let hold = try story.check([.spend: 40], profileID: "promo").reservation
        story.wait(60_000)
        let answer = try story.commit(hold, [.spend: 60])
        #expect(answer.late && answer.tenantStatus == .suspended)
        #expect(try story.committed(.tenantMonthlySpend) == 60)
        #expect(try story.committed(.profileDailySpend) == 60)
    }

    @Test(
        "Above a provisional charge it is usage of the open windows; below it, of the hold's",
        arguments: Side.allCases)
    func provisionalAfterRollover(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 50, autoSuspend: true))
        story.wait(until: Story.nextCycle - 60_000)
        let above = try story.check([.spend: 20]) { $0.onExpiry = .commit }.reservation
        let below = try story.check([.spend: 20]) { $0.onExpiry = .commit }.reservation
        story.wait(60_000)
        #expect(try story.committed(.tenantMonthlySpend) == 0)
        #expect(try story.commit(above, [.spend: 75]).tenantStatus == .suspended)
        #expect(try story.committed(.tenantMonthlySpend) == 55)
        #expect(try story.commit(below, [.spend: 5]).committed == [.spend: 5])
        #expect(try story.committed(.tenantMonthlySpend) == 55)
    }

    @Test("Release after expiry: OK with expired", arguments: Side.allCases)
    func releaseAfterExpiry(_ side: Side) throws {
        var story = Story(side)
        let hold = try story.check([.spend: 5]).reservation
        story.wait(60_000)
        #expect(try story.release(hold).expired)
        #expect(try story.held(.tenantMonthlySpend) == 0)
        #expect(
            story.perform(.commit(reservation: hold, actual: [:])) == .failure(.alreadySettled))
    }

    @Test("Extend: new expiry = max(old, now + ttl); 0 keeps the old one", arguments: Side.allCases)
    func extendTime(_ side: Side) throws {
        var story = Story(side)
        let hold = try story.check([.spend: 5]).reservation
        story.wait(10_000)
        #expect(try story.extend(hold, ttl: 1_000).expiresAt == Story.start + 60_000)
        #expect(try story.extend(hold).expiresAt == Story.start + 60_000)
        #expect(try story.extend(hold, ttl: 60_000).expiresAt == Story.start + 70_000)
        story.wait(60_000)
        #expect(
            story.perform(.extend(ExtendOperation(reservation: hold)))
                == .failure(.reservationExpired))
    }

    @Test(
        "Extend denied: the old hold and expiry stand; it is idempotent by its key",
        arguments: Side.allCases)
    func extendRoom(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxDIDs: 5))
        let hold = try story.check([.dids: 3]).reservation
        let first = try story.extend(hold, [.dids: 2], ttl: 90_000) { $0.key = "k" }
        #expect(first.decision == .allowed && first.expiresAt == Story.start + 90_000)
        #expect(try story.extend(hold, [.dids: 2], ttl: 90_000) { $0.key = "k" }.replayed)
        #expect(try story.held(.tenantDIDs) == 5)
        let denied = try story.extend(hold, [.dids: 1], ttl: 300_000)
        #expect(denied.refused == LimitSet(.tenantDIDs) && denied.treatment == .reject)
        #expect(denied.expiresAt == Story.start + 90_000)
        #expect(try story.held(.tenantDIDs) == 5)
        #expect(try story.commit(hold).committed == [.dids: 5])
        #expect(
            story.perform(.extend(ExtendOperation(reservation: hold)))
                == .failure(.alreadySettled))
    }

    @Test("Extend by PARTIAL holds what fits of the additional room", arguments: Side.allCases)
    func extendPartial(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxDIDs: 5))
        let hold = try story.check([.dids: 3]).reservation
        let answer = try story.extend(hold, [.dids: 9]) { $0.mode = .partial }
        #expect(answer.granted == [.dids: 2])
        #expect(try story.commit(hold).committed == [.dids: 5])
    }

    @Test(
        "Extend while suspended: additional room is denied (20012), time alone is granted",
        arguments: Side.allCases)
    func extendSuspended(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxDIDs: 0, autoSuspend: true))
        let hold = try story.check([.callSeconds: 60]) { $0.action = .outboundCall }.reservation
        try story.check([.dids: 1])
        let room = try story.extend(hold, [.callSeconds: 60], ttl: 120_000)
        #expect(room.decision == .denied && room.refusedBySuspension && room.refused.isEmpty)
        #expect(room.treatment == .blockCall && room.expiresAt == Story.start + 60_000)
        let time = try story.extend(hold, ttl: 120_000)
        #expect(time.decision == .allowed && time.expiresAt == Story.start + 120_000)
        #expect(try story.commit(hold).tenantStatus == .suspended)
    }
}
