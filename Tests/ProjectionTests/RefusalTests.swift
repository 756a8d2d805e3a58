import Events
import Foundation
import Journal
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection
@testable import Reservations

/// Every refusal counts, at no record each; and days sum up to what the limits say.
@Suite struct RefusalTests {
    private let service: ProjectedService
    private var projection: Projection { service.projection }

    init() throws {
        service = try ProjectedService()
        var acme = TenantSettings(id: "acme")
        acme.limits.maxExtensions = 1
        acme.onLimit = .block
        acme.limits.autoSuspend = false
        acme.timeZone = "Pacific/Auckland"
        try service.setTenant(acme)
        var profile = ProfileSettings(id: "sms", tenantID: "acme")
        profile.dailySpendLimitNanos = 100
        profile.dailySpendLimitEnabled = true
        try service.setProfile(profile)
        service.flush()
    }

    private func refuse(
        _ amounts: ModelAmounts, profile: String = "", key: String = "", reference: String = "",
        caller: UInt64 = 0, mode: Mode = .commit
    ) {
        var operation = CheckOperation(tenantID: "acme", amounts: amounts)
        operation.profileID = profile
        operation.mode = mode
        operation.key = key
        operation.reference = reference
        let answer = service.check(operation, caller: caller)
        #expect(answer.decision == .denied)
    }

    private func days(_ profile: String? = nil) async throws -> [DailyUsageRow] {
        try await projection.dailyUsage(
            tenantID: "acme", profileID: profile, from: 0, to: .max)
    }

    /// Keyed or not, of each limit, by suspension; but neither what only asks nor what is said again.
    @Test func everyRefusalCounts() async throws {
        for _ in 0..<50 { refuse([.extensions: 2]) }
        refuse([.extensions: 3], key: "k")
        for _ in 0..<7 { refuse([.spend: 101], profile: "sms") }
        for _ in 0..<5 { refuse([.spend: 101, .extensions: 2], profile: "sms") }
        refuse([.extensions: 2], mode: .checkOnly)
        service.flush()
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        for _ in 0..<3 { refuse([.extensions: 1]) }
        try service.catchUp()
        let tenant = try #require(try await days().first)
        #expect(tenant.denied == 66)
        #expect(tenant.refusals == [49002: 56, 40333: 12, 20012: 3])
        let profile = try #require(try await days("sms").first)
        #expect(profile.denied == 12 && profile.refusals == [40333: 12, 49002: 5])
        // They stand in the file, and in the journal.
        try service.restart()
        try service.catchUp()
        #expect(try await days().first == tenant)
        try service.restart(ProjectedService.removeFile)
        try service.catchUp()
        #expect(try await days().first == tenant)
    }

    /// What is counted together names the trace of the first, as its caller.
    @Test func refusalsNameTheTraceOfTheFirst() async throws {
        func refuse(_ trace: TraceID?) {
            service.check(
                CheckOperation(tenantID: "acme", amounts: [.extensions: 2]), trace: trace)
            // On the next lane, and later.
            service.advance(1)
        }
        let first = TraceID(high: 1, low: 2)
        // Raises an alert, and so stands on a line of its own.
        let alert = TraceID(high: 4, low: 0)
        refuse(alert)
        refuse(first)
        for number in 0..<5 { refuse(TraceID(high: 3, low: UInt64(number))) }
        service.advance(60_000)
        refuse(nil)
        refuse(first)
        service.flush()
        try service.catchUp()
        let lines = try await projection.audit(AuditQuery(), Page()).rows.filter {
            $0.code == "49002"
        }
        #expect(lines.first { $0.events != [] }?.trace == alert)
        let counted = lines.filter { $0.events == [] }.sorted { $0.time > $1.time }
        #expect(counted.map(\.trace) == [nil, first] && counted.map(\.count) == [2, 6])
    }

    /// A record for each sort and second, however many there are; memory for so many sorts, whatever is refused.
    @Test func recordsAreFew() throws {
        func records() throws -> Int {
            service.flush()
            return try #require(service.engine.journalFeed).durableEnd.offset
        }
        let before = try records()
        for _ in 0..<20_000 { refuse([.extensions: 2]) }
        #expect(try records() - before < 2_000)
        // On record within a second of engine time, without anybody asking.
        refuse([.extensions: 2])
        let unwritten = try #require(service.engine.journalFeed).durableEnd
        service.advance(RefusalCounts.longestWait)
        for lane in service.lanes { lane.tick() }
        service.engine.runJournal()
        #expect(try #require(service.engine.journalFeed).durableEnd > unwritten)
    }

