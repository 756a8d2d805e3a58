/// What a run does, checked.
struct Settings {
    /// Actions a second.
    var rate: Double
    var durationNanoseconds: UInt64
    var traffic: Traffic
    var maximumInFlight: Int
    var timeoutNanoseconds: UInt64
    var pauseNanoseconds: UInt64
    /// Time to live of a hold.
    var holdMilliseconds: UInt32
    var usesKeys: Bool
    var seed: UInt64

    /// Actions of the whole schedule: the last one is due before its end.
    var actionCount: Int { Int((rate * Double(durationNanoseconds) / 1e9).rounded(.up)) }
}

/// Durations as people write them: a whole number and a unit.
enum LoadTestDuration {
    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
        ("us", 1_000),
    ]
    private static let most: UInt64 = 24 * 3_600_000_000_000

    /// Nanoseconds, at most a day; nil: not a duration.
    static func nanoseconds(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let number = UInt64(digits),
            let scale = units.first(where: { $0.name == unit })?.nanoseconds
        else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: scale)
        return overflows || product > most ? nil : product
    }
}

/// HOST:PORT, IPv6 in brackets.
enum EndpointText {
    static func parse(_ text: String) -> (host: String, port: Int)? {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), port > 0
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : (String(host), Int(port))
    }
}
