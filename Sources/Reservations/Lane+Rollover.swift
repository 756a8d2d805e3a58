import Limits

// "The rollover judges the window that ends" (semantics §2). A window ends with the first transition in a later one, which
// raises what is due of it. Where no such transition comes, a walk over tenants and messaging profiles brings it about
// for those that have something to raise; all others are looked at, and left as they are.
//
// Windows end at quarters of an hour, whatever the zone: a walk begins with each quarter of engine time. Where one ended
// in between after all, the next walk finds it. Ticks of all lanes take stretches of the walk from a shared word:
// quarter << 32 | the first subject that nobody has taken. A subject's number is the tenant's, or that of the profile
// behind all tenants: where tenants come into being meanwhile, some profiles are looked at twice. What a lane has taken
// when it stops for ever is looked at in the next quarter.
extension Lane {
    /// Subjects that a lane takes at a time.
    private static var rolloverStretch: Int { 256 }
    /// Work of a tick at most: a look at a subject is 1.
    static var rolloverWork: Int { 1_024 }
    /// What the transition counts that raises something.
    static var rolloverCost: Int { 8 }

    /// Does some of the walk, if there is one.
    ///
    /// - Complexity: O(`rolloverWork`)
    package func judgeEndedWindows(now: Int64) {
        var left = Self.rolloverWork
        while left > 0 {
            if own.pointee.rollover.isEmpty, !takeSubjects(now: now) { return }
            let next = own.pointee.rollover.lowerBound
            guard let work = judge(next, now: now) else { return }
            left -= work
            own.pointee.rollover = next + 1..<own.pointee.rollover.upperBound
        }
    }

    /// False: everything of this quarter has been taken.
    private func takeSubjects(now: Int64) -> Bool {
        let word = table.counter(.rollover)
        let quarter = UInt64(max(0, windows(now)) / Record.quarter)
        let count = table.tenantNumbers + table.profileNumbers
        while true {
            let old = word[0]
            // A lane whose clock is behind would take windows for open that have ended.
            guard quarter >= old &>> 32 else { return false }
            let first = quarter > old &>> 32 ? 0 : Int(old & 0xffff_ffff)
            guard first < count else { return false }
            let end = min(count, first + Self.rolloverStretch)
            guard word.compareExchange(0, old, quarter &<< 32 | UInt64(end)) else { continue }
            own.pointee.rollover = first..<end
            return true
        }
    }

    /// Returns the work that it was; nil: the journal has no room for it.
    private func judge(_ subject: Int, now: Int64) -> Int? {
        let tenants = table.tenantNumbers
        if subject < tenants {
            guard hasEndedInAlarm(tenant: subject, now: now) else { return 1 }
            return endWindows(subject, nil, now: now) ? Self.rolloverCost : nil
        }
        let profile = subject - tenants
        guard profile < table.profileNumbers, mayHaveEndedInAlarm(profile: profile, now: now)
        else { return 1 }
        let tenant = Int(table.profileCells[profile][ProfileCell.tenant])
        return endWindows(tenant, profile, now: now) ? Self.rolloverCost : nil
    }

    /// Whether a tenant's cycle or day is over, and its end raises something.
    private func hasEndedInAlarm(tenant: Int, now: Int64) -> Bool {
        let cell = table.tenantCells[tenant]
        while true {
            let word = cell[TenantCell.head]
            guard word != 0 else { return false }
            let node = table.tenantNodes[Head(word: word).buffer]
            TenantNode.load(node, into: &own.pointee.subjects.tenant)
            guard cell[TenantCell.head] == word else { continue }
            let state = own.pointee.subjects.tenant
            var over: UInt8 = 0
            if state.cycleEnd <= windows(now) { over |= table.rules.cyclic }
            if state.dayEnd <= windows(now) { over |= table.rules.daily }
            return over != 0 && state.status != .closed
                && !Decide.alerts(ofWindowOf: state, over, table.rules).isEmpty
        }
    }

    /// Whether a profile's day is over, with something in it that counts against a cap. What has been raised of it is told
    /// by the tenant's percent, too.
    private func mayHaveEndedInAlarm(profile: Int, now: Int64) -> Bool {
        let cell = table.profileCells[profile]
        while true {
            openProfile(profile)
            let head = own.pointee.profileHead
            guard cell[ProfileCell.head] == head else { continue }
            let state = own.pointee.subjects.profile
            return Head(word: head).version != 0 && !state.closed && state.enabled
                && state.cap >= 0 && state.committed + state.held > 0
                && state.dayStart + ProfileState.dayLength <= windows(now)
        }
    }

    /// Ends a window that is over, if that raises something. False: the journal has no room for it.
    private func endWindows(_ tenant: Int, _ profile: Int?, now: Int64) -> Bool {
        while true {
            guard mayReserve else { return false }
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            guard own.pointee.subjects.tenant.status != .closed else { return true }
            begin(now: now)
            guard !own.pointee.transition.isEmpty else { return true }
            beginRecord(.windowsEnded)
            if swing(tenant, head, now: now) { return true }
        }
    }
}
