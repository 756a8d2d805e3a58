internal import Journal
package import Limits

// Configuration changes are transitions like any other: the next decision that starts after their return obeys them.
extension Lane {
    /// Makes a tenant or changes its settings. A cap or percent that changes re-arms its alerts; totals stay.
    ///
    /// - Parameter text: the settings as the record keeps them, at most `Record.longestText` bytes.
    package func setTenant(
        _ id: String, _ policy: TenantPolicy, text: BorrowedBytes = .none, now: Int64
    ) throws(TableError) -> ChangeResult {
        let result: Result<ChangeResult, TableError> = id.withBorrowedBytes { bytes in
            if let tenant = findTenant(bytes) {
                return change(tenant, id, policy, text, now: now)
            }
            return create(bytes, policy, text, now: now).flatMap { tenant, created in
                created
                    ? .success(ChangeResult(created: true))
                    : change(tenant, id, policy, text, now: now)
            }
        }
        return try result.get()
    }

    private func create(
        _ id: BorrowedBytes, _ policy: TenantPolicy, _ text: BorrowedBytes, now: Int64
    ) -> Result<(Int, Bool), TableError> {
        do throws(TableError) {
            guard isReady else { throw TableError.busy }
            let tenant = Int(table.counter(.tenants).add(0, 1))
            var state = TenantState(policy, table.rules)
            let cycle = table.schedules.cycle(
                schedule: policy.schedule, containing: windows(now), notBefore: nil)
            state.cycleStart = cycle.start
            state.cycleEnd = cycle.end
            let day = table.schedules.day(
                schedule: policy.schedule, containing: windows(now), notBefore: nil)
            state.dayStart = day.start
            state.dayEnd = day.end
            own.pointee.origin = .none
            var recordEnd: UInt64?
            if let ring {
                beginRecord(.tenantCreated)
                own.pointee.record.transition = Transition()
                own.pointee.record.tenant = UInt32(truncatingIfNeeded: tenant)
                own.pointee.record.profile = nil
                own.pointee.record.version = 1
                own.pointee.record.time = windows(now)
                own.pointee.record.lead = own.pointee.lead
                own.pointee.record.opensNothing()
                own.pointee.record.openedCycleStart = cycle.start
                own.pointee.record.openedCycleEnd = cycle.end
                own.pointee.record.openedTenantDayStart = day.start
                own.pointee.record.openedTenantDayEnd = day.end
                own.pointee.record.text = text
                own.pointee.origin = Origin(lane: index, position: ring.end)
                recordEnd = ring.write(own.pointee.record)
            }
            let standing = try place(id, state, at: tenant)
            // Two may make one tenant at a time; the loser's record is overwritten.
            if standing == tenant, let recordEnd { ring?.publish(to: recordEnd) }
            return .success((standing, standing == tenant))
        } catch {
            return .failure(error)
        }
    }

    /// Puts a tenant into a cell that nobody knows and the cell into the directory. Returns the tenant's number: the
    /// cell's, or that of a tenant with this id that was there before. The record's place is `own.origin`.
    func place(_ id: BorrowedBytes, _ state: TenantState, at tenant: Int) throws(TableError) -> Int
    {
        guard tenant < table.capacity.tenants else { throw TableError.full("tenants") }
        let buffer = Int(table.counter(.tenantNodes).add(0, 1))
        guard buffer < table.tenantNodes.capacity else { throw TableError.full("tenants") }
        let node = table.tenantNodes[buffer]
        var state = state
        var pending = Pending()
        TenantNode.store(&state, to: node)
        TenantNode.store(&pending, to: node)
        node[TenantNode.origin] = own.pointee.origin.word
        let cell = table.tenantCells[tenant]
        let hash = table.secret.directoryHash(id)
        // Whoever comes before the record is published appends it.
        cell[TenantCell.completed] = own.pointee.origin == .none ? state.version : 0
        try CellID.write(
            id, hash: hash, to: cell.advanced(CellID.firstWord), longIDs: table.longIDs,
            nextLong: table.counter(.longIDs))
        // Last: who comes by the tenant's number finds all of it.
        cell[TenantCell.head] = Head(version: state.version, buffer: buffer).word
        step(.cellFilled)
        return try table.tenants.insert(id, hash: hash, cell: tenant, steps)
    }

