/// What values a setting may have.
public enum SettingShape: Sendable, Equatable {
    /// Bytes; no control characters.
    case text(ClosedRange<Int>)
    case timeZone
    /// Where webhooks are posted to.
    case address
    /// Nano-USD.
    case amount
    case whole(ClosedRange<Int64>)
    /// Rising.
    case wholes(ClosedRange<Int64>, most: Int)
    case flag
    case choice([String])

    /// Bytes that an address may have.
    public static var longestAddress: Int { 1_024 }
    /// Bytes that the name of a zone may have.
    public static var longestZone: Int { 64 }

    public var isList: Bool { if case .wholes = self { true } else { false } }

    /// After "must be".
    public var expected: String {
        switch self {
        case .text(let bytes):
            bytes.lowerBound == 0
                ? "a string of at most \(bytes.upperBound) bytes without control characters"
                : "a string of \(bytes.lowerBound) to \(bytes.upperBound) bytes without control characters"
        case .timeZone: "an IANA time zone, like Europe/Paris"
        case .address: "a URL of at most \(Self.longestAddress) bytes"
        case .amount: "an amount in USD, like 12.50"
        case .whole(let range): "a whole number \(Self.bounds(range))"
        case .wholes(let range, let most):
            "1 to \(most) rising whole numbers \(Self.bounds(range))"
        case .flag: "true or false"
        case .choice(let names):
            names.listed("or")
        }
    }

    private static func bounds(_ range: ClosedRange<Int64>) -> String {
        range.upperBound == .max
            ? "of at least \(range.lowerBound)"
            : "from \(range.lowerBound) to \(range.upperBound)"
    }

    /// Whether a text that somebody gives has too few bytes. What is kept may be empty: nobody gave it.
    public func isTooShort(_ text: String) -> Bool {
        if case .text(let bytes) = self { text.utf8.count < bytes.lowerBound } else { false }
    }

    /// What is wrong with a value, after the setting's name; nil: nothing.
    public func fault(of value: SettingField.Value) -> String? {
        switch (self, value) {
        case (.text(let bytes), .text(let text)):
            text.utf8.count <= bytes.upperBound
                ? nil : "must be at most \(bytes.upperBound) bytes"
        case (.address, .text(let text)):
            text.utf8.count <= Self.longestAddress
                ? nil : "must be at most \(Self.longestAddress) bytes"
        case (.amount, .amount(let nanos)): nanos >= 0 ? nil : "must not be negative"
        case (.whole(let range), .whole(let number)):
            range.contains(number) ? nil : "must be \(expected)"
        case (.wholes(let range, let most), .wholes(let numbers)):
            Self.fault(of: numbers, range, most: most)
        case (.choice(let names), .text(let text)):
            names.contains(text) ? nil : "must be \(expected)"
        default: nil
        }
    }

    private static func fault(
        of numbers: [Int64], _ range: ClosedRange<Int64>, most: Int
    ) -> String? {
        guard (1...most).contains(numbers.count) else {
            return "must have 1 to \(most) numbers"
        }
        if let odd = numbers.first(where: { !range.contains($0) }) {
            return "must be whole numbers \(bounds(range)): \(odd) is not"
        }
        for (one, next) in zip(numbers, numbers.dropFirst()) where next <= one {
            return next == one
                ? "must not repeat a number: \(one)" : "must rise: \(next) follows \(one)"
        }
        return nil
    }
}
