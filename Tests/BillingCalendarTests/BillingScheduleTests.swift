import Foundation
import Limits
import Notation
import Testing

@testable import BillingCalendar

@Suite("Billing schedule: cycle day and zone to windows")
struct BillingScheduleTests {
    /// Unix milliseconds of an ISO 8601 instant.
    private static func instant(_ text: String) throws -> Int64 {
        try Int64(Date(text, strategy: .iso8601).timeIntervalSince1970) * 1_000
    }

    @Test("Boundaries are those of an independent oracle", arguments: BoundaryFixture.all)
    func matchesOracle(_ fixture: BoundaryFixture) throws {
        for row in fixture.rows {
            let schedule = try BillingSchedule(
                cycleDay: fixture.day, timeZone: fixture.zone, around: row.start)
            let begins = try #require(schedule.window(containing: row.start, notBefore: nil))
            let ended = try #require(schedule.window(containing: row.start - 1, notBefore: nil))
            #expect(begins.start == row.start, "\(row.year)-\(row.month)")
            #expect(ended.end == row.start, "\(row.year)-\(row.month)")
        }
    }

    @Test("The oracle's table was read whole")
    func fixtureIsWhole() {
        #expect(BoundaryFixture.all.reduce(0) { $0 + $1.rows.count } == 351)
    }

    @Test(
        "Midnights that do not exist, twice or on a day that does not exist",
        arguments: [
            // The clock goes from 23:59:59 to 01:00.
            ("America/Sao_Paulo", 4, "2018-11-04T03:00:00Z"),
            ("Africa/Cairo", 26, "2024-04-25T22:00:00Z"),
            ("Asia/Beirut", 31, "2024-03-30T22:00:00Z"),
            // 01:00 becomes 00:00 again: the first of both midnights.
            ("America/Havana", 3, "2024-11-03T04:00:00Z"),
            // 00:01 becomes 23:01 of the day before: the first of both midnights.
            ("America/St_Johns", 7, "2010-11-07T02:30:00Z"),
            // 30 December 2011 did not exist in Samoa.
            ("Pacific/Apia", 30, "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", 31, "2011-12-30T10:00:00Z"),
        ])
    func oddMidnights(_ zone: String, _ day: Int, _ expected: String) throws {
        let start = try Self.instant(expected)
        let schedule = try BillingSchedule(cycleDay: day, timeZone: zone, around: start)
        #expect(schedule.window(containing: start, notBefore: nil)?.start == start)
        #expect(schedule.window(containing: start - 1, notBefore: nil)?.end == start)
    }

    @Test("The cycle day is clamped to the month's last day, in leap years too")
    func clamps() throws {
        for (day, expected) in [
            (28, "2024-02-28T00:00:00Z"), (29, "2024-02-29T00:00:00Z"),
            (30, "2024-02-29T00:00:00Z"), (31, "2024-02-29T00:00:00Z"),
            (29, "2023-02-28T00:00:00Z"), (31, "2023-04-30T00:00:00Z"),
            (31, "2100-02-28T00:00:00Z"), (31, "2000-02-29T00:00:00Z"),
        ] {
            let start = try Self.instant(expected)
            let schedule = try BillingSchedule(cycleDay: day, timeZone: "UTC", around: start)
            #expect(schedule.window(containing: start, notBefore: nil)?.start == start)
        }
    }

    @Test("In every zone a cycle begins when local clocks first show its day")
    func everyZone() throws {
        var generator = SystemRandomNumberGenerator()
        for name in TimeZone.knownTimeZoneIdentifiers {
            let zone = try #require(TimeZone(identifier: name))
            let offsets = try #require(ZoneOffsets(name: name), "\(name)")
            for _ in 0..<12 {
                let day = Int.random(in: 7_305...29_219, using: &generator)  // 1990 to 2049
                let midnight = Int64(day) * 86_400
                let first = offsets.firstInstant(ofDay: day)
                func local(_ instant: Int64) -> Int64 {
                    let date = Date(timeIntervalSince1970: Double(instant))
                    return instant + Int64(zone.secondsFromGMT(for: date))
                }
                #expect(local(first) >= midnight, "\(name) \(day)")
                #expect(local(first - 1) < midnight, "\(name) \(day)")
                for earlier in stride(from: midnight - 100_000, to: first, by: 900) {
                    guard local(earlier) >= midnight else { continue }
                    Issue.record("\(name) \(day): it was that day already at \(earlier)")
                }
            }
        }
    }

    @Test("Windows follow each other without gap or overlap over the whole span")
    func contiguous() throws {
        let now = try Self.instant("2026-11-21T10:00:00Z")
        for (zone, day) in [("UTC", 1), ("America/Havana", 31), ("Pacific/Chatham", 15)] {
            let schedule = try BillingSchedule(cycleDay: day, timeZone: zone, around: now)
            var instant = schedule.span.start
            var count = 0
            while instant < schedule.span.end {
                let window = try #require(schedule.window(containing: instant, notBefore: nil))
                #expect(window.start == instant)
                #expect(schedule.window(containing: window.end - 1, notBefore: nil) == window)
                #expect((27...32).contains((window.end - window.start) / ProfileState.dayLength))
                instant = window.end
                count += 1
            }
            #expect(count == 146)
        }
    }

