import Foundation
import GRDB
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// Who reaches a cap first, and what all tenants together do.
@Suite struct ForecastTests {
    private static let day: Int64 = 86_400_000
    /// A Sunday.
    private static let sunday: Int64 = 1_774_742_400_000

    @Test func weekdaysAreTheCalendars() {
        #expect(WeekdayWeights.weekday(of: Self.sunday) == 0)
        #expect(WeekdayWeights.weekday(of: Self.sunday - 1) == 6)
        #expect(WeekdayWeights.weekday(of: 0) == 4)
    }

    /// Twice as much on Mondays, nothing on Sundays.
    @Test func factorsAreMeansOfWeekdays() {
        var usage: [Int64: Int64] = [:]
        for number in 1...56 {
            let date = Self.sunday - Int64(number) * Self.day
            usage[date] = [0, 200, 100, 100, 100, 100, 100][WeekdayWeights.weekday(of: date)]
        }
        let weights = WeekdayWeights(usage, before: Self.sunday)
        #expect(weights.factors == [0, 2, 1, 1, 1, 1, 1])
        let week = weights.weight(from: Self.sunday, to: Self.sunday + 7 * Self.day)
        #expect(week == 7)
        // Half of Sunday and half of Monday.
        let noon = Self.sunday + Self.day / 2
        #expect(weights.weight(from: noon, to: noon + Self.day) == 1)
        #expect(weights.instant(1, after: noon, before: noon + 9 * Self.day) == noon + Self.day)
        #expect(weights.instant(1.1, after: noon, before: noon + Self.day) == nil)
    }

    @Test func withoutTwoWeeksAllDaysAreAlike() {
        var usage: [Int64: Int64] = [:]
        for number in 1...13 { usage[Self.sunday - Int64(number) * Self.day] = Int64(number) }
        #expect(WeekdayWeights(usage, before: Self.sunday) == WeekdayWeights())
        usage[Self.sunday - 14 * Self.day] = 14
        #expect(WeekdayWeights(usage, before: Self.sunday) != WeekdayWeights())
    }

    @Test(
        arguments: [
            (50, 100, Optional(10)), (80, 100, 2), (100, 100, nil), (30, 100, nil), (0, 100, nil),
            (50, -1, nil),
        ] as [(Int64, Int64, Int64?)])
    func evenUseGoesOn(_ used: Int64, _ cap: Int64, _ days: Int64?) throws {
        let now = Self.sunday
        let window = (start: now - 10 * Self.day, end: now + 20 * Self.day)
        let forecast = LimitForecast(
            used: used, cap: cap, window: window, now: now, WeekdayWeights())
        let wanted = days.map { $0 == 2 ? now + 5 * Self.day / 2 : now + $0 * Self.day }
        #expect(forecast?.reachedAt == wanted)
        if used == 50, cap == 100 { #expect(forecast?.expected == 150) }
        // Of a young window nothing is said.
        let young = (start: now - Self.day + 1, end: now + 20 * Self.day)
        #expect(
            LimitForecast(used: used, cap: cap, window: young, now: now, WeekdayWeights()) == nil)
    }

    private static func service() throws -> ProjectedService {
        let service = try ProjectedService()
        for (id, cap) in [("a", 1_000), ("b", 500), ("c", 100_000), ("d", 90)] as [(String, Int64)]
        {
            var settings = TenantSettings(id: id)
            settings.limits.monthlySpendNanos = cap
            settings.limits.autoSuspend = false
            try service.setTenant(settings)
        }
        return service
    }

    @Test func theFirstComesFirst() async throws {
        let service = try Self.service()
        // The cycle is 26 days old and ends in five: 100 go on as 18 more.
        for id in ["a", "b", "c"] { service.charge(id, spend: 100) }
        for id in ["a", "b"] { service.charge(id, spend: id == "a" ? 800 : 370) }
        service.charge("d", spend: 90)
        try service.catchUp()
        let found = try await service.projection.forecast(Page())
        #expect(found.rows.map(\.settings.id) == ["b", "a"])
        #expect(found.rows.map(\.kind) == [.tenantMonthlySpend, .tenantMonthlySpend])
        #expect(found.rows[0].used == 470 && found.rows[0].cap == 500)
        #expect(found.rows.allSatisfy { (service.now..<$0.cycleEnd).contains($0.reachedAt) })
        #expect(found.total == 2 && found.examined == 4 && found.tenants == 4)
        let second = try await service.projection.forecast(Page(number: 2, size: 1))
        #expect(second.rows.map(\.settings.id) == ["a"] && second.total == 2)
        // Who is suspended spends nothing more; and only so many are looked at.
        try service.engine.setStatus(ofTenant: "b", .suspended)
        try service.catchUp()
        #expect(try await service.projection.forecast(Page()).rows.map(\.settings.id) == ["a"])
        service.configuration.forecastTenants = 1
        try service.openProjection()
        try service.catchUp()
        #expect(try await service.projection.forecast(Page()).rows.isEmpty)
    }

    @Test func theOverviewIsTheSumOfAll() async throws {
        let service = try Self.service()
        service.configuration.cleaningMilliseconds = 0
        service.configuration.sumMilliseconds = 0
        try service.openProjection()
        // Five days before the month's end, and on the second of the next one.
        service.charge("a", spend: 5)
        service.record(RecordOperation(tenantID: "b", amounts: [.callSeconds: 60]))
        try service.catchUp()
        service.advance(6 * Self.day)
        service.charge("a", spend: 7)
        var refused = CheckOperation(tenantID: "d", amounts: [.extensions: 1])
        refused.mode = .commit
        var settings = TenantSettings(id: "d")
        settings.limits.maxExtensions = 0
        settings.onLimit = .block
        settings.limits.autoSuspend = false
        try service.setTenant(settings)
        service.check(refused)
        try service.engine.setStatus(ofTenant: "c", .suspended)
        try service.engine.setStatus(ofTenant: "b", .closed)
        try service.catchUp()
        let overview = try await service.projection.overview()
        #expect(overview.active == 2 && overview.suspended == 1)
        #expect(overview.cycleSpend == 7 && overview.cycleCallSeconds == 0)
        #expect(overview.today.spend == 7 && overview.yesterday.spend == 0)
        #expect(overview.thisMonth.spend == 7)
        #expect(overview.lastMonth.spend == 5 && overview.lastMonth.callSeconds == 60)
        #expect(overview.lastMonthToDate.spend == 0)
        let denials = overview.denials.map(\.byCode).filter { !$0.isEmpty }
        #expect(denials == [[49_002: 1]] && overview.denials.count >= 30)
    }
}
