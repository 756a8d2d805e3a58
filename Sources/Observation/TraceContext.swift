package import Limits

/// The trace that a call belongs to, according to its caller: the header fields `traceparent` and `tracestate` of W3C
/// Trace Context (level 1; what level 2 adds to the flags is ignored).
package struct TraceContext: Sendable, Hashable {
    /// Bytes; longer lists of vendors' entries are dropped, as the standard allows.
    package static let longestState = 512

    package var trace: TraceID
    /// The caller's span; 0: there is none, the trace begins here.
    package var span: UInt64
    /// The caller records its spans.
    package var isSampled: Bool
    /// `tracestate`; empty: none.
    package var state: String

    package init(trace: TraceID, span: UInt64, isSampled: Bool, state: String = "") {
        self.trace = trace
        self.span = span
        self.isSampled = isSampled
        self.state = state
    }

    /// nil: `traceparent` is invalid; `tracestate` is ignored then.
    ///
    /// - Complexity: O(length)
    package init?(traceparent: String, tracestate: String? = nil) {
        let bytes = Array(traceparent.utf8)
        // 00-<32>-<16>-<2>
        guard bytes.count >= 55, bytes[2] == UInt8(ascii: "-"), bytes[35] == UInt8(ascii: "-"),
            bytes[52] == UInt8(ascii: "-"),
            let version = Hexadecimal.number(bytes[0..<2]), version != 0xFF,
            let high = Hexadecimal.number(bytes[3..<19]),
            let low = Hexadecimal.number(bytes[19..<35]), high | low != 0,
            let span = Hexadecimal.number(bytes[36..<52]), span != 0,
            let flags = Hexadecimal.number(bytes[53..<55])
        else { return nil }
        // A later version may have more fields, after another dash.
        guard bytes.count == 55 || version > 0 && bytes[55] == UInt8(ascii: "-") else { return nil }
        self.init(
            trace: TraceID(high: high, low: low), span: span, isSampled: flags & 1 != 0,
            state: tracestate.flatMap(Self.state) ?? "")
    }

    /// A trace that begins here, and is recorded.
    static var new: TraceContext {
        TraceContext(
            trace: TraceID(high: .newSpanID, low: .newSpanID), span: 0, isSampled: true)
    }

    private static func state(_ text: String) -> String? {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= longestState,
            bytes.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        return text
    }
}

/// 64-bit numbers as 16 lower-case hexadecimal digits.
enum Hexadecimal {
    static func text(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// nil: it contains something other than lower-case hexadecimal digits.
    static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }
}

/// Random numbers that need not be secret: for trace ids, and for selecting a share of calls (SplitMix64).
package struct Chance: Sendable {
    private var state: UInt64

    package init() { self.init(seed: .random(in: .min ... .max)) }

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var number = state
        number = (number ^ number >> 30) &* 0xBF58_476D_1CE4_E5B9
        number = (number ^ number >> 27) &* 0x94D0_49BB_1331_11EB
        return number ^ number >> 31
    }

    /// Never 0.
    mutating func id() -> UInt64 {
        while true {
            let number = next()
            if number != 0 { return number }
        }
    }
}

/// A share of all calls.
package struct CallShare: Sendable {
    private let bound: UInt64
    private let isAll: Bool

    /// - Parameter share: 0 ... 1.
    package init(_ share: Double) {
        isAll = share >= 1
        bound = share > 0 && share < 1 ? UInt64(share * 0x1p64) : 0
    }

    package var isNone: Bool { !isAll && bound == 0 }

    /// - Parameter number: a random one.
    package func takes(_ number: UInt64) -> Bool { isAll || number < bound }
}
