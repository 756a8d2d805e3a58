/// What happened: one operation with all its effects. The journal keeps it; `Transition.apply` plays it back.
///
/// Together with the state before it a record says everything that the table remembers of an operation: counters,
/// windows, alerts, status, the reservation, and the answer that a retry gets.
@frozen public struct Record {
    /// What an operation was. Raw values stand in the journal and never change their meaning.
    @frozen public enum Kind: UInt8, Sendable, CaseIterable {
        case tenantCreated = 1
        case tenantChanged = 2
        case tenantClosed = 3
        case profileCreated = 4
        case profileChanged = 5
        case profileClosed = 6
        case tenantSuspended = 7
        case tenantReinstated = 8
        /// A setting of the whole service; belongs to no tenant.
        case settingChanged = 9
        /// The time, which a later start goes back behind no more; belongs to no tenant.
        case time = 10
        case reserved = 16
        case charged = 17
        /// A denial that changed something: an alert, a suspension, a remembered answer.
        case denied = 18
        case committed = 19
        case released = 20
        case extended = 21
        case extensionDenied = 22
        case usageRecorded = 23
        case expired = 24
        case expiredCharged = 25
        case committedLate = 26
        /// A charge whose caller had gone was taken back.
        case reversed = 27
        /// A settled reservation is no longer remembered.
        case forgotten = 28
        /// Released after it had expired: no usage may be recorded for it any more.
        case releasedLate = 29
        /// A start went on at an earlier time: a window that had not begun, and what counts in it, was moved to the one
        /// that holds the time. `openedCycleStart` and `openedDay` say where to; nothing begins anew.
        case windowsMoved = 30
        /// The same of the windows that a reservation is in. The text is little-endian words: the number of its segments,
        /// then of each the cycle, the tenant's day and the profile's day.
        case holdMoved = 31
        /// An operator set counts to what they are; recorded as the difference.
        case countsReconciled = 32
        /// A window ended at a threshold or a cap, and nothing happened in the one that followed: the end was judged by
        /// itself.
        case windowsEnded = 33
        /// Refusals of a tenant that were alike, counted; they changed nothing. Stands outside of the order of the
        /// tenant's versions.
        case refusals = 48
    }

    /// How many refusals a record of that kind stands for.
    @frozen public struct Count: Sendable, Equatable {
        /// All of them.
        public var all: UInt64
        /// Those that raised nothing and so are on no record of their own; `first` and `last` are theirs, Unix milliseconds,
        /// as are what was asked, the caller and the reference, which are the first one's.
        public var quiet: UInt64
        public var first: Int64
        public var last: Int64

        public init(all: UInt64 = 0, quiet: UInt64 = 0, first: Int64 = 0, last: Int64 = 0) {
            self.all = all
            self.quiet = quiet
            self.first = first
            self.last = last
        }
    }

    public var kind: Kind
    /// The tenant's number: its place in the table.
    public var tenant: UInt32
    /// The profile's number, or nil.
    public var profile: UInt32?
    /// The tenant's version after the operation; of a setting: its own count.
    public var version: UInt64
    /// Engine time, Unix milliseconds.
    public var time: Int64
    /// By how much engine time was ahead of life time, milliseconds.
    public var lead: Int64
    public var transition: Transition
    /// The tenant's cycle after the operation, where it opened one; else 0 ... 0.
    public var openedCycleStart: Int64
    public var openedCycleEnd: Int64
    /// The tenant's day after the operation, where it opened one; else 0 ... 0.
    public var openedTenantDayStart: Int64
    public var openedTenantDayEnd: Int64
    /// The profile's UTC day, where the operation opened one; else 0.
    public var openedDay: Int64
    /// 0: none.
    public var reservationID: UInt64
    /// The reservation's expiry after the operation, Unix milliseconds; 0: none.
    public var expiresAt: Int64
    public var action: Action
    public var mode: Mode
    /// Of a late commit and of what is no longer remembered: `commit` where the hold had been charged at its expiry.
    public var onExpiry: ExpiryPolicy
    public var overage: OveragePolicy
    /// What was asked for. Of a commit: empty where it was what was held.
    public var asked: Amounts
    /// Of a commit with `OveragePolicy.cap` that could not charge all that was asked: what it charged; else empty.
    public var charged: Amounts
    /// The answer, as far as a retry gets it again.
    public var decision: Decision
    public var treatment: Treatment
    public var tenantStatus: TenantStatus
    public var refusedBySuspension: Bool
    public var refused: LimitSet
    public var warnings: LimitSet
    /// Charges to windows that were over: for the books.
    public var closed: ClosedCharges
    /// The key's 128-bit keyed hash and the content's hash; all 0: no key.
    public var keyHigh: UInt64
    public var keyLow: UInt64
    public var contentHash: UInt64
    /// Until when the key is remembered, Unix milliseconds.
    public var keyUntil: Int64
    /// Who asked: the number of its access token; 0: nobody did, or nobody was asked who they are.
    public var caller: UInt64
    /// The trace that the operation was a part of, as far as the service knows it; nil: none.
    public var trace: TraceID?
    /// Of what changes a reservation: the quarter of an hour in which that was made, as its first instant, Unix
    /// milliseconds, for the books; else 0. The journal keeps it where a day of some time zone may have begun since.
    public var takenAt: Int64
    /// Of refusals; else all 0.
    public var count: Count
    /// The caller's own id of the operation; of a configuration change: the settings, encoded; of a suspension or
    /// reinstatement: the operator's reason. At most `longestText` bytes. Borrowed, valid while the record is handed
    /// over.
    public var text: BorrowedBytes

