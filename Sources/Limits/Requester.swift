/// The number of a trace by W3C Trace Context: 128 bits, not all 0.
@frozen public struct TraceID: Sendable, Hashable, CustomStringConvertible {
    public var high: UInt64
    public var low: UInt64

    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 32 lower-case hexadecimal digits.
    public var description: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// Who asks for an operation, and as a part of which trace: what the audit log says of where a change comes from.
@frozen public struct Requester: Sendable, Equatable, ExpressibleByIntegerLiteral {
    /// The number of an access token; 0: nobody's.
    public var caller: UInt64
    /// nil: none is known.
    public var trace: TraceID?

    @inlinable public init(caller: UInt64, trace: TraceID? = nil) {
        self.caller = caller
        self.trace = trace
    }

    /// A caller without a trace.
    @inlinable public init(integerLiteral caller: UInt64) { self.init(caller: caller) }

    @inlinable public static var nobody: Requester { 0 }
}