    private func change(
        _ tenant: Int, _ id: String, _ policy: TenantPolicy, _ text: BorrowedBytes, now: Int64
    ) -> Result<ChangeResult, TableError> {
        while true {
            guard isReady else { return .failure(.busy) }
            let head = open(tenant)
            openProfile(nil)
            if own.pointee.subjects.tenant.status == .closed { return .failure(.closed(id)) }
            begin(now: now)
            own.pointee.subjects.tenant.apply(policy, table.rules)
            beginRecord(.tenantChanged)
            own.pointee.record.text = text
            guard swing(tenant, head, now: now) else { continue }
            var result = ChangeResult()
            for counter in 0..<LimitKind.counterCount {
                let cap = own.pointee.subjects.tenant.caps[counter]
                let used =
                    own.pointee.subjects.tenant.committed[counter]
                    + own.pointee.subjects.tenant.held[counter]
                if cap >= 0 && used > cap {
                    result.overBy[table.rules.kind(of: counter)] = used - cap
                }
            }
            return .success(result)
        }
    }

    /// Suspends, reinstates or closes a tenant. Doing so again changes nothing.
    ///
    /// - Parameter text: why, for the audit log, at most `Record.longestText` bytes.
    package func setStatus(
        _ id: String, _ status: TenantStatus, text: BorrowedBytes = .none, now: Int64
    ) throws(TableError) {
        guard let tenant = id.withBorrowedBytes({ findTenant($0) }) else {
            throw TableError.notFound(id)
        }
        while true {
            guard isReady else { throw TableError.busy }
            let head = open(tenant)
            openProfile(nil)
            let present = own.pointee.subjects.tenant.status
            guard isCurrent(tenant, head) else { continue }
            if present == .closed { throw TableError.closed(id) }
            // Whom a limit has suspended an operator may suspend all the same: it ends the holds.
            let endsHolds = status != .active
            if present == status && own.pointee.subjects.tenant.endsHolds == endsHolds { return }
            begin(now: now)
            own.pointee.subjects.tenant.endsHolds = endsHolds
            switch status {
            case .suspended:
                if present != .suspended { own.pointee.transition.events.insert(.suspended) }
                beginRecord(.tenantSuspended)
            case .active:
                own.pointee.transition.events.insert(.reinstated)
                beginRecord(.tenantReinstated)
            case .closed:
                own.pointee.subjects.tenant.status = .closed
                beginRecord(.tenantClosed)
            }
            own.pointee.record.text = text
            if swing(tenant, head, now: now) { return }
        }
    }

    /// A tenant's status; nil: it does not exist.
    package func status(ofTenant id: String) throws(TableError) -> TenantStatus? {
        guard let tenant = id.withBorrowedBytes({ findTenant($0) }) else { return nil }
        while true {
            guard canRead else { throw TableError.busy }
            let head = open(tenant)
            if isCurrent(tenant, head) { return own.pointee.subjects.tenant.status }
        }
    }

    // The lane of the configuration alone deletes, and its operations are complete when they return. So it may look for
    // deletions without completing what others are just doing, which needs room in the journal.

    /// Whether a tenant exists and was not deleted. On the lane of the configuration.
    package func isOpen(tenant id: String) -> Bool {
        id.withBorrowedBytes({ findTenant($0) }).map { !isClosed($0) } ?? false
    }

    private func isClosed(_ tenant: Int) -> Bool { standing(of: tenant).status == .closed }

    /// How a tenant stands, as far as the lane of the configuration alone changes it. On that lane.
    func standing(of tenant: Int) -> TenantState {
        let cell = table.tenantCells[tenant]
        while true {
            let word = cell[TenantCell.head]
            TenantNode.load(
                table.tenantNodes[Head(word: word).buffer], into: &own.pointee.subjects.tenant)
            if cell[TenantCell.head] == word { return own.pointee.subjects.tenant }
        }
    }

    /// Whether a profile exists and was not deleted. On the lane of the configuration.
    package func isOpen(profile id: String) -> Bool {
        guard
            let profile = id.withBorrowedBytes({
                table.profiles.find($0, hash: table.secret.directoryHash($0))
            })
        else { return false }
        let cell = table.profileCells[profile]
        while true {
            openProfile(profile)
            guard cell[ProfileCell.head] == own.pointee.profileHead else { continue }
            return !own.pointee.subjects.profile.closed
        }
    }

    /// Puts a setting of the whole service on record. False: the journal has no room.
    ///
    /// - Parameters:
    ///   - version: one higher with every setting.
    ///   - text: the setting, encoded, at most `Record.longestText` bytes.
    package func recordSetting(_ text: BorrowedBytes, version: UInt64, now: Int64) -> Bool {
        recordForService(.settingChanged, text, version: version, now: now)
    }

