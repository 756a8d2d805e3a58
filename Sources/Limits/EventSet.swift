/// The events that one transition raises, and the alerts that a tenant's limits have raised.
///
/// Bits of a group are by `LimitKind.index`:
///
/// | group | event |
/// |---|---|
/// | 0 ... 3 | threshold reached: the first to the fourth |
/// | 4 | limit reached |
/// | 5 | limit reached, as a refusal that trips nothing |
/// | 6 | threshold reached, of the window that ended |
/// | 7 | limit reached, of the window that ended |
///
/// Bits 112 and 113: tenant suspended, tenant reinstated.
@frozen public struct EventSet: OptionSet, Sendable, Hashable {
    public var rawValue: UInt128
    @inlinable @inline(always) public init(rawValue: UInt128) { self.rawValue = rawValue }

    @inlinable public static var suspended: EventSet { EventSet(rawValue: 1 << 112) }
    @inlinable public static var reinstated: EventSet { EventSet(rawValue: 1 << 113) }

    /// A group of alerts, one for each limit.
    @frozen public enum Group: UInt8, Sendable, CaseIterable {
        case threshold = 0
        case secondThreshold = 1
        case thirdThreshold = 2
        case fourthThreshold = 3
        case reached = 4
        case refusal = 5
        case endedThreshold = 6
        case endedReached = 7

        /// How many are of windows that are open: the first ones.
        @inlinable @inline(always) static var latchedCount: Int { 6 }
        /// A bit for each of these.
        @inlinable @inline(always) static var latchedBits: UInt8 { 1 &<< UInt8(latchedCount) &- 1 }
        /// How many thresholds a limit may have: the first of them.
        @inlinable @inline(always) static var thresholdCount: Int { 4 }

        /// Those of windows that are open, which latches remember.
        public static let latched = Array(allCases.prefix(latchedCount))
        /// The thresholds, the first to the fourth.
        public static let thresholds = Array(allCases.prefix(thresholdCount))

        /// The threshold of a level, 0 ... 3.
        @inlinable public static func threshold(_ level: Int) -> Group {
            Group(rawValue: UInt8(truncatingIfNeeded: level & 3)) ?? .threshold
        }
        /// 0 ... 3; nil: no threshold of the window that is open.
        @inlinable public var level: Int? { rawValue < Self.thresholdCount ? Int(rawValue) : nil }
        @inlinable public var hasEnded: Bool { rawValue >= Self.latchedCount }
        @inlinable public var isThreshold: Bool {
            rawValue < Self.thresholdCount || self == .endedThreshold
        }

        @inlinable @inline(always) var shift: UInt128 {
            UInt128(rawValue) &* UInt128(LimitSet.capacity)
        }
    }

    /// One alert.
    @inlinable public init(_ group: Group, _ kind: LimitKind) {
        rawValue = UInt128(LimitSet(kind).rawValue) &<< group.shift
    }

    /// The alerts of a group.
    @inlinable public init(_ group: Group, _ limits: LimitSet) {
        rawValue = UInt128(limits.rawValue) &<< group.shift
    }

    /// A limit's alerts; bit `Group`.
    @inlinable public init(latched groups: UInt8, _ kind: LimitKind) {
        self = []
        for group in BitIndexes(groups & Group.latchedBits) {
            rawValue |=
                UInt128(LimitSet(kind).rawValue) &<< UInt128(group &* LimitSet.capacity)
        }
    }

    /// The alerts of a limit in windows that are open; bit `Group`.
    @inlinable public func latched(_ kind: LimitKind) -> UInt8 {
        var groups: UInt8 = 0
        for group in 0..<Group.latchedCount {
            let bit = rawValue &>> UInt128(group &* LimitSet.capacity &+ kind.index) & 1
            groups |= UInt8(truncatingIfNeeded: bit) &<< UInt8(truncatingIfNeeded: group)
        }
        return groups
    }

    /// The limits that a group has alerts of.
    @inlinable public func limits(_ group: Group) -> LimitSet {
        LimitSet(rawValue: UInt16(truncatingIfNeeded: rawValue &>> group.shift & 0x3fff))
    }

    @inlinable public func contains(_ group: Group, _ kind: LimitKind) -> Bool {
        limits(group).contains(kind)
    }

    @inlinable public mutating func insert(_ group: Group, _ kind: LimitKind) {
        formUnion(EventSet(group, kind))
    }

    /// Limits with a threshold event of the window that is open.
    public var thresholds: LimitSet {
        Group.thresholds.reduce(into: []) { $0.formUnion(limits($1)) }
    }
    /// Limits whose reached event is in the set.
    @inlinable public var reached: LimitSet { limits(.reached) }
    /// The same of the windows that ended.
    @inlinable public var endedThresholds: LimitSet { limits(.endedThreshold) }
    @inlinable public var endedReached: LimitSet { limits(.endedReached) }
    /// Limits that a request alone was too large for.
    @inlinable public var refusals: LimitSet { limits(.refusal) }

    /// All alerts of windows that are open of a set of limits: what their latches remember.
    @inlinable public static func alerts(of limits: LimitSet) -> EventSet {
        var all: EventSet = []
        for group in 0..<Group.latchedCount {
            all.rawValue |=
                UInt128(limits.rawValue)
                &<< UInt128(
                    truncatingIfNeeded: group &* LimitSet.capacity)
        }
        return all
    }

    /// The alerts of windows that are open: what latches remember.
    @inlinable public var latched: EventSet {
        // The lowest bits: the groups' numbers are the first.
        let bits = UInt128(truncatingIfNeeded: Group.latchedCount &* LimitSet.capacity)
        return EventSet(rawValue: rawValue & ~(~0 &<< bits))
    }

    /// One event of a set.
    public enum Single: Sendable, Equatable {
        case alert(Group, LimitKind)
        case suspended
        case reinstated

        /// Its bit: stable, tells the event from all others of its transition.
        public var number: Int {
            switch self {
            case .alert(let group, let kind):
                Int(group.rawValue) * LimitSet.capacity + kind.index
            case .suspended: 112
            case .reinstated: 113
            }
        }
    }

    /// The events in the order in which they count as raised: of windows that ended, thresholds, reached, a refusal,
    /// suspended, reinstated.
    public var events: [Single] {
        guard !isEmpty else { return [] }
        let groups: [Group] = [.endedThreshold, .endedReached] + Group.latched
        var events = groups.flatMap { group in
            LimitKind.allCases.filter { contains(group, $0) }.map { Single.alert(group, $0) }
        }
        if contains(.suspended) { events.append(.suspended) }
        if contains(.reinstated) { events.append(.reinstated) }
        return events
    }
}