    @Test("Two months back and twelve years ahead are known; beyond them the answer is nil")
    func span() throws {
        let now = try Self.instant("2026-11-21T10:00:00Z")
        let schedule = try BillingSchedule(cycleDay: 31, timeZone: "UTC", around: now)
        #expect(schedule.span.start == (try Self.instant("2026-09-30T00:00:00Z")))
        #expect(schedule.span.end == (try Self.instant("2038-11-30T00:00:00Z")))
        #expect(schedule.window(containing: schedule.span.start - 1, notBefore: nil) == nil)
        #expect(schedule.window(containing: schedule.span.end, notBefore: nil) == nil)
        #expect(schedule.window(containing: schedule.span.end - 1, notBefore: nil) != nil)
        let next = try BillingSchedule(
            cycleDay: 31, timeZone: "UTC", around: schedule.span.end)
        #expect(
            next.window(containing: schedule.span.end, notBefore: nil)?.start == schedule.span.end)
    }

    @Test("A changed day takes effect at the current window's end; one short cycle follows")
    func changedDay() throws {
        let now = try Self.instant("2026-03-10T12:00:00Z")
        let old = try BillingSchedule(cycleDay: 1, timeZone: "UTC", around: now)
        let current = try #require(old.window(containing: now, notBefore: nil))
        #expect(current.end == (try Self.instant("2026-04-01T00:00:00Z")))

        let new = try BillingSchedule(cycleDay: 15, timeZone: "UTC", around: now)
        let short = try #require(
            new.window(containing: current.end, notBefore: current.end))
        #expect(short.start == current.end)
        #expect(short.end == (try Self.instant("2026-04-15T00:00:00Z")))

        let regular = try #require(new.window(containing: short.end, notBefore: short.end))
        #expect(regular.start == short.end)
        #expect(regular.end == (try Self.instant("2026-05-15T00:00:00Z")))
    }

    @Test("A changed zone makes a short cycle of hours; a late look finds the regular one")
    func changedZone() throws {
        let now = try Self.instant("2026-03-10T12:00:00Z")
        let old = try BillingSchedule(cycleDay: 1, timeZone: "Europe/Berlin", around: now)
        let current = try #require(old.window(containing: now, notBefore: nil))
        #expect(current.end == (try Self.instant("2026-03-31T22:00:00Z")))

        let new = try BillingSchedule(cycleDay: 1, timeZone: "America/New_York", around: now)
        let short = try #require(new.window(containing: current.end, notBefore: current.end))
        #expect(
            short
                == CycleWindow(
                    start: current.end, end: try Self.instant("2026-04-01T04:00:00Z")))

        let late = try #require(
            new.window(
                containing: try Self.instant("2026-07-20T00:00:00Z"), notBefore: current.end))
        #expect(late.start == (try Self.instant("2026-07-01T04:00:00Z")))
        #expect(late.end == (try Self.instant("2026-08-01T04:00:00Z")))
    }

    @Test(
        "Only names of the IANA database are zones",
        arguments: [
            "", "Mars/Olympus", "europe/berlin", "Europe/Berlin ", "Europe/Berlin\0",
            "Europe/Berlin\0x", "GMT+5", "UTC+3", "GMT+0500", "IST", "PST", "BST", "CEST", "Z",
            "+03:00", "localtime", "../../etc/passwd", "SystemV/PST8PDT", "Etc/Unknown", "Ünited/X",
        ])
    func unknownZones(_ name: String) {
        #expect(throws: BillingScheduleError.unknownTimeZone(name)) {
            try BillingSchedule(cycleDay: 1, timeZone: name, around: 0)
        }
    }

    @Test(
        "Other names of the IANA database are zones as well",
        arguments: ["UTC", "GMT", "Etc/GMT+5", "US/Pacific", "Asia/Calcutta", "EST5EDT", "GMT-0"])
    func knownZones(_ name: String) throws {
        let schedule = try BillingSchedule(cycleDay: 1, timeZone: name, around: 0)
        #expect(schedule.timeZone == name)
    }

    @Test("A cycle day outside 1 to 31 is refused", arguments: [Int.min, -1, 0, 32, Int.max])
    func badDays(_ day: Int) {
        #expect(throws: BillingScheduleError.cycleDayOutOfRange(day)) {
            try BillingSchedule(cycleDay: day, timeZone: "UTC", around: 0)
        }
    }

    @Test("Errors say what to write")
    func errorTexts() {
        #expect(
            BillingScheduleError.cycleDayOutOfRange(32).description
                == "The billing cycle day must be 1 to 31, not 32")
        #expect(BillingScheduleError.unknownTimeZone("Mars").description.contains("\"Mars\""))
    }
}

@Suite("Civil dates")
struct CivilDateTests {
    @Test("Dates and day numbers are those of Foundation's Gregorian calendar")
    func civilDates() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for number in stride(from: -100_000, through: 100_000, by: 17) {
            let date = CivilDate(daysSinceEpoch: number)
            let parts = calendar.dateComponents(
                [.year, .month, .day],
                from: Date(timeIntervalSince1970: Double(number) * 86_400))
            #expect(parts.year == date.year && parts.month == date.month && parts.day == date.day)
            #expect(date.daysSinceEpoch == number)
            #expect((1...CivilDate.dayCount(year: date.year, month: date.month)).contains(date.day))
        }
    }
}