    /// Bytes.
    @inlinable public static var longestText: Int { 6_144 }

    public init(_ kind: Kind) {
        self.kind = kind
        tenant = 0
        profile = nil
        version = 0
        time = 0
        lead = 0
        transition = Transition()
        openedCycleStart = 0
        openedCycleEnd = 0
        openedTenantDayStart = 0
        openedTenantDayEnd = 0
        openedDay = 0
        reservationID = 0
        expiresAt = 0
        action = .unspecified
        mode = .reserve
        onExpiry = .release
        overage = .record
        asked = Amounts()
        charged = Amounts()
        decision = .allowed
        treatment = .none
        tenantStatus = .active
        refusedBySuspension = false
        refused = []
        warnings = []
        closed = ClosedCharges()
        keyHigh = 0
        keyLow = 0
        contentHash = 0
        keyUntil = 0
        caller = 0
        trace = nil
        takenAt = 0
        count = Count()
        text = BorrowedBytes(start: nil, count: 0)
    }

    /// Windows of all time zones begin with one, milliseconds: their offsets are made of them.
    @inlinable @inline(always) public static var quarter: Int64 { 900_000 }

    /// Whether a day may have begun, in any time zone, between `takenAt` and the record.
    @inlinable public var isOfAnotherDay: Bool {
        takenAt != 0 && UInt64(bitPattern: time &- takenAt) >= UInt64(bitPattern: Self.quarter)
    }

    /// The operation opened no window.
    @inlinable @inline(always) public mutating func opensNothing() {
        openedCycleStart = 0
        openedCycleEnd = 0
        openedTenantDayStart = 0
        openedTenantDayEnd = 0
        openedDay = 0
    }

    /// Binds the record to no key.
    @inlinable @inline(always) public mutating func forgetKey() {
        keyHigh = 0
        keyLow = 0
        contentHash = 0
        keyUntil = 0
    }

    /// Life time, Unix milliseconds: what expiries and memories count by.
    @inlinable public var life: Int64 { time &- lead }

    @inlinable public var hasKey: Bool { keyHigh | keyLow != 0 }

    /// What `asked` is unless the record says otherwise: what the operation added.
    @inlinable public func added(_ rules: LimitRules) -> Amounts {
        switch kind {
        case .reserved, .extended: Transition.amounts(transition.held, rules)
        case .charged, .usageRecorded, .countsReconciled:
            Transition.amounts(transition.committed, rules)
        default: Amounts()
        }
    }

    /// `Mode.partial`: what was granted of each quantity asked for; else empty.
    @inlinable public func granted(_ rules: LimitRules) -> Amounts {
        guard mode == .partial, decision == .allowed else { return Amounts() }
        var granted = asked
        for resource in granted.resources {
            granted[resource] = transition.held[rules.mainCounter(of: resource)]
        }
        return granted
    }
}