    /// Of a minute and a limit there is one line: who was first, what it asked for, how many there were.
    @Test func theAuditLogShowsThemTogether() async throws {
        let lines = try await projection.auditCount(service)
        let minute = service.now / 60_000 * 60_000
        service.advance(minute + 60_000 - service.now)
        for step in 0..<100 {
            refuse(
                [.extensions: Int64(2 + step)], reference: "call-\(step)", caller: UInt64(step + 1))
            service.advance(1)
            if step % 10 == 9 {
                service.advance(3_000)
                for lane in service.lanes { lane.tick() }
            }
        }
        refuse([.spend: 101], profile: "sms")
        service.advance(60_000)
        refuse([.extensions: 9], reference: "later")
        try service.catchUp()
        // Two that raised an alert are lines of their own.
        let rows = try await projection.audit(AuditQuery(), Page()).rows
        #expect(rows.count == lines + 4)
        #expect(rows.count { !$0.events.isEmpty } == 2)
        let first = try #require(rows.first { $0.code == "49002" && $0.count > 1 })
        #expect(first.kind == "denied" && first.count == 99 && first.events.isEmpty)
        #expect(first.reference == "call-1" && first.caller == 2)
        #expect(first.asked == Amounts(.extensions, 3) && first.limits.map(\.asked) == [3])
        #expect(first.lastTime - first.time == 27_098)
        #expect(rows.contains { $0.reference == "later" && $0.count == 1 })
    }

    /// Tenants' days are their zone's, and what was held is booked on the day it was taken.
    @Test func daysAreTheZones() async throws {
        // 22:13:20 UTC is the next day in Auckland.
        let utc = ProjectedService.start / 86_400_000 * 86_400_000
        service.charge("acme", "sms", spend: 10)
        var hold = CheckOperation(tenantID: "acme", amounts: [.spend: 20])
        hold.profileID = "sms"
        hold.ttlMilliseconds = 86_400_000
        service.check(hold)
        try service.catchUp()
        var tenant = try await days()
        #expect(tenant.map(\.day) == [utc + 86_400_000] && !tenant[0].isFinal)
        var profile = try await days("sms")
        #expect(profile.map(\.day) == [utc] && profile[0].committed[.spend] == 10)
        // Midnight came in both; the hold is open.
        service.advance(18 * 3_600_000)
        try service.catchUp()
        #expect(try await !days()[0].isFinal)
        #expect(try await !days("sms")[0].isFinal)
        service.perform(.commit(reservation: 1, actual: [.spend: 25]))
        try service.catchUp()
        tenant = try await days()
        #expect(tenant.map(\.day) == [utc + 86_400_000, utc + 2 * 86_400_000])
        #expect(tenant.map(\.committed[.spend]) == [30, 5])
        #expect(tenant.map(\.isFinal) == [true, false])
        profile = try await days("sms")
        #expect(profile.reduce(0) { $0 + $1.committed[.spend] } == 35)
        #expect(profile[0].isFinal)
    }

    /// What is counted while the journal has no room stays in its minute, and so on its day.
    @Test func refusalsThatWaitForRoomStayOnTheirDay() async throws {
        // Refusals on one lane: the last second of a UTC day, and five minutes later.
        func refuse(_ lane: EngineLane, _ spend: Int64, _ extensions: Int64) {
            lane.beginBatch()
            var answer = CheckAnswer()
            _ = "acme".withBorrowedBytes { tenant in
                "sms".withBorrowedBytes { profile in
                    var command = CheckCommand(
                        tenantID: tenant, action: .charge, amounts: Amounts(.spend, spend))
                    command.amounts.set(Resource.extensions.index, extensions)
                    command.profileID = profile
                    command.mode = .commit
                    return lane.check(command, answer: &answer)
                }
            }
        }
        let lane = service.lanes[0]
        let midnight = ProjectedService.start / 86_400_000 * 86_400_000 + 86_400_000
        service.advance(midnight - 1_000 - service.now)
        // Alerts are raised, and the first count of a second is written.
        for _ in 0..<2 { refuse(lane, 101, 2) }
        refuse(lane, 101, 1)
        refuse(lane, 1, 2)
        service.flush()
        for _ in 0..<3 {
            refuse(lane, 101, 2)
            refuse(lane, 101, 1)
            refuse(lane, 1, 2)
        }
        // The journal is full.
        var records: Int64 = 0
        repeat {
            lane.beginBatch()
            records += 1
        } while recordUsage(lane)
        #expect(records > 100)
        service.advance(300_000)
        lane.finish()
        service.engine.runJournal()
        refuse(lane, 1, 2)
        try service.catchUp()
        let days = try await days("sms")
        #expect(days.map(\.denied) == [4 + 9, 1])
    }

