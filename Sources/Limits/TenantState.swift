/// Everything about a tenant that a decision may depend on. Plain words: copied, never shared.
@frozen public struct TenantState: Sendable {
    /// One higher with every transition; the journal orders by it.
    public var version: UInt64
    /// Charged in the present window (cycle limits) or in being (counts), by `Resource.index`. Never negative.
    public var committed: InlineArray<4, Int64>
    /// Held by open reservations of the present window. Never negative.
    public var held: InlineArray<4, Int64>
    /// -1: no limit.
    public var caps: InlineArray<4, Int64>
    /// Present billing cycle, Unix milliseconds, `cycleStart ..< cycleEnd`.
    public var cycleStart: Int64
    public var cycleEnd: Int64
    /// Everything smaller than a word; see the accessors. One word, so that a copy costs one move.
    ///
    /// | bits | meaning |
    /// |---|---|
    /// | 0 ... 1 | status |
    /// | 2 ... 3 | on_limit |
    /// | 4, 5 | auto-suspend, discloses limits |
    /// | 6 | the suspension came from usage |
    /// | 8 ... 14 | alert threshold, percent |
    /// | 16 ... 19 | threshold raised, by resource |
    /// | 20 ... 23 | limit reached raised, by resource |
    /// | 24 ... 31, 51 ... 62 | percent epoch, low and high part |
    /// | 32 ... 35 | a refusal that trips nothing raised, by resource |
    /// | 36 ... 50 | billing schedule |
    /// | 63 | ends holds |
    public var flags: UInt64

    @inlinable @inline(always) public init() {
        version = 0
        committed = [0, 0, 0, 0]
        held = [0, 0, 0, 0]
        caps = [-1, -1, -1, -1]
        cycleStart = 0
        cycleEnd = 0
        flags = UInt64(TenantStatus.active.rawValue) | 80 << 8
    }

