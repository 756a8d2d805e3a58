import Limits
import Notation

/// Amounts, instants and names as people read them.
enum MailText {
    /// A text as part of one line: what would break or turn the line becomes a space.
    static func line(_ text: String) -> String {
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { line.append(isUnfit(scalar) ? " " : scalar) }
        return String(line)
    }

    /// Control characters, line and paragraph separators, and what overrides the direction of writing.
    static func isUnfit(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    static func escapeHTML(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// "$1,234.50", "800 minutes", "12 minutes 30 seconds", "3"; of a limit that is not known as a count.
    static func amount(_ amount: Int64, _ resource: Resource?) -> String {
        switch resource?.unit {
        case .amount:
            let parts = Money.format(amount).split(separator: ".", maxSplits: 1)
            return "$" + grouped(parts.first ?? "0") + parts.dropFirst().map { "." + $0 }.joined()
        case .seconds:
            let (minutes, seconds) = amount.quotientAndRemainder(dividingBy: 60)
            let whole = counted(minutes, "minute")
            return seconds == 0 ? whole : whole + " " + counted(seconds, "second")
        case .count, nil: return grouped(String(amount))
        }
    }

    private static func counted(_ count: Int64, _ unit: String) -> String {
        grouped(String(count)) + " " + unit + (count == 1 ? "" : "s")
    }

    /// A comma before each three digits.
    private static func grouped(_ digits: some StringProtocol) -> String {
        var grouped = ""
        for (index, digit) in digits.enumerated() {
            let left = digits.count - index
            if left % 3 == 0 && index > 0 && grouped != "-" { grouped += "," }
            grouped.append(digit)
        }
        return grouped
    }

    /// "2026-11-21 10:00:00 UTC".
    static func instant(_ milliseconds: Int64) -> String {
        let text = Instant.text(milliseconds)
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    /// What part of a cap is used, rounded down; nil: the cap is zero.
    static func percent(_ used: Int64, of cap: Int64) -> Int64? {
        guard cap > 0, used >= 0 else { return nil }
        let (high, low) = UInt64(used).multipliedFullWidth(by: 100)
        guard high < UInt64(cap) else { return nil }
        return Int64(clamping: UInt64(cap).dividingFullWidth((high, low)).quotient)
    }
}
