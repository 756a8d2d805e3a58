/// Durations as people write them: a whole number and a unit, "500ms", "10s", "15m", "24h", "7d".
enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// Milliseconds of a text; nil unless it is a whole number from 0 with a unit, or too large.
    static func milliseconds(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let number = Int64(digits),
            let scale = units.first(where: { $0.name == unit })?.milliseconds
        else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: scale)
        return overflows ? nil : product
    }

    /// The shortest text of a duration: the largest unit that leaves a whole number.
    static func text(_ milliseconds: Int64) -> String {
        let unit = units.first { milliseconds % $0.milliseconds == 0 && milliseconds != 0 }
        guard let unit else { return "0s" }
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}