    /// False: the journal has no room.
    private func recordUsage(_ lane: EngineLane) -> Bool {
        var answer = RecordAnswer()
        let failure = "acme".withBorrowedBytes {
            lane.record(RecordCommand(tenantID: $0, amounts: Amounts(.dids, 1)), answer: &answer)
        }
        #expect(failure == nil || failure?.code == .unavailable)
        return failure == nil
    }

    /// What an extension adds is held from then on: its day is that of the extension.
    @Test(arguments: [0, 1, 2]) func extensionsAreBookedOnTheirDay(_ restart: Int) async throws {
        // In Auckland the 28th; 22:13 UTC on the 27th.
        let first = ProjectedService.start / 86_400_000 * 86_400_000 + 86_400_000
        var hold = CheckOperation(tenantID: "acme", amounts: [.spend: 20])
        hold.profileID = "sms"
        hold.ttlMilliseconds = 86_400_000
        for _ in 0..<2 { service.check(hold) }
        try service.catchUp()
        // 11:13 UTC: midnight came in both.
        service.advance(13 * 3_600_000)
        for reservation in [1, 2] {
            for amount: Int64 in [3, 4] {
                var growth = ExtendOperation(reservation: reservation)
                growth.ttlMilliseconds = 86_400_000
                growth.additional = [.spend: amount]
                service.perform(.extend(growth))
                if amount == 3 { service.flush() }
            }
        }
        try service.catchUp()
        #expect(try await days().map(\.isFinal) == [false, false])
        if restart == 1 { try service.restart() }
        if restart == 2 { try service.restart(ProjectedService.removeFile) }
        service.perform(.commit(reservation: 1, actual: [.spend: 25]))
        service.perform(.commit(reservation: 2, actual: [.spend: 30]))
        service.advance(24 * 3_600_000)
        try service.catchUp()
        let days = try await days()
        #expect(days.map(\.day) == [first, first + 86_400_000])
        // The first commit leaves 2 of the later room out; the second has 3 above it.
        #expect(days.map(\.committed[.spend]) == [40, 5 + 7 + 3])
        #expect(days.map(\.isFinal) == [true, true])
        #expect(try await self.days("sms").map(\.isFinal) == [true, true])
    }

    /// What was charged at an expiry can still be corrected: its day is final when it no longer can.
    @Test(arguments: [true, false]) func daysAreFinalWhenNothingCanChangeThem(isCorrected: Bool)
        async throws
    {
        var hold = CheckOperation(tenantID: "acme", amounts: [.spend: 20])
        hold.profileID = "sms"
        hold.ttlMilliseconds = 60_000
        hold.onExpiry = .commit
        service.check(hold)
        service.advance(60_000)
        service.perform(.expire)
        // Midnight came in Auckland and at UTC.
        service.advance(18 * 3_600_000)
        try service.catchUp()
        var day = try await days()[0]
        #expect(day.committed[.spend] == 20 && !day.isFinal)
        #expect(try await !days("sms")[0].isFinal)
        if isCorrected {
            service.perform(.commit(reservation: 1, actual: [.spend: 5]))
        } else {
            for _ in 0..<4 {
                service.advance(12 * 3_600_000)
                for lane in service.lanes { lane.tick() }
            }
        }
        try service.catchUp()
        day = try await days()[0]
        #expect(day.committed[.spend] == (isCorrected ? 5 : 20) && day.isFinal)
        #expect(try await days("sms")[0].isFinal)
    }
}

extension Projection {
    fileprivate func auditCount(_ service: ProjectedService) async throws -> Int {
        try service.catchUp()
        return try await audit(AuditQuery(), Page()).total
    }
}
