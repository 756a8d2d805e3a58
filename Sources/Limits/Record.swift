/// What happened: one operation with all its effects. The journal keeps it; `Transition.apply` plays it back.
@frozen public struct Record {
    /// What an operation was.
    @frozen public enum Kind: UInt8, Sendable, CaseIterable {
        case tenantCreated = 1
        case tenantChanged = 2
        case tenantClosed = 3
        case profileCreated = 4
        case profileChanged = 5
        case profileClosed = 6
        case tenantSuspended = 7
        case tenantReinstated = 8
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
    }

    public var kind: Kind
    /// The tenant's number: its place in the table.
    public var tenant: UInt32
    /// The profile's number, or nil.
    public var profile: UInt32?
    /// The tenant's version after the operation.
    public var version: UInt64
    /// Engine time, Unix milliseconds.
    public var time: Int64
    public var transition: Transition
    /// The tenant's cycle after the operation, where it opened one; else 0 ... 0.
    public var openedCycleStart: Int64
    public var openedCycleEnd: Int64
    /// The profile's UTC day, where the operation opened one; else 0.
    public var openedDay: Int64
    /// 0: none.
    public var reservationID: UInt64
    public var expiresAt: Int64
    public var action: Action
    /// What was asked of the limits, or charged.
    public var amounts: Amounts
    public var refused: LimitSet
    /// Charges to windows that were over: for the books.
    public var closed: ClosedCharges
    /// The key's 128-bit keyed hash and the content's hash; all 0: no key.
    public var keyHigh: UInt64
    public var keyLow: UInt64
    public var contentHash: UInt64
    /// The caller's own id; borrowed, valid while the record is handed over.
    public var reference: BorrowedBytes

    public init(_ kind: Kind) {
        self.kind = kind
        tenant = 0
        profile = nil
        version = 0
        time = 0
        transition = Transition()
        openedCycleStart = 0
        openedCycleEnd = 0
        openedDay = 0
        reservationID = 0
        expiresAt = 0
        action = .unspecified
        amounts = Amounts()
        refused = []
        closed = ClosedCharges()
        keyHigh = 0
        keyLow = 0
        contentHash = 0
        reference = BorrowedBytes(start: nil, count: 0)
    }
}
