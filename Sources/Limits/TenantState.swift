/// Everything about a tenant that a decision may depend on. Plain words: copied, never shared.
@frozen public struct TenantState: Sendable {
    /// One higher with every transition; the journal orders by it.
    public var version: UInt64
    /// Charged in the present window, or in being (standing counts), by counter. Never negative.
    public var committed: InlineArray<8, Int64>
    /// Held by open reservations of the present window. Never negative.
    public var held: InlineArray<8, Int64>
    /// -1: no limit.
    public var caps: InlineArray<8, Int64>
    /// Where the present billing cycle and the present day in the tenant's zone begin.
    public var starts: WindowStarts
    /// Where they end, Unix milliseconds.
    public var cycleEnd: Int64
    public var dayEnd: Int64
    /// `raised`, and in the upper 32 bits `percentEpoch`.
    public var latches: UInt128
    /// Everything smaller than a word; see the accessors. One word, so that a copy costs one move.
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0 ... 1 | status |
    /// | 2 ... 3 | on_limit |
    /// | 4, 5 | auto-suspend, discloses limits |
    /// | 6 | the suspension came from usage |
    /// | 7 | ends holds |
    /// | 8 ... 35 | alert thresholds, percent, 7 bits each; 0: none |
    /// | 36 ... 50 | billing schedule |
    public var flags: UInt64

    @inlinable @inline(always) public init() {
        version = 0
        committed = InlineArray(repeating: 0)
        held = InlineArray(repeating: 0)
        caps = InlineArray(repeating: -1)
        starts = WindowStarts()
        cycleEnd = 0
        dayEnd = 0
        latches = 0
        flags = UInt64(TenantStatus.active.rawValue) | 80 << 8
    }

    @inlinable static var epochBit: UInt128 { 96 }
    /// Alerts that were raised in their window and setting: they are not raised again.
    public var raised: EventSet {
        @inlinable @inline(always) get { EventSet(rawValue: latches & ~(~0 &<< Self.epochBit)) }
        @inlinable @inline(always) set {
            latches = latches & (~0 &<< Self.epochBit) | newValue.latched.rawValue
        }
    }
    /// Incremented whenever the thresholds change: alerts that a profile raised under an earlier one are re-armed.
    public var percentEpoch: UInt32 {
        @inlinable @inline(always) get { UInt32(truncatingIfNeeded: latches &>> Self.epochBit) }
        @inlinable @inline(always) set {
            latches = raised.rawValue | UInt128(newValue) &<< Self.epochBit
        }
    }

    /// Unix milliseconds.
    public var cycleStart: Int64 {
        @inlinable get { starts.cycle }
        @inlinable set { starts.cycle = newValue }
    }
    public var dayStart: Int64 {
        @inlinable get { starts.day }
        @inlinable set { starts.day = newValue }
    }

