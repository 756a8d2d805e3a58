/// A set of limits; bit `LimitKind.index`.
@frozen public struct LimitSet: OptionSet, Sendable, Hashable {
    /// Limits that there is room for, in files too.
    @inlinable public static var capacity: Int { 14 }
    /// Every limit that there may be.
    @inlinable public static var all: LimitSet { LimitSet(rawValue: 0x3fff) }

    public var rawValue: UInt16
    @inlinable @inline(always) public init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable @inline(always) public init(_ kind: LimitKind) {
        rawValue = 1 &<< UInt16(truncatingIfNeeded: kind.index)
    }

    @inlinable @inline(always) public func contains(_ kind: LimitKind) -> Bool {
        rawValue & (1 &<< UInt16(truncatingIfNeeded: kind.index)) != 0
    }
    @inlinable @inline(always) public mutating func insert(_ kind: LimitKind) {
        rawValue |= 1 &<< UInt16(truncatingIfNeeded: kind.index)
    }
}
