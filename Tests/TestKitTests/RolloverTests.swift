import Limits
import TestKit
import Testing

@testable import Engine
@testable import Reservations

/// "The rollover judges the window that ends": also where nothing happens in the next one.
@Suite struct RolloverTests {
    /// 2026-03-31T12:00:00Z: twelve hours before a day and a billing cycle end.
    private static let start: Int64 = 1_774_958_400_000
    private static let untilRollover: Int64 = 12 * 3_600_000

    private func tenant(_ id: String, cap: Int64? = 100) -> TenantSettings {
        var settings = TenantSettings(id: id)
        settings.limits.monthlySpendNanos = cap
        return settings
    }

    /// Holds until the day after the rollover.
    private func hold(_ subject: inout EngineSubject, _ tenant: String, _ profile: String = "") {
        var check = CheckOperation(tenantID: tenant, amounts: [.spend: 45])
        check.profileID = profile
        check.ttlMilliseconds = 86_400_000
        guard case .check(let answer) = subject.perform(.check(check)).answer,
            answer.decision == .allowed
        else {
            Issue.record("not held")
            return
        }
    }

    /// What a tick of a lane raises.
    private func tick(_ subject: EngineSubject, by lane: Int = 0) -> [ModelEvent] {
        subject.log.events = []
        subject.lanes[lane].tick()
        for ring in subject.engine.rings { subject.log.drain(ring) }
        return subject.log.events
    }

    @Test(arguments: [false, true])
    func windowsOfAnIdleTenantAreJudged(afterARestart: Bool) throws {
        var subject = try EngineSubject(now: Self.start)
        _ = subject.perform(.setTenant(tenant("acme")))
        _ = subject.perform(
            .setProfile(
                ProfileSettings(
                    id: "sms", tenantID: "acme", dailySpendLimitEnabled: true,
                    dailySpendLimitNanos: 45)))
        hold(&subject, "acme", "sms")
        hold(&subject, "acme")
        #expect(tick(subject).isEmpty, "the windows have not ended")
        _ = subject.perform(.advance(milliseconds: Self.untilRollover))
        if afterARestart { try subject.restart() }
        let raised = Set((0..<3).flatMap { tick(subject, by: $0) }.map { "\($0)" })
        let expected: [ModelEvent] = [
            .windowEndedAtThreshold(.tenantMonthlySpend, subject: "acme"),
            .windowEndedAtThreshold(.profileDailySpend, subject: "sms"),
            .windowEndedAtLimit(.profileDailySpend, subject: "sms"),
        ]
        #expect(raised == Set(expected.map { "\($0)" }))
        _ = subject.perform(.advance(milliseconds: 900_000))
        #expect(tick(subject).isEmpty, "once")
        #expect(subject.log.gaps == 0 && subject.log.unreadable == 0)
    }

    /// However many windows end together, no tick has much to do; and who has nothing to raise is left alone.
    @Test func manyAreJudgedInParts() throws {
        var subject = try EngineSubject(now: Self.start)
        let most = 300
        for number in 0..<2 * most {
            _ = subject.perform(.setTenant(tenant("t\(number)", cap: number < most ? 50 : nil)))
            hold(&subject, "t\(number)")
        }
        let before = subject.log.versions
        _ = subject.perform(.advance(milliseconds: Self.untilRollover))
        var raised: [ModelEvent] = []
        var ticks = 0
        while raised.count < most, ticks < 20 {
            let events = tick(subject, by: ticks % 3)
            #expect(events.count <= Lane.rolloverWork / Lane.rolloverCost + 1)
            raised += events
            ticks += 1
        }
        #expect(raised.count == most && Set(raised.map { "\($0)" }).count == most)
        for lane in 0..<3 { #expect(tick(subject, by: lane).isEmpty) }
        let changed = subject.log.versions.filter { before[$0.key] != $0.value }
        #expect(changed.count == most && changed.keys.allSatisfy { $0 < UInt32(most) })
    }

    /// A ring that is full puts it off.
    @Test func whatFindsNoRoomIsJudgedLater() throws {
        var subject = try EngineSubject(now: Self.start)
        for number in 0..<40 {
            _ = subject.perform(.setTenant(tenant("t\(number)", cap: 50)))
            hold(&subject, "t\(number)")
        }
        _ = subject.perform(.advance(milliseconds: Self.untilRollover))
        let lane = subject.lanes[0]
        lane.beginBatch()
        var answer = RecordAnswer()
        while "t39".withBorrowedBytes({
            lane.record(RecordCommand(tenantID: $0, amounts: Amounts(.dids, 1)), answer: &answer)
        }) == nil {}
        subject.log.events = []
        lane.tick()
        for ring in subject.engine.rings { subject.log.drain(ring) }
        // Its own record of DIDs has judged one.
        #expect(subject.log.events.count == 1)
        #expect(tick(subject).count == 39)
    }
}
