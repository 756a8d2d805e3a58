/// What the reader of an answer may see (semantics §6).
@frozen public enum Disclosure: Sendable {
    /// Every limit.
    case full
    /// The limits of messaging profiles, which are the tenant's own setting. The tenant's limits are its provider's: their
    /// codes read as the generic 20012, their warnings are left out, their caps, windows and whether they block are not
    /// told.
    case profilesOnly

    public func shows(_ row: LimitRow) -> Bool {
        self == .full || row.subject != .tenant
    }
}

/// Why an answer is DENIED: a suspension, or every limit that refused.
@frozen public struct Denial: Sendable {
    public var bySuspension: Bool
    public var refused: LimitSet

    @inlinable public init(bySuspension: Bool, refused: LimitSet) {
        self.bySuspension = bySuspension
        self.refused = refused
    }

    /// nil: the answer is ALLOWED.
    @inlinable public init?(_ answer: borrowing CheckAnswer) {
        guard answer.decision == .denied else { return nil }
        self.init(bySuspension: answer.refusedBySuspension, refused: answer.refused)
    }

    /// nil: the answer is ALLOWED.
    @inlinable public init?(_ answer: borrowing ExtendAnswer) {
        guard answer.decision == .denied else { return nil }
        self.init(bySuspension: answer.refusedBySuspension, refused: answer.refused)
    }

    /// The limits that refused, in the order of the catalogue; of a suspension none.
    public var rows: [LimitRow] {
        bySuspension ? [] : LimitKind.catalogue.filter { refused.contains($0.kind) }
    }

    /// The code that the reader sees first: that of the first limit it may see, else the generic 20012.
    public func code(_ disclosure: Disclosure) -> ErrorCode {
        if bySuspension { return .suspended }
        for row in LimitKind.catalogue where refused.contains(row.kind) && disclosure.shows(row) {
            return row.error
        }
        return .suspended
    }
}
