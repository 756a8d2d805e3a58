package import Limits

/// What the reader of an answer may see (semantics §6).
package enum Disclosure: Sendable {
    /// Every limit.
    case full
    /// The limits of messaging profiles, which are the tenant's own setting. The tenant's limits
    /// are its provider's: their codes read as the generic 20012, their warnings are left out,
    /// their caps, windows and whether they block are not told.
    case profilesOnly

    func shows(_ row: LimitRow) -> Bool {
        self == .full || row.subject == .messagingProfile
    }
}

/// Whose limits an answer speaks of: `subject_id` of limit states and QuotaFailure.
package struct Subjects {
    /// At most 64 bytes.
    package var tenantID: BorrowedBytes
    /// At most 64 bytes; empty: no messaging profile.
    package var profileID: BorrowedBytes

    package init(
        tenantID: BorrowedBytes = BorrowedBytes(start: nil, count: 0),
        profileID: BorrowedBytes = BorrowedBytes(start: nil, count: 0)
    ) {
        precondition(tenantID.count <= WireLimits.identifierBytes)
        precondition(profileID.count <= WireLimits.identifierBytes)
        self.tenantID = tenantID
        self.profileID = profileID
    }

    package init(_ command: CheckCommand) {
        self.init(tenantID: command.tenantID, profileID: command.profileID)
    }

    package init(_ command: RecordCommand) {
        self.init(tenantID: command.tenantID, profileID: command.profileID)
    }

    package init(_ query: UsageQuery) {
        self.init(tenantID: query.tenantID, profileID: query.profileID)
    }

    func id(_ subject: LimitSubject) -> BorrowedBytes {
        switch subject {
        case .tenant: tenantID
        case .messagingProfile: profileID
        }
    }
}

/// Why an answer is DENIED: a suspension, or every limit that refused.
package struct Denial: Sendable {
    package var bySuspension: Bool
    package var refused: LimitSet

    package init(bySuspension: Bool, refused: LimitSet) {
        self.bySuspension = bySuspension
        self.refused = refused
    }

    /// nil: the answer is ALLOWED.
    package init?(_ answer: borrowing CheckAnswer) {
        guard answer.decision == .denied else { return nil }
        self.init(bySuspension: answer.refusedBySuspension, refused: answer.refused)
    }

    /// nil: the answer is ALLOWED.
    package init?(_ answer: borrowing ExtendAnswer) {
        guard answer.decision == .denied else { return nil }
        self.init(bySuspension: answer.refusedBySuspension, refused: answer.refused)
    }

    /// The code that the reader sees first: that of the first limit it may see, else the generic
    /// 20012.
    package func code(_ disclosure: Disclosure) -> ErrorCode {
        if bySuspension { return .suspended }
        for row in LimitKind.catalogue where refused.contains(row.kind) && disclosure.shows(row) {
            return row.error
        }
        return .suspended
    }
}
