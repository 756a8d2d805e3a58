import Foundation
import Limits
import Testing

@testable import BillingCalendar

@Suite("Day schedule: days in a time zone")
struct DayScheduleTests {
    private static func instant(_ text: String) throws -> Int64 {
        try Int64(Date(text, strategy: .iso8601).timeIntervalSince1970) * 1_000
    }

    @Test("A day begins with its first instant, whatever the clock does at midnight")
    func oddMidnights() throws {
        for (zone, noon, start, end) in [
            ("UTC", "2026-11-30T12:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"),
            // 23 and 25 hours.
            (
                "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z"
            ),
            (
                "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z"
            ),
            // Midnight does not exist; it occurs twice; the next day does not exist.
            (
                "America/Sao_Paulo", "2018-11-04T15:00:00Z", "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z"
            ),
            (
                "America/Havana", "2024-11-03T12:00:00Z", "2024-11-03T04:00:00Z",
                "2024-11-04T05:00:00Z"
            ),
            (
                "Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z"
            ),
            (
                "Asia/Kathmandu", "2026-01-01T12:00:00Z", "2025-12-31T18:15:00Z",
                "2026-01-01T18:15:00Z"
            ),
        ] {
            let noon = try Self.instant(noon)
            let window = CycleWindow(start: try Self.instant(start), end: try Self.instant(end))
            let schedule = try DaySchedule(timeZone: zone, around: noon, before: 3, after: 3)
            for instant in [window.start, noon, window.end - 1] {
                #expect(
                    schedule.window(containing: instant, notBefore: nil) == window,
                    "\(zone) \(instant)")
            }
        }
    }

    @Test("Days follow one another without a gap, as billing cycles that begin on each of them")
    func followOneAnother() throws {
        let now = try Self.instant("2026-06-15T00:00:00Z")
        for zone in ["America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"] {
            let schedule = try DaySchedule(timeZone: zone, around: now, before: 40, after: 400)
            var window = try #require(
                schedule.window(containing: now - 39 * ProfileState.dayLength, notBefore: nil))
            var cycles = 0
            while window.end < now + 399 * ProfileState.dayLength {
                let next = try #require(
                    schedule.window(containing: window.end, notBefore: window.end))
                #expect(next.start == window.end)
                #expect((22...26).contains((next.end - next.start) / 3_600_000))
                let cycle = try BillingSchedule(cycleDay: 15, timeZone: zone, around: now)
                    .window(containing: next.start, notBefore: nil)
                if cycle?.start == next.start { cycles += 1 }
                window = next
            }
            #expect(cycles >= 13, "\(zone): a cycle begins with a day")
        }
    }

    @Test(
        "A changed zone takes effect where the day of the old one ends; outside of the span there is nothing"
    )
    func changes() throws {
        let now = try Self.instant("2026-11-30T12:00:00Z")
        let schedule = try DaySchedule(timeZone: "UTC", around: now, before: 3, after: 3)
        let end = now - 3_600_000
        #expect(schedule.window(containing: now, notBefore: end)?.start == end)
        #expect(
            schedule.window(containing: now + 30 * ProfileState.dayLength, notBefore: nil) == nil)
        #expect(throws: BillingScheduleError.unknownTimeZone("Nowhere/Land")) {
            _ = try DaySchedule(timeZone: "Nowhere/Land", around: now)
        }
    }
}
