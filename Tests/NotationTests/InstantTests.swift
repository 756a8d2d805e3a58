import Foundation
import Testing

@testable import Notation

@Suite("Instants as RFC 3339 writes them")
struct InstantTests {
    @Test func areWritten() {
        #expect(Instant.text(1_795_255_200_001) == "2026-11-21T10:00:00.001Z")
        #expect(Instant.text(0) == "1970-01-01T00:00:00.000Z")
        #expect(Instant.text(-1) == "1969-12-31T23:59:59.999Z")
        #expect(Instant.wholeSeconds(1_795_255_200_999) == "2026-11-21T10:00:00Z")
        #expect(Instant.day(1_795_305_599_999) == "2026-11-21")
        #expect(Instant.day(1_795_305_600_000) == "2026-11-22")
    }

    @Test(arguments: [
        (0 as Int64, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (1_709_210_096_999, "Thu, 29 Feb 2024 12:34:56 +0000"),
        (1_798_761_599_000, "Thu, 31 Dec 2026 23:59:59 +0000"),
    ])
    func ofMailsAndHTTP(_ milliseconds: Int64, _ text: String) {
        #expect(Instant.mail(milliseconds) == text)
        #expect(Instant.http(milliseconds) == text.dropLast(5) + "GMT")
    }

    /// Over four centuries, at odd steps: as Foundation writes it, and read back as it was.
    @Test func areWrittenAsFoundationDoesAndReadBack() {
        for instant in stride(from: Int64(0), to: 12_622_780_800_000, by: 7_777_777_777) {
            let date = Date(timeIntervalSince1970: Double(instant / 1_000))
            let seconds = date.formatted(.iso8601)
            #expect(Instant.wholeSeconds(instant) == seconds)
            let text = Instant.text(instant)
            #expect(text.hasPrefix(seconds.dropLast()))
            #expect(Instant.parse(text) == instant)
            #expect(Instant.parse(seconds) == instant / 1_000 * 1_000)
            #expect(Instant.parseDay(Instant.day(instant)) == instant / 86_400_000 * 86_400_000)
        }
    }

    @Test func areRead() {
        #expect(Instant.parse("2026-11-21T10:00:00.001Z") == 1_795_255_200_001)
        #expect(Instant.parse("2026-11-21t11:00:00.0019+01:00") == 1_795_255_200_001)
        #expect(Instant.parse("2026-11-21T08:30:00-01:30") == 1_795_255_200_000)
        #expect(Instant.parse("2026-11-21T10:00:00.5z") == 1_795_255_200_500)
        #expect(Instant.parse("2026-11-21T10:00:00.123456789Z") == 1_795_255_200_123)
        #expect(Instant.parseDay("2024-02-29") == 1_709_164_800_000)
    }

    @Test(arguments: [
        "2026-11-21", "2026-11-21T10:00:00", "2026-02-30T10:00:00Z", "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z", "2026-11-21T10:00:60Z", "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.1234567890Z", "٢026-11-21T10:00:00Z", "2026-11-21T10:00:00+25:00",
        "2026-11-21T10:00:00+01:60", "2026-11-21T10:00:00+0100", "2026-11-21T10:00:00Z ",
        " 2026-11-21T10:00:00Z", "2026-11-21 10:00:00Z", "1969-12-31T23:59:59Z", "", "Z",
        "2026-11-21T1:00:00Z", "+026-11-21T10:00:00Z",
    ])
    func whatIsNoneIsRefused(text: String) {
        #expect(Instant.parse(text) == nil)
    }

    @Test(arguments: [
        "2026-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "2026-1-1", "", "2026-11-21T",
        "20260101aa", "1969-12-31", "2026/11/21",
    ])
    func whatIsNoDayIsRefused(text: String) {
        #expect(Instant.parseDay(text) == nil)
    }
}