    public var status: TenantStatus {
        @inlinable @inline(always) get {
            TenantStatus(rawValue: UInt8(truncatingIfNeeded: max(flags & 3, 1))) ?? .active
        }
        @inlinable @inline(always) set { flags = flags & ~3 | UInt64(newValue.rawValue) }
    }
    public var onLimit: OnLimit {
        @inlinable @inline(always) get {
            switch flags &>> 2 & 3 {
            case 1: .block
            case 2: .alert
            default: .auto
            }
        }
        @inlinable @inline(always) set {
            flags = flags & ~(3 << 2) | UInt64(newValue.rawValue) &<< 2
        }
    }
    public var autoSuspend: Bool {
        @inlinable @inline(always) get { flags & 1 << 4 != 0 }
        @inlinable @inline(always) set { flags = flags & ~(1 << 4) | (newValue ? 1 << 4 : 0) }
    }
    /// Tenant tokens may see caps and codes.
    public var disclosesLimits: Bool {
        @inlinable @inline(always) get { flags & 1 << 5 != 0 }
        @inlinable @inline(always) set { flags = flags & ~(1 << 5) | (newValue ? 1 << 5 : 0) }
    }
    /// Of a suspended tenant: usage brought a limit to its cap; neither an operator nor a refusal did it.
    public var suspendedByUsage: Bool {
        @inlinable @inline(always) get { flags & 1 << 6 != 0 }
        @inlinable @inline(always) set { flags = flags & ~(1 << 6) | (newValue ? 1 << 6 : 0) }
    }
    /// An operator has suspended or deleted the tenant: its holds end, and none of them is charged.
    public var endsHolds: Bool {
        @inlinable @inline(always) get { flags & 1 << 7 != 0 }
        @inlinable @inline(always) set { flags = flags & ~(1 << 7) | (newValue ? 1 << 7 : 0) }
    }
    /// An alert threshold, percent, 1 ... 100; 0: there is none at that level, 0 ... 3.
    @inlinable @inline(always) public func threshold(_ level: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: flags &>> UInt64(truncatingIfNeeded: 8 &+ 7 &* level) & 0x7f)
    }
    @inlinable public mutating func setThreshold(_ level: Int, _ percent: UInt8) {
        let shift = UInt64(truncatingIfNeeded: 8 &+ 7 &* level)
        flags = flags & ~(0x7f &<< shift) | UInt64(percent & 0x7f) &<< shift
    }
    /// Sets all thresholds, the first to the fourth; false: nothing changed.
    mutating func setThresholds(_ percents: [UInt8]) -> Bool {
        let before = flags
        for level in EventSet.Group.thresholds.indices {
            setThreshold(level, level < percents.count ? percents[level] : 0)
        }
        return flags != before
    }
    /// Whether there is more than one threshold.
    @inlinable @inline(always) public var hasFurtherThresholds: Bool {
        flags & 0xf_ffff_8000 != 0
    }
    /// The billing schedule in force, an index that the shell understands, below 2^15.
    public var schedule: UInt32 {
        @inlinable @inline(always) get { UInt32(truncatingIfNeeded: flags &>> 36) & 0x7fff }
        @inlinable @inline(always) set {
            flags = flagsWithoutSchedule | UInt64(newValue & 0x7fff) &<< 36
        }
    }
    /// What of `flags` means something in another process too.
    public var flagsWithoutSchedule: UInt64 {
        @inlinable @inline(always) get { flags & ~(0x7fff << 36) }
    }
    /// Whether a counter's limit refuses (semantics §4, the table and `on_limit`).
    @inlinable @inline(always) public func blocks(_ counter: Int, _ rules: LimitRules)
        -> Bool
    {
        switch onLimit {
        case .auto: autoSuspend || !rules.blocksOnlyWithAutoSuspend.hasBit(counter)
        case .block: true
        case .alert: false
        }
    }

    /// Whether a tripped limit that may suspend the tenant does.
    @inlinable @inline(always) public var suspendsWhenTripped: Bool {
        autoSuspend && onLimit != .alert
    }

    /// Starts a billing cycle: its totals, and the alerts of all limits but those of the day, begin anew.
    @inlinable public mutating func openCycle(start: Int64, end: Int64, _ rules: LimitRules) {
        clear(rules.cyclic)
        rearm(rules.cyclic | rules.standing, rules)
        cycleStart = start
        cycleEnd = end
    }

    /// Starts a day in the tenant's zone: its totals and alerts begin anew.
    @inlinable public mutating func openDay(start: Int64, end: Int64, _ rules: LimitRules) {
        clear(rules.daily)
        rearm(rules.daily, rules)
        dayStart = start
        dayEnd = end
    }

    @inlinable mutating func clear(_ counters: UInt8) {
        for counter in BitIndexes(counters) {
            committed[counter] = 0
            held[counter] = 0
        }
    }

    /// Has the alerts of some counters' limits be raised anew.
    @inlinable public mutating func rearm(_ counters: UInt8, _ rules: LimitRules) {
        guard !raised.isEmpty else { return }
        for counter in BitIndexes(counters) where counter < LimitKind.counterCount {
            raised.subtract(.alerts(of: LimitSet(rules.kind(of: counter))))
        }
    }

    /// A counter's limit as callers see it.
    @inlinable public func limitState(_ counter: Int, _ rules: LimitRules) -> LimitState {
        var state = LimitState()
        state.cap = caps[counter] < 0 ? nil : caps[counter]
        state.committed = committed[counter]
        state.held = held[counter]
        if rules.cyclic.hasBit(counter) {
            state.windowStart = cycleStart
            state.resetsAt = cycleEnd
        } else if rules.daily.hasBit(counter) {
            state.windowStart = dayStart
            state.resetsAt = dayEnd
        }
        state.blocking = caps[counter] >= 0 && blocks(counter, rules)
        return state
    }

    /// Counters whose window, of those that a segment was held in, is open: what settles changes them. (`inout` only so that
    /// the segment is not copied.)
    @inlinable @inline(always)
    public func openCounters(
        of segment: inout HoldSegment, _ rules: LimitRules
    ) -> UInt8 {
        var open = rules.standing
        let apart = segment.starts.word ^ starts.word
        if apart & 0xffff_ffff == 0 { open |= rules.cyclic }
        if apart &>> 32 == 0 { open |= rules.daily }
        return open & segment.counters
    }
}

