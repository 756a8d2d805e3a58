/// The events one transition raises. Bits 0 ..< 5: threshold reached, by `LimitKind.index`;
/// bits 5 ..< 10: limit reached; bit 10: tenant suspended; bit 11: tenant reinstated.
///
/// Within a record they count as raised in the order of the bits: threshold, then reached, then suspended.
@frozen public struct EventSet: OptionSet, Sendable, Hashable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var suspended: EventSet { EventSet(rawValue: 1 << 10) }
    @inlinable public static var reinstated: EventSet { EventSet(rawValue: 1 << 11) }

    @inlinable public static func threshold(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt16(truncatingIfNeeded: index))
    }
    @inlinable public static func reached(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt16(truncatingIfNeeded: index &+ 5))
    }

    /// Limits whose threshold event is in the set.
    @inlinable public var thresholds: LimitSet { LimitSet(rawValue: UInt8(rawValue & 0x1f)) }
    /// Limits whose reached event is in the set.
    @inlinable public var reached: LimitSet { LimitSet(rawValue: UInt8((rawValue &>> 5) & 0x1f)) }
}
