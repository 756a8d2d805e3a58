import Foundation
import GRDB
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// Days of tenants whose time zone changes, and days of which not all is known.
@Suite struct ZoneTests {
    private let service: ProjectedService
    private static let day = ProfileState.dayLength
    /// 2026-03-28, at midnight UTC; four hours later in New York.
    private static let midnight = ProjectedService.start / day * day + day

    init() throws { service = try ProjectedService() }

    private func advance(toMinute minute: Int64) {
        service.advance(Self.midnight + minute * 60_000 - service.now)
    }

    private func set(_ zone: String) throws {
        var settings = TenantSettings(id: "acme")
        settings.timeZone = zone
        try service.setTenant(settings)
    }

    private func days() async throws -> [DailyUsageRow] {
        try await service.projection.dailyUsage(tenantID: "acme", profileID: nil, from: 0, to: .max)
    }

    /// What is taken up by then stays, is in the file, or is told again.
    enum Meanwhile: CaseIterable {
        case nothing
        case restart
        case newFile
        case newState
    }

    private func pass(_ meanwhile: Meanwhile) throws {
        switch meanwhile {
        case .nothing: break
        case .restart: try service.restart()
        case .newFile: try service.restart(ProjectedService.removeFile)
        case .newState:
            try service.restart { path in
                let queue = try DatabaseQueue(path: path)
                try queue.write { try $0.execute(sql: "UPDATE tenant_state SET state = x'00'") }
                try queue.close()
            }
        }
    }

    /// What is held is booked on the day on which it was taken, in the zone that counted then.
    @Test(arguments: ["UTC", "America/New_York"], Meanwhile.allCases)
    func zonesChangeAtTheEndOfTheDay(from zone: String, _ meanwhile: Meanwhile) async throws {
        let isWestwards = zone == "UTC"
        try set(zone)
        advance(toMinute: 30)
        var hold = CheckOperation(tenantID: "acme", amounts: [.spend: 20])
        hold.ttlMilliseconds = Self.day
        service.check(hold)
        try service.catchUp()
        advance(toMinute: 40)
        try set(isWestwards ? "America/New_York" : "UTC")
        try service.catchUp()
        advance(toMinute: 150)
        var growth = ExtendOperation(reservation: 1)
        growth.ttlMilliseconds = Self.day
        growth.additional = [.spend: 4]
        service.perform(.extend(growth))
        try service.catchUp()
        #expect(try await days().allSatisfy { !$0.isFinal })
        try pass(meanwhile)
        advance(toMinute: 13 * 60)
        service.perform(.commit(reservation: 1, actual: [.spend: 25]))
        advance(toMinute: 27 * 60)
        service.charge("acme", spend: 7)
        advance(toMinute: 29 * 60)
        service.charge("acme", spend: 1)
        try service.catchUp()
        let days = try await days()
        // From UTC to New York the 28th lasts until it ends there; the other way the 27th ends where it began.
        let dates: [Int64] = isWestwards ? [0, 1] : [-1, 0, 1]
        #expect(days.map(\.day) == dates.map { Self.midnight + $0 * Self.day })
        #expect(days.map(\.committed[.spend]) == (isWestwards ? [32, 1] : [24, 1, 8]))
        #expect(days.map(\.isFinal) == dates.map { $0 != 1 })
    }

    /// Of two changes in a day only the latter counts, as if there had been no other.
    @Test func changedTwiceInADay() async throws {
        try set("UTC")
        advance(toMinute: 30)
        try set("Pacific/Auckland")
        advance(toMinute: 45)
        service.charge("acme", spend: 1)
        try set("America/New_York")
        service.charge("acme", spend: 2)
        advance(toMinute: 27 * 60)
        service.charge("acme", spend: 4)
        try service.catchUp()
        #expect(try await days().map(\.day) == [Self.midnight])
        #expect(try await days().map(\.committed[.spend]) == [7])
    }

    @Test func datesDoNotGoBack() {
        var calendar = DayCalendar()
        let east = calendar.zone(named: "Pacific/Kiritimati")
        let west = calendar.zone(named: "Pacific/Pago_Pago")
        let time = ProjectedService.start
        let first = calendar.date(of: time, east)
        let until = calendar.end(of: first, east, after: time)
        #expect(calendar.date(of: until - 1, east) == first)
        #expect(calendar.date(of: until, east) == first + Self.day)
        let former = [FormerZone(until: until, day: first, zone: east)]
        var last = first
        for step in 0..<300 as Range<Int64> {
            let date = calendar.date(
                of: time + step * Limits.Record.quarter, west, after: former)
            #expect(date == last || date == last + Self.day)
            last = date
        }
        #expect(last == first + 2 * Self.day)
    }

    /// While the projection is behind, a day that is over may still get what was recorded on it.
    @Test func noDayIsFinalBeforeAllOfItIsKnown() async throws {
        try set("UTC")
        try service.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        service.charge("acme", "sms", spend: 5)
        try service.catchUp()
        service.charge("acme", "sms", spend: 7)
        service.advance(3 * Self.day)
        service.flush()
        func profileDays() async throws -> [DailyUsageRow] {
            try await service.projection.dailyUsage(
                tenantID: "acme", profileID: "sms", from: 0, to: .max)
        }
        #expect(try await days().map(\.isFinal) == [false])
        #expect(try await profileDays().map(\.isFinal) == [false])
        try service.catchUp()
        #expect(try await days().map(\.isFinal) == [true])
        #expect(try await profileDays().map(\.isFinal) == [true])
        #expect(try await days().map(\.committed[.spend]) == [12])
    }
}
