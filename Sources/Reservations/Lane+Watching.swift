package import Limits

/// A tenant or a messaging profile, by its number in the table.
package struct UsageSubject: Sendable, Equatable, BitwiseCopyable {
    private static let profileBit: UInt32 = 1 << 31
    private let word: UInt32

    package static func tenant(_ number: Int) -> UsageSubject {
        UsageSubject(word: UInt32(truncatingIfNeeded: number))
    }

    package static func profile(_ number: Int) -> UsageSubject {
        UsageSubject(word: UInt32(truncatingIfNeeded: number) | profileBit)
    }

    package var isProfile: Bool { word & Self.profileBit != 0 }
    package var number: Int { Int(word & ~Self.profileBit) }
}

/// Which state of a subject was read, and until when it stands by itself.
package struct UsageMark: Sendable, Equatable, BitwiseCopyable {
    /// One version of the tenant at which the subject changed; 0: none yet.
    package var version: UInt64
    /// The first end of one of the subject's windows, Unix milliseconds: from then on its totals are others without a
    /// change.
    package var until: Int64

    package init(version: UInt64 = 0, until: Int64 = 0) {
        self.version = version
        self.until = until
    }
}

// Usage by number, for those who follow it. Nothing here changes a tenant.
extension Lane {
    /// The version of a subject; 0: it does not exist (yet). Never waits, and completes nothing: a version that is
    /// just coming about may be missed and is seen the next time.
    @inline(always)
    package func version(of subject: UsageSubject) -> UInt64 {
        let head =
            subject.isProfile
            ? table.profileCells[subject.number][ProfileCell.head]
            : table.tenantCells[subject.number][TenantCell.head]
        return Head(word: head).version
    }

    /// The number of the tenant that a profile belongs to; nil: the profile does not exist (yet).
    package func tenant(ofProfile number: Int) -> Int? {
        guard version(of: .profile(number)) != 0 else { return nil }
        return Int(table.profileCells[number][ProfileCell.tenant])
    }

    /// The id of a tenant that exists; it stays where it is as long as the table lives.
    package func id(ofTenant number: Int) -> BorrowedBytes {
        CellID.bytes(table.tenantCells[number].advanced(CellID.firstWord), table.longIDs)
    }

    package func id(ofProfile number: Int) -> BorrowedBytes {
        CellID.bytes(table.profileCells[number].advanced(CellID.firstWord), table.longIDs)
    }

    /// The number of a tenant that exists, and whether it was not deleted; nil: there is none.
    package func findTenant(id: BorrowedBytes) -> (number: Int, isOpen: Bool)? {
        guard let tenant = findTenant(id) else { return nil }
        guard canRead else { return (tenant, true) }
        _ = open(tenant)
        return (tenant, own.pointee.subjects.tenant.status != .closed)
    }

    /// What reading a subject's usage came to.
    package enum UsageReading: Sendable, Equatable {
        case read(UsageMark)
        /// It does not exist (yet), or was deleted.
        case absent
        /// The journal has no room: later.
        case notNow
    }

    /// The usage of a tenant, its own limits alone, or of a messaging profile, its limit alone.
    ///
    /// Linearizes as `usage`; `answerWaits` tells whether what was read is on disk.
    package func usage(
        of subject: UsageSubject, now: Int64, answer: inout UsageAnswer
    ) -> UsageReading {
        let profile = subject.isProfile ? subject.number : nil
        guard version(of: subject) != 0 else { return .absent }
        let tenant =
            profile.map { Int(table.profileCells[$0][ProfileCell.tenant]) } ?? subject.number
        while true {
            guard canRead else { return .notNow }
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            guard own.pointee.subjects.tenant.status != .closed,
                profile == nil || !own.pointee.subjects.profile.closed
            else { return .absent }
            begin(now: now)
            guard keepsWindows(now: now) else { return .notNow }
            answer.tenantStatus = own.pointee.subjects.tenant.status
            var mark = UsageMark()
            if profile == nil {
                mark.version = head.version
                mark.until = own.pointee.subjects.tenant.cycleEnd
                if table.rules.daily != 0 {
                    mark.until = min(mark.until, own.pointee.subjects.tenant.dayEnd)
                }
            } else {
                mark.version = Head(word: own.pointee.profileHead).version
                mark.until = own.pointee.subjects.profile.dayStart + ProfileState.dayLength
            }
            let kinds =
                profile == nil
                ? table.rules.tenantLimits
                : LimitSet(table.rules.limit(of: own.pointee.subjects.profile.kind))
            Decide.describe(
                kinds, &own.pointee.subjects, table.rules, asOf: windows(now), into: &answer.limits)
            return .read(mark)
        }
    }

    /// Whether the tenant of the usage that was read last shows its limits to its own tokens.
    package var disclosesLimits: Bool { own.pointee.subjects.tenant.disclosesLimits }
}
