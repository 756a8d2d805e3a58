/// Why a call failed as a whole (gRPC status is not OK). Denials are answers, not failures.
@frozen public struct Failure: Error, Sendable {
    public var code: ErrorCode
    /// RFC 6901 pointer to the wrong field ("/quantities/0/amount"); empty where no field is to blame.
    public var pointer: StaticString
    /// What is wrong with it; empty: the catalogue's detail.
    public var detail: StaticString
    /// Position within a repeated field that `pointer` names with a `*`; -1: none.
    public var position: Int16

    @inlinable public init(
        _ code: ErrorCode, pointer: StaticString = "", detail: StaticString = "",
        position: Int16 = -1
    ) {
        self.code = code
        self.pointer = pointer
        self.detail = detail
        self.position = position
    }
}

/// A limit as it stood at the instant of the decision.
@frozen public struct LimitState: Sendable, Equatable {
    /// In the resource's unit; nil: unlimited.
    public var cap: Int64?
    public var committed: Int64
    public var held: Int64
    /// Unix milliseconds; 0: standing count.
    public var windowStart: Int64
    /// Unix milliseconds; 0: standing count.
    public var resetsAt: Int64
    /// There is a cap, and what does not fit is refused: it is not disabled, nor set to alert only.
    public var blocking: Bool

    @inlinable public init() {
        cap = nil
        committed = 0
        held = 0
        windowStart = 0
        resetsAt = 0
        blocking = false
    }
}

/// The states of limits; only those in `present` mean anything.
@frozen public struct LimitStates: Sendable {
    public var present: LimitSet
    /// Unix milliseconds: the instant that the states describe.
    public var asOf: Int64
    @usableFromInline var storage: InlineArray<14, LimitState>

    @inlinable public init() {
        present = []
        asOf = 0
        storage = InlineArray(repeating: LimitState())
    }

    @inlinable public subscript(kind: LimitKind) -> LimitState {
        get { storage[kind.index] }
        set {
            storage[kind.index] = newValue
            present.insert(kind)
        }
    }
}

/// Answer to CheckAndReserve.
@frozen public struct CheckAnswer: Sendable {
    public var decision: Decision
    /// The stored answer to this idempotency key; limit states are not repeated.
    public var replayed: Bool
    /// Denied with 20012 because the tenant is suspended; no limit was evaluated.
    public var refusedBySuspension: Bool
    /// Every limit that refused. Denials of a limit only.
    public var refused: LimitSet
    /// Limits that are over but set to alert only.
    public var warnings: LimitSet
    /// < 2^63; 0 where nothing is held.
    public var reservationID: UInt64
    /// Unix milliseconds; 0 where nothing is held.
    public var expiresAt: Int64
    /// `Mode.partial`: what is held of each quantity; else empty.
    public var granted: Amounts
    public var treatment: Treatment
    public var tenantStatus: TenantStatus
    /// States of the limits that refused or warned, and of every evaluated limit when the caller asked for them.
    public var limits: LimitStates
    /// The caller asked for `limits`.
    public var includeLimits: Bool
    /// The windows that the decision counted in: the tenant's, and the profile's day, Unix milliseconds.
    public var starts: WindowStarts
    public var dayStart: Int64
    /// `Mode.commit`: what the charge raised, for whoever takes it back.
    public var raised: EventSet

    @inlinable public init() {
        decision = .denied
        replayed = false
        refusedBySuspension = false
        refused = []
        warnings = []
        reservationID = 0
        expiresAt = 0
        granted = Amounts()
        treatment = .none
        tenantStatus = .active
        limits = LimitStates()
        includeLimits = false
        starts = WindowStarts()
        dayStart = 0
        raised = []
    }
}

/// Answer to Commit.
@frozen public struct CommitAnswer: Sendable {
    public var committed: Amounts
    /// `OveragePolicy.cap`: what was not charged; else empty.
    public var uncharged: Amounts
    /// The hold had expired; the usage was recorded all the same.
    public var late: Bool
    public var replayed: Bool
    /// Limits that this usage reached or passed.
    public var warnings: LimitSet
    public var tenantStatus: TenantStatus
    /// States of the limits in `warnings`; none in a replay.
    public var limits: LimitStates

    @inlinable public init() {
        committed = Amounts()
        uncharged = Amounts()
        late = false
        replayed = false
        warnings = []
        tenantStatus = .active
        limits = LimitStates()
    }
}

/// Answer to Release.
@frozen public struct ReleaseAnswer: Sendable {
    public var replayed: Bool
    /// The hold had expired and was already free.
    public var expired: Bool

    @inlinable public init() {
        replayed = false
        expired = false
    }
}

/// Answer to Extend.
@frozen public struct ExtendAnswer: Sendable {
    /// Denied: the additional room is not there; the old hold and expiry stand.
    public var decision: Decision
    public var replayed: Bool
    public var refusedBySuspension: Bool
    public var refused: LimitSet
    public var warnings: LimitSet
    public var expiresAt: Int64
    public var granted: Amounts
    public var treatment: Treatment
    /// After this answer; not on the wire.
    public var tenantStatus: TenantStatus
    /// States of the limits that refused or warned.
    public var limits: LimitStates

    @inlinable public init() {
        decision = .denied
        replayed = false
        refusedBySuspension = false
        refused = []
        warnings = []
        expiresAt = 0
        granted = Amounts()
        treatment = .none
        tenantStatus = .active
        limits = LimitStates()
    }
}

/// Answer to RecordUsage.
@frozen public struct RecordAnswer: Sendable {
    public var warnings: LimitSet
    public var tenantStatus: TenantStatus
    public var replayed: Bool
    /// States of the limits in `warnings`; none in a replay.
    public var limits: LimitStates

    @inlinable public init() {
        warnings = []
        tenantStatus = .active
        replayed = false
        limits = LimitStates()
    }
}

/// Answer to GetUsage.
@frozen public struct UsageAnswer: Sendable {
    public var tenantStatus: TenantStatus
    public var limits: LimitStates

    @inlinable public init() {
        tenantStatus = .active
        limits = LimitStates()
    }
}
