import Events
import Foundation
import Limits
import Notation

/// Amounts, times and names as people read them.
enum Texts {
    /// "$1,234.50"
    static func money(_ nanos: Int64) -> String {
        let text = Money.format(nanos)
        let isNegative = text.hasPrefix("-")
        let parts = text.drop(while: { $0 == "-" }).split(separator: ".", maxSplits: 1)
        return (isNegative ? "-$" : "$") + grouped(parts[0]) + "." + parts[1]
    }

    /// "12,345"
    static func count(_ value: Int64) -> String {
        (value < 0 ? "-" : "") + grouped(Substring(String(value.magnitude)))
    }

    private static func grouped(_ digits: Substring) -> String {
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return result
    }

    /// Seconds as minutes, to a tenth, rounded down: "84.5".
    static func minutes(_ seconds: Int64) -> String {
        let (whole, rest) = seconds.magnitude.quotientAndRemainder(dividingBy: 60)
        let tenth = rest / 6
        return (seconds < 0 ? "-" : "") + grouped(Substring(String(whole)))
            + (tenth == 0 ? "" : ".\(tenth)")
    }

    /// With its unit where that is not plain from what is counted.
    static func amount(_ amount: Int64, of resource: Resource) -> String {
        resource.unit == .seconds ? minutes(amount) + " min" : cell(amount, of: resource)
    }

    /// As a number that other programs read: dollars, counts, seconds.
    ///
    /// - Parameter resource: nil: one that is not known.
    static func plain(_ amount: Int64, of resource: Resource?) -> String {
        resource?.plain(amount) ?? String(amount)
    }

    /// In a column that is about nothing else.
    static func cell(_ amount: Int64, of resource: Resource) -> String {
        switch resource.unit {
        case .amount: money(amount)
        case .count: count(amount)
        case .seconds: minutes(amount)
        }
    }

    /// With what is counted: "3 extensions", "$4.00".
    static func counted(_ amount: Int64, of resource: Resource) -> String {
        guard resource.unit == .count else { return self.amount(amount, of: resource) }
        let row = resource.row
        return "\(count(amount)) \(amount.magnitude == 1 ? row.singular : row.plural)"
    }

    /// A stretch of time in its two largest units: "3 s", "20 h 5 min", "31 d 2 h".
    static func span(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1_000
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"),
            (seconds % 60, "s"),
        ]
        let first = parts.firstIndex { $0.0 > 0 } ?? parts.count - 1
        return parts[first...].prefix(2).filter { $0.0 > 0 || $0.1 == parts[first].1 }
            .map { "\(count($0.0)) \($0.1)" }.joined(separator: " ")
    }

    /// To about three digits: "250 µs", "1.25 ms", "12.3 ms", "1,250 ms".
    static func latency(_ time: Duration?) -> String {
        guard let time else { return "–" }
        if time < .milliseconds(1) { return "\(Int64(time / .microseconds(1))) µs" }
        let digits = time < .milliseconds(10) ? 2 : time < .milliseconds(100) ? 1 : 0
        let unit = Int64([1, 10, 100][digits])
        // In parts of a millisecond as small as is shown.
        let parts = Int64((time / .milliseconds(1) * Double(unit)).rounded())
        guard digits > 0 else { return "\(count(parts)) ms" }
        let rest = String(parts % unit)
        let zeros = String(repeating: "0", count: digits - rest.count)
        return "\(parts / unit).\(zeros)\(rest) ms"
    }

    static func name(_ action: Action) -> String {
        switch action {
        case .unspecified: "Unspecified"
        case .sendMessage: "Send message"
        case .provisionExtension: "Provision extension"
        case .assignDID: "Assign DID"
        case .outboundCall: "Outbound call"
        case .inboundCall: "Inbound call"
        case .charge: "Charge"
        }
    }

    static func name(_ kind: Event.Kind) -> String {
        switch kind {
        case .tenantThresholdReached: "Alert threshold reached"
        case .tenantLimitReached: "Limit reached"
        case .tenantSuspended: "Tenant suspended"
        case .tenantReinstated: "Tenant reinstated"
        case .profileThresholdReached: "Profile: alert threshold reached"
        case .profileLimitReached: "Profile: daily limit reached"
        case .voiceProfileThresholdReached: "Voice profile: alert threshold reached"
        case .voiceProfileLimitReached: "Voice profile: daily limit reached"
        }
    }

    /// The class of a chip.
    static func tone(_ kind: Event.Kind) -> String {
        switch kind {
        case .tenantThresholdReached, .profileThresholdReached, .voiceProfileThresholdReached:
            "near"
        case .tenantLimitReached, .profileLimitReached, .voiceProfileLimitReached,
            .tenantSuspended:
            "over"
        case .tenantReinstated: "good"
        }
    }

    /// "tenant_suspended" and "tenantSuspended" as "Tenant suspended".
    static func sentence(_ name: String) -> String {
        var text = ""
        var previous: Character = " "
        for character in name {
            defer { previous = character }
            if character == "_" || character == "-" {
                text.append(" ")
            } else if character.isUppercase, previous.isLowercase {
                text += " " + character.lowercased()
            } else {
                text.append(character)
            }
        }
        let sentence = (text.prefix(1).uppercased() + text.dropFirst())
            .replacingOccurrences(of: "uRL", with: "URL")
        // Resources are written as people write them.
        return Resource.catalogue.reduce(sentence) {
            $0.replacingOccurrences(of: $1.plural.lowercased(), with: $1.plural)
        }
    }

    // MARK: Times

    /// RFC 3339, to the second.
    static func iso(_ milliseconds: Int64) -> String { Instant.wholeSeconds(milliseconds) }

    /// "2026-11-21 10:00:00", UTC.
    static func time(_ milliseconds: Int64) -> String {
        let text = iso(milliseconds)
        return text.prefix(10) + " " + text.dropFirst(11).prefix(8)
    }

    /// "2026-11-21", UTC.
    static func day(_ milliseconds: Int64) -> String { Instant.day(milliseconds) }

    /// The first Unix millisecond of a UTC day like "2026-11-21"; nil: it is none.
    static func day(_ text: String) -> Int64? { Instant.parseDay(text) }

    /// "3 min 20 s"
    static func age(_ milliseconds: Int64) -> String {
        let seconds = max(0, milliseconds / 1_000)
        return switch seconds {
        case ..<60: "\(seconds) s"
        case ..<3_600: "\(seconds / 60) min \(seconds % 60) s"
        default: "\(seconds / 3_600) h \(seconds % 3_600 / 60) min"
        }
    }
}

/// Paths of pages.
enum Links {
    static func tenant(_ id: String, _ rest: String = "") -> String {
        "/tenants/\(PercentEncoding.segment(id))\(rest)"
    }

    /// A path with those of the parameters that are not empty.
    static func path(_ path: String, _ query: [(String, String)], fragment: String = "") -> String {
        let parts = query.filter { !$0.1.isEmpty }.map { name, value in
            "\(PercentEncoding.component(name))=\(PercentEncoding.component(value))"
        }
        return path + (parts.isEmpty ? "" : "?" + parts.joined(separator: "&")) + fragment
    }
}