    public var status: TenantStatus {
        @inlinable @inline(always) get {
            switch flags & 3 {
            case 2: .suspended
            case 3: .closed
            default: .active
            }
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
    /// 1 ... 100.
    public var thresholdPercent: UInt8 {
        @inlinable @inline(always) get { UInt8(truncatingIfNeeded: flags &>> 8 & 0x7f) }
        @inlinable @inline(always) set {
            flags = flags & ~(0x7f << 8) | UInt64(newValue & 0x7f) &<< 8
        }
    }
    /// Raised already in this window and setting, bit `Resource.index`.
    public var thresholdRaised: UInt8 {
        @inlinable @inline(always) get { UInt8(truncatingIfNeeded: flags &>> 16 & 0xf) }
        @inlinable @inline(always) set {
            flags = flags & ~(0xf << 16) | UInt64(newValue & 0xf) &<< 16
        }
    }
    public var reachedRaised: UInt8 {
        @inlinable @inline(always) get { UInt8(truncatingIfNeeded: flags &>> 20 & 0xf) }
        @inlinable @inline(always) set {
            flags = flags & ~(0xf << 20) | UInt64(newValue & 0xf) &<< 20
        }
    }
    /// One further with every change of the percent: profiles raised their alerts under it, or anew.
    ///
    /// 20 bits: a profile that nothing happens to for so many changes of the percent, in one day, misses them.
    public var percentEpoch: UInt32 {
        @inlinable @inline(always) get {
            UInt32(truncatingIfNeeded: flags &>> 24 & 0xff | (flags &>> 51 & 0xfff) &<< 8)
        }
        @inlinable @inline(always) set {
            let low = UInt64(newValue) & 0xff
            let high = UInt64(newValue) &>> 8 & 0xfff
            flags = flags & ~(0xff << 24 | 0xfff << 51) | low &<< 24 | high &<< 51
        }
    }
    /// An alert for a refusal that trips nothing was raised; a latch of its own.
    public var refusalRaised: UInt8 {
        @inlinable @inline(always) get { UInt8(truncatingIfNeeded: flags &>> 32 & 0xf) }
        @inlinable @inline(always) set {
            flags = flags & ~(0xf << 32) | UInt64(newValue & 0xf) &<< 32
        }
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
    /// An operator has suspended or deleted the tenant: its holds end, and none of them is charged.
    public var endsHolds: Bool {
        @inlinable @inline(always) get { flags &>> 63 != 0 }
        @inlinable @inline(always) set {
            flags = flags & 0x7fff_ffff_ffff_ffff | (newValue ? 1 &<< 63 : 0)
        }
    }

    /// Whether the tenant's limit on a resource refuses (semantics §4, the table and `on_limit`).
    @inlinable @inline(always) public func blocks(_ resource: Int, _ rules: LimitRules) -> Bool {
        switch onLimit {
        case .auto: autoSuspend || !rules.blocksOnlyWithAutoSuspend.hasBit(resource)
        case .block: true
        case .alert: false
        }
    }

    /// Whether a tripped limit suspends the tenant.
    @inlinable @inline(always) public var suspendsWhenTripped: Bool {
        autoSuspend && onLimit != .alert
    }

    /// Starts a billing cycle: totals of the cycle limits and all alert latches begin anew.
    @inlinable @inline(always) public mutating func openCycle(
        start: Int64, end: Int64, _ rules: LimitRules
    ) {
        forEachResourceIndex { resource in
            guard rules.cyclic.hasBit(resource) else { return }
            committed[resource] = 0
            held[resource] = 0
        }
        rearm(0xf)
        cycleStart = start
        cycleEnd = end
    }

    /// Has the alerts of some resources' limits be raised anew.
    @inlinable public mutating func rearm(_ resources: UInt8) {
        thresholdRaised &= ~resources
        reachedRaised &= ~resources
        refusalRaised &= ~resources
    }

    /// The limit on a resource as callers see it.
    @inlinable public func limitState(_ resource: Int, _ rules: LimitRules) -> LimitState {
        var state = LimitState()
        state.cap = caps[resource] < 0 ? nil : caps[resource]
        state.committed = committed[resource]
        state.held = held[resource]
        if rules.cyclic.hasBit(resource) {
            state.windowStart = cycleStart
            state.resetsAt = cycleEnd
        }
        state.blocking = caps[resource] >= 0 && blocks(resource, rules)
        return state
    }
}

/// A messaging profile's daily spend. Owned by one tenant; changes only by that tenant's transitions.
@frozen public struct ProfileState: Sendable {
    /// Nano-USD; -1: none.
    public var cap: Int64
    public var committed: Int64
    public var held: Int64
    /// The UTC day that the totals belong to, Unix milliseconds.
    public var dayStart: Int64
    public var enabled: Bool
    public var closed: Bool
    public var thresholdRaised: Bool
    public var reachedRaised: Bool
    public var refusalRaised: Bool
    /// The tenant's `percentEpoch` in which the alerts were raised.
    public var percentEpoch: UInt32

    @inlinable @inline(always) public init() {
        cap = -1
        committed = 0
        held = 0
        dayStart = 0
        enabled = false
        closed = false
        thresholdRaised = false
        reachedRaised = false
        refusalRaised = false
        percentEpoch = 0
    }

    /// Has its alerts be raised anew.
    @inlinable public mutating func rearm() {
        thresholdRaised = false
        reachedRaised = false
        refusalRaised = false
    }

    /// Takes over the percent that the tenant has now; a changed one re-arms the alerts.
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

/// What a reservation holds in one pair of windows: Extend may add room after a rollover.
@frozen public struct HoldSegment: Sendable, Equatable {
    public var amounts: Amounts
    public var dayStart: Int64
    public var cycleStart: Int64

    @inlinable @inline(always) public init(amounts: Amounts, dayStart: Int64, cycleStart: Int64) {
        self.amounts = amounts
        self.dayStart = dayStart
        self.cycleStart = cycleStart
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

    /// Segments a reservation may have: pairs of windows within its life.
    @inlinable public static var maxSegments: Int { 4 }

    @inlinable public init(first: HoldSegment) {
        self.first = first
        more = InlineArray(
            repeating: HoldSegment(amounts: Amounts(), dayStart: 0, cycleStart: 0))
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