/// A profile's daily spend. Owned by one tenant; changes only by that tenant's transitions.
@frozen public struct ProfileState: Sendable {
    /// Nano-USD; -1: none.
    public var cap: Int64
    public var committed: Int64
    public var held: Int64
    /// The UTC day that the totals belong to, Unix milliseconds.
    public var dayStart: Int64
    public var kind: ProfileKind
    public var enabled: Bool
    public var closed: Bool
    /// Alerts that were raised: bit `EventSet.Group`, of those of windows that are open.
    public var raised: UInt8
    /// The tenant's `percentEpoch` in which the alerts were raised.
    public var percentEpoch: UInt32

    @inlinable @inline(always) public init() {
        cap = -1
        committed = 0
        held = 0
        dayStart = 0
        kind = .messaging
        enabled = false
        closed = false
        raised = 0
        percentEpoch = 0
    }

    /// Everything smaller than a word.
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0, 1 | enabled, closed |
    /// | 2 ... 7 | alerts that were raised |
    /// | 8 ... 15 | kind |
    /// | 32 ... 63 | percent epoch |
    public var flags: UInt64 {
        @inlinable @inline(always) get {
            (enabled ? 1 : 0) | (closed ? 2 : 0) | UInt64(raised & EventSet.Group.latchedBits) &<< 2
                | UInt64(kind.rawValue) &<< 8 | UInt64(percentEpoch) &<< 32
        }
        @inlinable @inline(always) set {
            enabled = newValue & 1 != 0
            closed = newValue & 2 != 0
            raised = UInt8(truncatingIfNeeded: newValue &>> 2) & EventSet.Group.latchedBits
            kind = ProfileKind(rawValue: UInt8(truncatingIfNeeded: newValue &>> 8)) ?? .messaging
            percentEpoch = UInt32(truncatingIfNeeded: newValue &>> 32)
        }
    }

    @inlinable @inline(always) public func hasRaised(_ group: EventSet.Group) -> Bool {
        raised.hasBit(Int(group.rawValue))
    }

    /// Has its alerts be raised anew.
    @inlinable public mutating func rearm() { raised = 0 }

    /// Adopts the tenant's present thresholds; changed ones re-arm the alerts.
    @inlinable @inline(always) public mutating func follow(percentEpoch epoch: UInt32) {
        guard percentEpoch != epoch else { return }
        percentEpoch = epoch
        rearm()
    }

    @inlinable @inline(always) public static var dayLength: Int64 { 86_400_000 }

    /// The first millisecond of the UTC day that holds an instant.
    @inlinable @inline(always) public static func dayStart(of now: Int64) -> Int64 {
        now - now % dayLength
    }

    /// Starts the UTC day.
    @inlinable @inline(always) public mutating func openDay(_ start: Int64) {
        committed = 0
        held = 0
        rearm()
        dayStart = start
    }

    @inlinable public var limitState: LimitState {
        var state = LimitState()
        state.cap = cap < 0 ? nil : cap
        state.committed = committed
        state.held = held
        state.windowStart = dayStart
        state.resetsAt = dayStart + Self.dayLength
        state.blocking = enabled && cap >= 0
        return state
    }
}

/// Where a tenant's windows begin. They begin with a second: one word is enough, as long as Unix seconds have 32 bits.
@frozen public struct WindowStarts: Sendable, Equatable {
    /// Unix seconds: cycle, day << 32.
    public var word: UInt64

    @inlinable @inline(always) public init(word: UInt64 = 0) { self.word = word }

    @inlinable public init(cycle: Int64, day: Int64) {
        self.init()
        self.cycle = cycle
        self.day = day
    }

    /// The billing cycle, Unix milliseconds.
    public var cycle: Int64 {
        @inlinable get { Int64(word & 0xffff_ffff) &* 1_000 }
        @inlinable set {
            word = word & ~0xffff_ffff | Self.seconds(newValue)
        }
    }
    /// The day in the tenant's zone, Unix milliseconds.
    public var day: Int64 {
        @inlinable get { Int64(word &>> 32) &* 1_000 }
        @inlinable set {
            word = word & 0xffff_ffff | Self.seconds(newValue) &<< 32
        }
    }

    /// Whether a window may begin at an instant, Unix milliseconds: what comes from a disk must be asked.
    public static func mayBegin(at instant: Int64) -> Bool {
        instant >= 0 && instant % 1_000 == 0 && instant / 1_000 <= Int64(UInt32.max)
    }

