// Exact decimal money: text to nano-USD and back (semantics §1). No floating point, no Foundation.

/// Why a decimal text is not an amount of money.
@frozen public enum MoneyError: Error, Sendable, Equatable, CaseIterable {
    case empty
    case notADecimal
    case leadingZero
    case tooManyDecimals
    case negative
    case overflow

    /// What is wrong, as a sentence for the person who sent it.
    public var sentence: StaticString {
        switch self {
        case .empty: "The amount is empty"
        case .notADecimal:
            "The amount must be digits with an optional decimal point between them, like \"12.50\""
        case .leadingZero: "The amount must not have leading zeros"
        case .tooManyDecimals: "The amount must have at most 9 decimal places"
        case .negative: "The amount must not be negative"
        case .overflow: "The amount is too large; the maximum is 9223372036.854775807"
        }
    }
}

extension MoneyError: CustomStringConvertible {
    public var description: String { "\(sentence)" }
}

/// Decimal texts of US dollars and nano-USD (1 USD = 1 000 000 000), converted exactly or refused.
///
/// The grammar is a JSON number without exponent and with at most nine decimals:
/// `-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?`. Hence no spaces, no `+`, no `.5`, no `1.`, no `007`,
/// no `1e3`.
public enum Money {
    /// Nano-USD in a dollar.
    public static let nanosPerUSD: Int64 = 1_000_000_000
    /// Decimals that are kept.
    static let maximumDecimals = 9

    /// Nano-USD of a decimal text.
    ///
    /// - Parameters:
    ///   - text: UTF-8 bytes of the whole text.
    ///   - allowsNegative: Accept a leading `-`; else it is refused, even before a zero.
    /// - Throws: `MoneyError`; never rounds, never wraps.
    /// - Complexity: O(*n*) in the length of the text.
    public static func parse(
        _ text: some Collection<UInt8>, allowsNegative: Bool = false
    ) throws(MoneyError) -> Int64 {
        guard let first = text.first else { throw .empty }
        let isNegative = first == UInt8(ascii: "-")
        let body = isNegative ? text.dropFirst() : text[...]
        let point = body.firstIndex(of: UInt8(ascii: ".")) ?? body.endIndex
        let whole = body[..<point]
        guard whole.isEmpty == false, whole.allSatisfy(isDigit) else { throw .notADecimal }

        var decimals = 0
        if point != body.endIndex {
            let fraction = body[point...].dropFirst()
            guard fraction.isEmpty == false, fraction.allSatisfy(isDigit) else {
                throw .notADecimal
            }
            decimals = fraction.count
        }
        if isNegative && allowsNegative == false { throw .negative }
        if whole.first == UInt8(ascii: "0") && whole.count > 1 { throw .leadingZero }
        guard decimals <= maximumDecimals else { throw .tooManyDecimals }

        // Counted downwards: the negative range is the larger one, so Int64.min parses too.
        var negated: Int64 = 0
        for byte in body where byte != UInt8(ascii: ".") {
            negated = try append(digit: Int64(byte &- UInt8(ascii: "0")), to: negated)
        }
        for _ in decimals..<maximumDecimals {
            negated = try append(digit: 0, to: negated)
        }
        if isNegative { return negated }
        guard negated != Int64.min else { throw .overflow }
        return -negated
    }

    /// Nano-USD of a decimal text. See `parse(_:allowsNegative:)` for bytes.
    public static func parse(
        _ text: String, allowsNegative: Bool = false
    ) throws(MoneyError) -> Int64 {
        try parse(text.utf8, allowsNegative: allowsNegative)
    }

    /// The decimal text of an amount: 2 to 9 decimals, zeros beyond two trimmed ("0.12", "1.00",
    /// "0.004").
    ///
    /// `parse(_:allowsNegative: true)` gives the amount back.
    /// - Parameter nanos: Nano-USD, any value.
    /// - Complexity: O(1).
    public static func format(_ nanos: Int64) -> String {
        let scale = UInt64(nanosPerUSD)
        let magnitude = nanos.magnitude
        var fraction = String(magnitude % scale + scale).dropFirst()
        while fraction.utf8.count > 2 && fraction.utf8.last == UInt8(ascii: "0") {
            fraction.removeLast()
        }
        return "\(nanos < 0 ? "-" : "")\(magnitude / scale).\(fraction)"
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }

    /// `negated` × 10 − `digit`.
    private static func append(digit: Int64, to negated: Int64) throws(MoneyError) -> Int64 {
        let (shifted, isTooLong) = negated.multipliedReportingOverflow(by: 10)
        let (sum, isTooLarge) = shifted.subtractingReportingOverflow(digit)
        if isTooLong || isTooLarge { throw .overflow }
        return sum
    }
}
