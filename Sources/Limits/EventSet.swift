/// The events that one transition raises, five bits by `LimitKind.index` for each of the first lines but the second.
///
/// | bits | event |
/// |---|---|
/// | 0 ... 4 | threshold reached |
/// | 5 ... 9 | limit reached |
/// | 10, 11 | tenant suspended, tenant reinstated |
/// | 12 ... 16 | threshold reached, of the window that ended |
/// | 17 ... 21 | limit reached, of the window that ended |
/// | 22 ... 26 | limit reached, as a refusal that trips nothing |
@frozen public struct EventSet: OptionSet, Sendable, Hashable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable public static var suspended: EventSet { EventSet(rawValue: 1 << 10) }
    @inlinable public static var reinstated: EventSet { EventSet(rawValue: 1 << 11) }

    @inlinable public static func threshold(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt32(truncatingIfNeeded: index))
    }
    @inlinable public static func reached(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt32(truncatingIfNeeded: index &+ 5))
    }
    @inlinable public static func endedThreshold(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt32(truncatingIfNeeded: index &+ 12))
    }
    @inlinable public static func endedReached(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt32(truncatingIfNeeded: index &+ 17))
    }
    @inlinable public static func refusal(_ index: Int) -> EventSet {
        EventSet(rawValue: 1 &<< UInt32(truncatingIfNeeded: index &+ 22))
    }

    /// Limits whose threshold event is in the set.
    @inlinable public var thresholds: LimitSet { limits(from: 0) }
    /// Limits whose reached event is in the set.
    @inlinable public var reached: LimitSet { limits(from: 5) }
    /// The same of the windows that ended.
    @inlinable public var endedThresholds: LimitSet { limits(from: 12) }
    @inlinable public var endedReached: LimitSet { limits(from: 17) }
    /// Limits that a request alone was too large for.
    @inlinable public var refusals: LimitSet { limits(from: 22) }

    /// The alerts of a messaging profile's limit in the window that is open: its latches remember them.
    @inlinable public static var profileAlerts: EventSet {
        let index = LimitKind.profileDailySpend.index
        return [.threshold(index), .reached(index), .refusal(index)]
    }

    @inlinable func limits(from bit: UInt32) -> LimitSet {
        LimitSet(rawValue: UInt8(truncatingIfNeeded: rawValue &>> bit & 0x1f))
    }

    /// The numbers of the bits in the order in which they count as raised: what ended, threshold, reached, a refusal,
    /// suspended.
    public static let order: [Int] =
        Array(12..<22) + Array(0..<10) + Array(22..<27) + [10, 11]
}
