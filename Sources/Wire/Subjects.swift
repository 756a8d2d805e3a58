package import Limits

/// Whose limits an answer speaks of: `subject_id` of limit states and QuotaFailure.
package struct Subjects {
    /// At most 64 bytes.
    package var tenantID: BorrowedBytes
    /// At most 64 bytes; empty: no profile.
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
        case .messagingProfile, .voiceProfile: profileID
        }
    }
}
