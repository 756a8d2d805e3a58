import Foundation

/// Instants and days as texts.
enum Instant {
    /// RFC 3339 with milliseconds, "2026-11-21T10:00:00.000Z".
    static func text(_ milliseconds: Int64) -> String {
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
        let date = Date(timeIntervalSince1970: Double(seconds))
        let whole = date.formatted(.iso8601.dateTimeSeparator(.standard))
        return whole.dropLast() + ".\(String(1_000 + rest).dropFirst())Z"
    }

    /// null where there is no such instant.
    static func json(_ milliseconds: Int64) -> JSON {
        milliseconds == 0 ? .null : .string(text(milliseconds))
    }

    /// The UTC day of an instant, "2026-11-21".
    static func day(_ milliseconds: Int64) -> String { String(text(milliseconds).prefix(10)) }

    /// Unix milliseconds of an RFC 3339 text; nil: it is none. Fractions beyond milliseconds are cut.
    static func parse(_ text: String) -> Int64? {
        let pattern =
            /(\d{4}-\d{2}-\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))/
            .asciiOnlyDigits()
        guard let match = text.wholeMatch(of: pattern), let day = parseDay(String(match.1)),
            let hour = Int64(match.2), let minute = Int64(match.3), let second = Int64(match.4),
            hour < 24, minute < 60, second < 60
        else { return nil }
        var instant = day + ((hour * 60 + minute) * 60 + second) * 1_000
        if let fraction = match.5 {
            instant += Int64((fraction + "00").prefix(3)) ?? 0
        }
        if let sign = match.6, let hours = match.7.flatMap({ Int64($0) }),
            let minutes = match.8.flatMap({ Int64($0) })
        {
            guard hours < 24, minutes < 60 else { return nil }
            let offset = (hours * 60 + minutes) * 60_000
            instant += sign == "-" ? offset : -offset
        }
        return instant
    }

    /// The first Unix millisecond of a UTC day like "2026-11-21"; nil: there is no such day.
    static func parseDay(_ text: String) -> Int64? {
        let pattern = /(\d{4})-(\d{2})-(\d{2})/.asciiOnlyDigits()
        guard let match = text.wholeMatch(of: pattern), let year = Int(match.1),
            let month = Int(match.2), let day = Int(match.3), year >= 1970
        else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let components = DateComponents(
            calendar: calendar, timeZone: .gmt, year: year, month: month, day: day)
        guard components.isValidDate, let date = components.date else { return nil }
        return Int64(date.timeIntervalSince1970) * 1_000
    }
}
