/// Instants and days as RFC 3339 writes them, and as mails and HTTP do, in UTC. Instants are Unix milliseconds.
package enum Instant {
    private static let day: Int64 = 86_400_000

    /// To the millisecond, "2026-11-21T10:00:00.000Z".
    package static func text(_ milliseconds: Int64) -> String {
        let rest = (milliseconds % 1_000 + 1_000) % 1_000
        return wholeSeconds(milliseconds).dropLast() + ".\(String(1_000 + rest).dropFirst())Z"
    }

    /// To the second that it is in, "2026-11-21T10:00:00Z".
    package static func wholeSeconds(_ milliseconds: Int64) -> String {
        let days = CivilDate.days(ofMilliseconds: milliseconds)
        let second = Int(milliseconds - Int64(days) * day) / 1_000
        return date(days) + "T\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }

    /// The day that it is in, "2026-11-21".
    package static func day(_ milliseconds: Int64) -> String {
        date(CivilDate.days(ofMilliseconds: milliseconds))
    }

    /// As mails have it (RFC 5322), "Sat, 21 Nov 2026 10:00:00 +0000".
    package static func mail(_ milliseconds: Int64) -> String {
        let names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let days = CivilDate.days(ofMilliseconds: milliseconds)
        // 1970-01-01 was a Thursday.
        let name = names[((days + 4) % 7 + 7) % 7]
        let date = CivilDate(daysSinceEpoch: days)
        let time = wholeSeconds(milliseconds).dropLast().suffix(8)
        return "\(name), \(two(date.day)) \(months[date.month - 1]) \(year(date)) \(time) +0000"
    }

    /// As HTTP has it (RFC 9110), "Sat, 21 Nov 2026 10:00:00 GMT".
    package static func http(_ milliseconds: Int64) -> String {
        mail(milliseconds).dropLast(5) + "GMT"
    }

    private static func date(_ days: Int) -> String {
        let date = CivilDate(daysSinceEpoch: days)
        return "\(year(date))-\(two(date.month))-\(two(date.day))"
    }

    private static func year(_ date: CivilDate) -> String {
        let year = "\(date.year)"
        return String(repeating: "0", count: max(0, 4 - year.count)) + year
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    // MARK: Reading

    /// The instant of a text with any offset; nil: it is none, or from before 1970. Fractions beyond milliseconds are cut;
    /// there are no leap seconds.
    package static func parse(_ text: String) -> Int64? {
        var digits = Digits(text)
        guard let day = digits.day(), digits.take("Tt") != nil,
            let hour = digits.number(2), digits.take(":") != nil,
            let minute = digits.number(2), digits.take(":") != nil,
            let second = digits.number(2), hour < 24, minute < 60, second < 60,
            let fraction = digits.take(".") == nil ? 0 : digits.milliseconds(),
            let offset = digits.offset(), digits.isAtEnd
        else { return nil }
        return day + Int64((hour * 60 + minute) * 60 + second) * 1_000 + Int64(fraction) - offset
    }

    /// The instant of a date as HTTP has it, "Sat, 21 Nov 2026 10:00:00 GMT"; nil: it is none. The day of the week is not
    /// compared, and the two obsolete forms are not read.
    package static func parseHTTP(_ text: String) -> Int64? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        guard parts.count == 6, parts[0].utf8.count == 4, parts[0].hasSuffix(","),
            parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2]))
        else { return nil }
        return parse("\(parts[3])-\(two(month + 1))-\(parts[1])T\(parts[4])Z")
    }

    /// The first instant of a day like "2026-11-21"; nil: there is no such day, or it is before 1970.
    package static func parseDay(_ text: String) -> Int64? {
        var digits = Digits(text)
        guard let day = digits.day(), digits.isAtEnd else { return nil }
        return day
    }

    /// What is left of a text.
    private struct Digits {
        private var left: Substring.UTF8View

        init(_ text: String) { left = Substring(text).utf8 }

        var isAtEnd: Bool { left.isEmpty }

        /// Takes one of these characters; nil: another stands there.
        mutating func take(_ choices: StaticString) -> UInt8? {
            guard let next = left.first,
                choices.withUTF8Buffer({ $0.contains(next) })
            else { return nil }
            left.removeFirst()
            return next
        }

        /// Takes a number of exactly so many digits.
        mutating func number(_ count: Int) -> Int? {
            var value = 0
            for _ in 0..<count {
                guard let digit = take("0123456789") else { return nil }
                value = value * 10 + Int(digit - UInt8(ascii: "0"))
            }
            return value
        }

        /// Takes a date: its first instant.
        mutating func day() -> Int64? {
            guard let year = number(4), take("-") != nil, let month = number(2),
                take("-") != nil, let day = number(2), year >= 1_970, (1...12).contains(month),
                day >= 1, day <= CivilDate.dayCount(year: year, month: month)
            else { return nil }
            let date = CivilDate(year: year, month: month, day: day)
            return Int64(date.daysSinceEpoch) * Instant.day
        }

        /// Takes the digits of a fraction of a second, 1 to 9 of them.
        mutating func milliseconds() -> Int? {
            var value = 0
            var count = 0
            while let digit = take("0123456789") {
                if count < 3 { value = value * 10 + Int(digit - UInt8(ascii: "0")) }
                count += 1
            }
            guard (1...9).contains(count) else { return nil }
            for _ in count..<max(count, 3) { value *= 10 }
            return value
        }

        /// Takes "Z" or an offset like "+01:00": milliseconds.
        mutating func offset() -> Int64? {
            if take("Zz") != nil { return 0 }
            guard let sign = take("+-"), let hours = number(2), take(":") != nil,
                let minutes = number(2), hours < 24, minutes < 60
            else { return nil }
            let offset = Int64(hours * 60 + minutes) * 60_000
            return sign == UInt8(ascii: "-") ? -offset : offset
        }
    }
}
