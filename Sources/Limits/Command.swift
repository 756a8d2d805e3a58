// What the data plane can ask. Strings are borrowed bytes: valid for the call only, already validated in shape
// (length, UTF-8, no control characters) by whoever decoded them.

/// Bytes borrowed from the caller for the length of one call.
public typealias BorrowedBytes = UnsafeRawBufferPointer

/// CheckAndReserve. Defaults of the contract are already filled in.
@frozen public struct CheckCommand {
    public var tenantID: BorrowedBytes
    /// Empty: no profile.
    public var profileID: BorrowedBytes
    public var profileKind = ProfileKind.messaging
    public var action: Action
    /// 1 ... 4 resources, each amount 0 ... Int64.max.
    public var amounts: Amounts
    /// `Mode.partial` only: the least acceptable amounts, 0 ... asked; 0 means 1.
    public var minimums: Amounts
    /// Empty: none; at most 128 bytes.
    public var idempotencyKey: BorrowedBytes
    /// 1 000 ... 86 400 000.
    public var ttlMilliseconds: UInt32
    public var mode: Mode
    public var onExpiry: ExpiryPolicy
    public var overage: OveragePolicy
    /// Ask for the state of every limit that was evaluated.
    public var includeLimits: Bool
    /// The caller's own id, at most 64 bytes; for operators.
    public var reference: BorrowedBytes

    @inlinable public init(tenantID: BorrowedBytes, action: Action, amounts: Amounts) {
        self.tenantID = tenantID
        self.profileID = BorrowedBytes(start: nil, count: 0)
        self.action = action
        self.amounts = amounts
        self.minimums = Amounts()
        self.idempotencyKey = BorrowedBytes(start: nil, count: 0)
        self.ttlMilliseconds = 60_000
        self.mode = .reserve
        self.onExpiry = .release
        self.overage = .record
        self.includeLimits = false
        self.reference = BorrowedBytes(start: nil, count: 0)
    }
}

/// Commit of a reservation.
@frozen public struct CommitCommand {
    public var reservationID: UInt64
    /// Empty: what was held. A named resource may be 0; an absent one then is 0. Each 0 ... Int64.max.
    public var actual: Amounts
    /// Whose reservation the caller takes it for; empty: it does not say. For `EngineLane.refusal`.
    public var tenantID: BorrowedBytes
    /// Empty: none. A repeat is known by its reservation; a key is bound to this settlement besides.
    public var idempotencyKey: BorrowedBytes

    @inlinable public init(reservationID: UInt64, actual: Amounts = Amounts()) {
        self.reservationID = reservationID
        self.actual = actual
        self.tenantID = BorrowedBytes(start: nil, count: 0)
        self.idempotencyKey = BorrowedBytes(start: nil, count: 0)
    }
}

/// Release of a reservation.
@frozen public struct ReleaseCommand {
    public var reservationID: UInt64
    /// As of `CommitCommand`.
    public var tenantID: BorrowedBytes

    @inlinable public init(reservationID: UInt64) {
        self.reservationID = reservationID
        self.tenantID = BorrowedBytes(start: nil, count: 0)
    }
}

/// Extend of a reservation: a later expiry, more room, or both.
@frozen public struct ExtendCommand {
    public var reservationID: UInt64
    /// 0: keep the expiry; else 1 000 ... 86 400 000.
    public var ttlMilliseconds: UInt32
    public var additional: Amounts
    /// `Mode.partial` only.
    public var minimums: Amounts
    public var idempotencyKey: BorrowedBytes
    /// `.reserve` or `.partial`.
    public var mode: Mode
    /// As of `CommitCommand`.
    public var tenantID: BorrowedBytes

    @inlinable public init(reservationID: UInt64) {
        self.reservationID = reservationID
        tenantID = BorrowedBytes(start: nil, count: 0)
        ttlMilliseconds = 0
        additional = Amounts()
        minimums = Amounts()
        idempotencyKey = BorrowedBytes(start: nil, count: 0)
        mode = .reserve
    }
}

/// RecordUsage: usage that needed no permission.
@frozen public struct RecordCommand {
    public var tenantID: BorrowedBytes
    /// Empty: no profile.
    public var profileID: BorrowedBytes
    public var profileKind = ProfileKind.messaging
    public var action: Action
    /// Negative only for counts.
    public var amounts: Amounts
    public var idempotencyKey: BorrowedBytes
    public var reference: BorrowedBytes

    @inlinable public init(tenantID: BorrowedBytes, amounts: Amounts) {
        self.tenantID = tenantID
        self.profileID = BorrowedBytes(start: nil, count: 0)
        self.action = .unspecified
        self.amounts = amounts
        self.idempotencyKey = BorrowedBytes(start: nil, count: 0)
        self.reference = BorrowedBytes(start: nil, count: 0)
    }
}

/// GetUsage.
@frozen public struct UsageQuery {
    public var tenantID: BorrowedBytes
    /// Set: that profile's limit too.
    public var profileID: BorrowedBytes
    public var profileKind: ProfileKind

    @inlinable public init(
        tenantID: BorrowedBytes, profileID: BorrowedBytes, _ profileKind: ProfileKind = .messaging
    ) {
        self.tenantID = tenantID
        self.profileID = profileID
        self.profileKind = profileKind
    }
}

extension BorrowedBytes {
    /// No bytes.
    public static var none: BorrowedBytes { BorrowedBytes(start: nil, count: 0) }
}

extension String {
    /// The UTF-8 bytes, for the length of a call.
    public func withBorrowedBytes<T>(_ body: (BorrowedBytes) -> T) -> T {
        var copy = self
        return copy.withUTF8 { body(BorrowedBytes($0)) }
    }
}