    @usableFromInline static func seconds(_ instant: Int64) -> UInt64 {
        precondition(mayBegin(at: instant), "a window begins with a second between 1970 and 2106")
        return UInt64(instant / 1_000)
    }
}

/// What a reservation holds in one set of windows: Extend may add room after a rollover.
@frozen public struct HoldSegment: Sendable, Equatable {
    public var amounts: Amounts
    /// The tenant's counters that it is held in: limits that were added since do not know of it.
    public var counters: UInt8
    /// Where the profile's UTC day begins, Unix milliseconds; 0: no profile.
    public var dayStart: Int64
    /// Where the tenant's windows begin.
    public var starts: WindowStarts

    @inlinable @inline(always) public init(
        amounts: Amounts, counters: UInt8 = .max, dayStart: Int64, starts: WindowStarts
    ) {
        self.amounts = amounts
        self.counters = counters
        self.dayStart = dayStart
        self.starts = starts
    }

    /// Whether both count in the same totals, so that they may be one. Windows in which neither counts do not matter; a
    /// resource that both hold must count in the same counters, which it does not if a limit was added in between.
    @inlinable public func mayJoin(_ other: HoldSegment, _ rules: LimitRules) -> Bool {
        let all = counters | other.counters
        let apart = starts.word ^ other.starts.word
        guard dayStart == other.dayStart,
            apart & 0xffff_ffff == 0 || all & rules.cyclic == 0,
            apart &>> 32 == 0 || all & rules.daily == 0
        else { return false }
        let differing = counters ^ other.counters
        for resource in BitIndexes(amounts.present & other.amounts.present)
        where differing & rules.counters(of: resource) != 0 {
            return false
        }
        return true
    }

    /// Nothing.
    @inlinable public static var none: HoldSegment {
        HoldSegment(amounts: Amounts(), counters: 0, dayStart: 0, starts: WindowStarts())
    }
}

/// An open or expired reservation, as far as settling it depends on it.
@frozen public struct HoldState: Sendable {
    /// Oldest first.
    public var first: HoldSegment
    /// Further segments, `moreCount` of them.
    public var more: InlineArray<3, HoldSegment>
    public var moreCount: Int
    public var createdAt: Int64
    public var expiresAt: Int64
    /// action | onExpiry << 8 | overage << 16; see the accessors.
    public var policy: UInt64
    public var hasProfile: Bool

    @inlinable public var action: Action {
        Action(rawValue: UInt8(truncatingIfNeeded: policy)) ?? .unspecified
    }
    @inlinable public var onExpiry: ExpiryPolicy {
        UInt8(truncatingIfNeeded: policy &>> 8) == ExpiryPolicy.commit.rawValue
            ? .commit : .release
    }
    @inlinable public var overage: OveragePolicy {
        OveragePolicy(rawValue: UInt8(truncatingIfNeeded: policy &>> 16)) ?? .record
    }

    @inlinable public static func policy(
        _ action: Action, _ onExpiry: ExpiryPolicy, _ overage: OveragePolicy
    ) -> UInt64 {
        UInt64(action.rawValue) | UInt64(onExpiry.rawValue) &<< 8
            | UInt64(overage.rawValue) &<< 16
    }

    /// Segments a reservation may have: sets of windows within its life.
    @inlinable public static var maxSegments: Int { 4 }

    @inlinable public init(first: HoldSegment) {
        self.first = first
        more = InlineArray(repeating: .none)
        moreCount = 0
        createdAt = 0
        expiresAt = 0
        policy = Self.policy(.unspecified, .release, .record)
        hasProfile = false
    }

    @inlinable public var segmentCount: Int { moreCount + 1 }
    // By cases: an index that is not known in advance would copy the whole array.
    @inlinable public subscript(segment: Int) -> HoldSegment {
        get {
            switch segment {
            case 0: first
            case 1: more[0]
            case 2: more[1]
            default: more[2]
            }
        }
        set {
            switch segment {
            case 0: first = newValue
            case 1: more[0] = newValue
            case 2: more[1] = newValue
            default: more[2] = newValue
            }
        }
    }

    /// What is held in all segments together.
    @inlinable public var total: Amounts {
        var sum = first.amounts
        for segment in 1..<segmentCount {
            let amounts = self[segment].amounts
            for resource in amounts.resources {
                sum.set(resource, sum[resource] + amounts[resource])
            }
        }
        return sum
    }
}
