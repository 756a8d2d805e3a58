internal import Kit
internal import Limits

// Money: what parses is exactly what long arithmetic says, and comes back when it is written out.

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked {
        let amounts: [Int64] = [0, 1, -1, 4_000_000, 12_500_000_000, .max, .min, .max - 1]
        let texts =
            amounts.map { Money.format($0) } + [
                "0.000000001", "1.0", "007", ".5", "1.", "1e3", "-0",
            ]
        return texts.flatMap { [[0] + Array($0.utf8), [1] + Array($0.utf8)] }
    }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    guard let first = bytes.first else { return 0 }
    let text = bytes.dropFirst()
    let allowsNegative = first & 1 != 0
    let expected = LongDecimal.nanos(text, allowsNegative: allowsNegative)
    do {
        let nanos = try Money.parse(text, allowsNegative: allowsNegative)
        precondition(expected == nanos, "parsed \(nanos), must be \(String(describing: expected))")
        let written = Money.format(nanos)
        let again = try? Money.parse(written, allowsNegative: true)
        precondition(again == nanos, "\(nanos) is written \(written)")
    } catch {
        precondition(
            expected == nil, "refused (\(error)), but it is \(String(describing: expected))")
    }
    return 0
}

/// The grammar and the arithmetic once more, in the plainest way: digits in an array, 128 bits at the end.
private enum LongDecimal {
    static func nanos(_ text: some Collection<UInt8>, allowsNegative: Bool) -> Int64? {
        var characters = Array(text)
        let isNegative = characters.first == 0x2d
        if isNegative {
            if !allowsNegative { return nil }
            characters.removeFirst()
        }
        let parts = characters.split(separator: 0x2e, omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }),
            parts.joined().allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        let fraction = parts.count == 2 ? Array(parts[1]) : []
        if fraction.count > 9 || parts[0].count > 1 && parts[0].first == 0x30 { return nil }
        // Without leading zeros, 10 digits are enough for any amount that fits.
        if parts[0].count > 12 { return nil }
        var value: Int128 = 0
        for digit in parts[0] + fraction + Array(repeating: 0x30, count: 9 - fraction.count) {
            value = value * 10 + Int128(digit - 0x30)
        }
        return Int64(exactly: isNegative ? -value : value)
    }
}