    /// Makes a profile or changes its settings. It belongs to its tenant, and is of its kind, for ever.
    ///
    /// - Parameter text: the settings as the record keeps them.
    package func setProfile(
        _ id: String, of tenantID: String, _ policy: ProfilePolicy, text: BorrowedBytes = .none,
        now: Int64
    ) throws(TableError) -> ChangeResult {
        guard let tenant = tenantID.withBorrowedBytes({ findTenant($0) }) else {
            throw TableError.notFound(tenantID)
        }
        var profile = id.withBorrowedBytes {
            table.profiles.find($0, hash: table.secret.directoryHash($0))
        }
        if profile == nil {
            // An id is used up by its first owner: not for a tenant that was deleted.
            if isClosed(tenant) { throw TableError.closed(tenantID) }
            let result = id.withBorrowedBytes { bytes in
                Result { () throws(TableError) in
                    try placeProfile(bytes, at: Int(table.counter(.profiles).add(0, 1)), of: tenant)
                }
            }
            profile = try result.get()
        }
        guard let profile, table.profileCells[profile][ProfileCell.tenant] == UInt64(tenant) else {
            throw TableError.notFound(id)
        }
        while true {
            guard isReady else { throw TableError.busy }
            let head = open(tenant)
            openProfile(profile)
            if own.pointee.subjects.tenant.status == .closed { throw TableError.closed(tenantID) }
            guard isCurrent(tenant, head) else { continue }
            // Its first version makes it; before, nobody finds it.
            let isNew = Head(word: own.pointee.profileHead).version == 0
            if own.pointee.subjects.profile.kind != policy.kind && !isNew {
                throw TableError.notFound(id)
            }
            if own.pointee.subjects.profile.closed && !isNew { throw TableError.closed(id) }
            begin(now: now)
            own.pointee.subjects.profile.apply(policy)
            own.pointee.transition.touchesProfile = true
            beginRecord(isNew ? .profileCreated : .profileChanged)
            own.pointee.record.text = text
            guard swing(tenant, head, now: now) else { continue }
            var result = ChangeResult(created: isNew)
            let cap = own.pointee.subjects.profile.cap
            let used =
                own.pointee.subjects.profile.committed + own.pointee.subjects.profile.held
            if cap >= 0 && used > cap {
                result.overBy[table.rules.limit(of: own.pointee.subjects.profile.kind)] =
                    used - cap
            }
            return result
        }
    }

    /// Deletes a profile: new requests do not find it, open holds may settle.
    package func closeProfile(_ id: String, now: Int64) throws(TableError) {
        guard
            let profile = id.withBorrowedBytes({
                table.profiles.find($0, hash: table.secret.directoryHash($0))
            })
        else { throw TableError.notFound(id) }
        let tenant = Int(table.profileCells[profile][ProfileCell.tenant])
        while true {
            guard isReady else { throw TableError.busy }
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            if own.pointee.subjects.profile.closed { throw TableError.closed(id) }
            begin(now: now)
            own.pointee.subjects.profile.closed = true
            own.pointee.transition.touchesProfile = true
            beginRecord(.profileClosed)
            if swing(tenant, head, now: now) { return }
        }
    }

    /// Puts a profile that does not exist yet into a cell that nobody knows and the cell into the directory. Returns
    /// the profile's number: the cell's, or that of a profile with this id that was there before.
    func placeProfile(_ id: BorrowedBytes, at profile: Int, of tenant: Int) throws(TableError)
        -> Int
    {
        guard profile < table.capacity.profiles else { throw TableError.full("profiles") }
        let buffer = Int(table.counter(.profileNodes).add(0, 1))
        guard buffer < table.profileNodes.capacity else { throw TableError.full("profiles") }
        var state = ProfileState.unmade
        ProfileNode.store(&state, to: table.profileNodes[buffer])
        let cell = table.profileCells[profile]
        let hash = table.secret.directoryHash(id)
        cell[ProfileCell.head] = Head(version: 0, buffer: buffer).word
        cell[ProfileCell.tenant] = UInt64(tenant)
        try CellID.write(
            id, hash: hash, to: cell.advanced(CellID.firstWord), longIDs: table.longIDs,
            nextLong: table.counter(.longIDs))
        step(.cellFilled)
        return try table.profiles.insert(id, hash: hash, cell: profile, steps)
    }
}
