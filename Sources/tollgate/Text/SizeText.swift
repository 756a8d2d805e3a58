/// Sizes as people write them: a whole number of bytes, or one with a binary unit: "4096", "512KiB", "64MiB", "10GiB".
enum SizeText {
    private static let units: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1),
    ]

    /// Bytes of a text; nil unless it is a whole number from 0 with a unit or none, or too large.
    static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let number = Int(digits),
            let scale = units.first(where: { $0.name == unit })?.bytes
        else { return nil }
        let (product, overflows) = number.multipliedReportingOverflow(by: scale)
        return overflows ? nil : product
    }

    /// The shortest text of a size: the largest unit that leaves a whole number.
    static func text(_ bytes: Int) -> String {
        let unit = units.first { bytes % $0.bytes == 0 && bytes != 0 }
        guard let unit else { return "0" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}
