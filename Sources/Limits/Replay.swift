// Replay: what a record did to a tenant and a profile, done again to a copy of their states. Recovery, the
// checkpoint's fold and the projection go through it. Nothing is decided again: windows, amounts and events are the
// record's.

/// The settings that a record brings.
@frozen public enum PolicyChange: Sendable {
    case none
    case tenant(TenantPolicy)
    case profile(ProfilePolicy)
}

extension Decide.Subjects {
    /// Plays a record's effects back: windows that it opened or moved, settings, status, totals and alerts. Returns what
    /// contradicts the states, which are of no use then; nil: nothing does.
    ///
    /// The record is the next one of the tenant (`RecordOrder`) and did not make it (`TenantState.init`); `profile` is the
    /// record's profile, of a new one its blank state (`ProfileState.unmade`).
    ///
    /// - Parameters:
    ///   - transition: the record's; apart from it so that it is not copied.
    ///   - atWindowEnd: sees the states as they are when a window ends, before the next one is opened.
    /// - Complexity: O(1), no allocation.
    @inlinable @inline(__always)
    public mutating func replay(
        _ record: borrowing Record, _ transition: inout Transition, _ policy: PolicyChange,
        _ rules: LimitRules, atWindowEnd: (borrowing Decide.Subjects) -> Void
    ) -> String? {
        if record.kind == .windowsMoved {
            moveWindows(record)
        } else {
            if record.opensWindow { atWindowEnd(self) }
            openWindows(record, rules)
        }
        guard transition.fits(self) else { return "its totals are out of range" }
        switch record.kind {
        case .tenantCreated, .tenantChanged, .tenantClosed, .tenantSuspended, .tenantReinstated,
            .profileCreated, .profileChanged, .profileClosed:
            if let fault = changeSettings(record.kind, policy, rules) { return fault }
        default: break
        }
        transition.apply(to: &tenant, &profile, rules)
        return nil
    }

    /// Opens the windows that the record opened. What was raised under another percent of the alerts is raised anew.
    @inlinable @inline(__always)
    mutating func openWindows(_ record: borrowing Record, _ rules: LimitRules) {
        if record.openedCycleEnd != 0 {
            tenant.openCycle(
                start: record.openedCycleStart, end: record.openedCycleEnd, rules)
        }
        if record.openedTenantDayEnd != 0 {
            tenant.openDay(
                start: record.openedTenantDayStart, end: record.openedTenantDayEnd, rules)
        }
        guard hasProfile else { return }
        profile.follow(percentEpoch: tenant.percentEpoch)
        if record.openedDay != 0 { profile.openDay(record.openedDay) }
    }

    /// `Record.Kind.windowsMoved`: nothing begins anew.
    @usableFromInline @inline(never)
    mutating func moveWindows(_ record: borrowing Record) {
        if record.openedCycleEnd != 0 {
            tenant.cycleStart = record.openedCycleStart
            tenant.cycleEnd = record.openedCycleEnd
        }
        if record.openedTenantDayEnd != 0 {
            tenant.dayStart = record.openedTenantDayStart
            tenant.dayEnd = record.openedTenantDayEnd
        }
        guard hasProfile else { return }
        profile.follow(percentEpoch: tenant.percentEpoch)
        if record.openedDay != 0 { profile.dayStart = record.openedDay }
    }

    @usableFromInline @inline(never)
    mutating func changeSettings(
        _ kind: Record.Kind, _ policy: PolicyChange, _ rules: LimitRules
    ) -> String? {
        switch (kind, policy) {
        case (.tenantChanged, .tenant(let policy)): tenant.apply(policy, rules)
        case (.profileCreated, .profile(let policy)), (.profileChanged, .profile(let policy)):
            guard hasProfile else { return "profile settings without a profile" }
            profile.apply(policy)
        case (.tenantClosed, _):
            tenant.status = .closed
            tenant.endsHolds = true
        case (.tenantSuspended, _): tenant.endsHolds = true
        case (.tenantReinstated, _): tenant.endsHolds = false
        case (.profileClosed, _): profile.closed = true
        default: return "its settings are missing"
        }
        return nil
    }
}

extension ProfileState {
    /// A profile in front of the record that makes it.
    public static var unmade: ProfileState {
        var state = ProfileState()
        state.closed = true
        return state
    }
}

extension TenantState {
    /// A tenant as the record made it.
    public init(_ record: borrowing Record, _ policy: TenantPolicy, _ rules: LimitRules) {
        self.init(policy, rules)
        cycleStart = record.openedCycleStart
        cycleEnd = record.openedCycleEnd
        dayStart = record.openedTenantDayStart
        dayEnd = record.openedTenantDayEnd
    }
}

extension Record {
    /// Whether it opened a window: of the tenant's or the profile's.
    @inlinable @inline(__always)
    public var opensWindow: Bool {
        openedCycleEnd | openedTenantDayEnd | openedDay != 0
    }
}
