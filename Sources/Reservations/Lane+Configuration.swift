package import Limits

/// What a change of a tenant's or profile's settings came to: by how much present usage is over each new cap.
package struct ChangeResult: Sendable, Equatable {
    /// The limits whose present usage, committed and held, exceeds the cap, and by how much.
    package var overBy: [LimitKind: Int64] = [:]
    package var created = false
}

/// A tenant's settings as the table keeps them.
package struct TenantPolicy: Sendable {
    package var limits: TenantLimits
    package var onLimit: OnLimit
    package var disclosesLimits: Bool
    package var schedule: UInt32

    package init(
        limits: TenantLimits, onLimit: OnLimit = .auto, disclosesLimits: Bool = false,
        schedule: UInt32 = 0
    ) {
        self.limits = limits
        self.onLimit = onLimit
        self.disclosesLimits = disclosesLimits
        self.schedule = schedule
    }
}

/// A profile's settings as the table keeps them.
package struct ProfilePolicy: Sendable {
    package var enabled: Bool
    /// Nano-USD; nil: none.
    package var dailySpendNanos: Int64?

    package init(enabled: Bool, dailySpendNanos: Int64?) {
        self.enabled = enabled
        self.dailySpendNanos = dailySpendNanos
    }
}

// Configuration changes are transitions like any other: the next decision that starts after their return obeys them.
extension Lane {
    /// Makes a tenant or changes its settings. A cap or percent that changes re-arms its alerts; totals stay.
    package func setTenant(_ id: String, _ policy: TenantPolicy, now: Int64) throws(TableError)
        -> ChangeResult
    {
        let result: Result<ChangeResult, TableError> = id.withBorrowedBytes { bytes in
            if let tenant = findTenant(bytes) {
                return change(tenant, id, policy, now: now)
            }
            return create(bytes, policy, now: now).flatMap { tenant, created in
                created
                    ? .success(ChangeResult(created: true))
                    : change(tenant, id, policy, now: now)
            }
        }
        return try result.get()
    }

    private func create(_ id: BorrowedBytes, _ policy: TenantPolicy, now: Int64)
        -> Result<(Int, Bool), TableError>
    {
        do throws(TableError) {
            let hash = table.secret.directoryHash(id)
            let tenant = Int(table.counter(.tenants).add(0, 1))
            guard tenant < table.capacity.tenants else { throw TableError.full("tenants") }
            let buffer = Int(table.counter(.tenantNodes).add(0, 1))
            guard buffer < table.tenantNodes.capacity else { throw TableError.full("tenants") }
            var state = TenantState()
            state.version = 1
            apply(policy, to: &state)
            let cycle = table.schedules.cycle(
                schedule: policy.schedule, containing: now, notBefore: nil)
            state.cycleStart = cycle.start
            state.cycleEnd = cycle.end
            let node = table.tenantNodes[buffer]
            TenantNode.store(state, to: node)
            TenantNode.store(Pending(), to: node)
            let cell = table.tenantCells[tenant]
            cell[TenantCell.head] = Head(version: 1, buffer: buffer).word
            cell[TenantCell.completed] = 1
            step(.cellFilled)
            try CellID.write(
                id, hash: hash, to: cell.advanced(CellID.firstWord), longIDs: table.longIDs,
                nextLong: table.counter(.longIDs))
            let standing = try table.tenants.insert(id, hash: hash, cell: tenant, steps)
            if standing == tenant, let sink = table.recordSink {
                var record = Record(.tenantCreated)
                record.tenant = UInt32(tenant)
                record.version = 1
                record.time = now
                record.openedCycleStart = cycle.start
                record.openedCycleEnd = cycle.end
                sink(record)
            }
            return .success((standing, standing == tenant))
        } catch {
            return .failure(error)
        }
    }

    private func apply(_ policy: TenantPolicy, to state: inout TenantState) {
        for resource in Resource.allCases {
            let cap = policy.limits.cap(resource) ?? -1
            let bit: UInt8 = 1 << UInt8(resource.index)
            if state.caps[resource.index] != cap {
                state.caps[resource.index] = cap
                state.thresholdRaised &= ~bit
                state.reachedRaised &= ~bit
            }
        }
        if state.thresholdPercent != policy.limits.alertThresholdPercent {
            state.thresholdPercent = policy.limits.alertThresholdPercent
            state.thresholdRaised = 0
            state.reachedRaised = 0
            state.percentEpoch &+= 1
        }
        state.autoSuspend = policy.limits.autoSuspend
        state.onLimit = policy.onLimit
        state.disclosesLimits = policy.disclosesLimits
        // Takes effect when the present cycle ends (semantics §2).
        state.schedule = policy.schedule
    }

    private func change(_ tenant: Int, _ id: String, _ policy: TenantPolicy, now: Int64)
        -> Result<ChangeResult, TableError>
    {
        while true {
            let head = open(tenant)
            openProfile(nil)
            if own.pointee.subjects.tenant.status == .closed { return .failure(.closed(id)) }
            begin(now: now)
            apply(policy, to: &own.pointee.subjects.tenant)
            beginRecord(.tenantChanged, KeyRequest())
            guard swing(tenant, head, now: now) else { continue }
            var result = ChangeResult()
            for resource in 0..<4 {
                let cap = own.pointee.subjects.tenant.caps[resource]
                let used =
                    own.pointee.subjects.tenant.committed[resource]
                    + own.pointee.subjects.tenant.held[resource]
                if cap >= 0 && used > cap { result.overBy[.tenant(resource)] = used - cap }
            }
            return .success(result)
        }
    }

    /// Suspends, reinstates or closes a tenant. Doing so again changes nothing.
    package func setStatus(_ id: String, _ status: TenantStatus, now: Int64) throws(TableError) {
        guard let tenant = id.withBorrowedBytes({ findTenant($0) }) else {
            throw TableError.notFound(id)
        }
        while true {
            let head = open(tenant)
            openProfile(nil)
            let present = own.pointee.subjects.tenant.status
            guard isCurrent(tenant, head) else { continue }
            if present == .closed { throw TableError.closed(id) }
            if present == status { return }
            begin(now: now)
            switch status {
            case .suspended:
                own.pointee.transition.events = .suspended
                beginRecord(.tenantSuspended, KeyRequest())
            case .active:
                own.pointee.transition.events = .reinstated
                beginRecord(.tenantReinstated, KeyRequest())
            case .closed:
                own.pointee.subjects.tenant.status = .closed
                beginRecord(.tenantClosed, KeyRequest())
            }
            if swing(tenant, head, now: now) { return }
        }
    }

    /// Makes a messaging profile or changes its settings. It belongs to its tenant for ever.
    package func setProfile(
        _ id: String, of tenantID: String, _ policy: ProfilePolicy, now: Int64
    ) throws(TableError) -> ChangeResult {
        guard let tenant = tenantID.withBorrowedBytes({ findTenant($0) }) else {
            throw TableError.notFound(tenantID)
        }
        var created = false
        var profile = id.withBorrowedBytes {
            table.profiles.find($0, hash: table.secret.directoryHash($0))
        }
        if profile == nil {
            // An id is used up by its first owner: not for a tenant that was deleted.
            _ = open(tenant)
            if own.pointee.subjects.tenant.status == .closed { throw TableError.closed(tenantID) }
            let result = id.withBorrowedBytes { createProfile($0, tenant, policy, now: now) }
            (profile, created) = try result.get()
        }
        guard let profile, table.profileCells[profile][ProfileCell.tenant] == UInt64(tenant) else {
            throw TableError.notFound(id)
        }
        while true {
            let head = open(tenant)
            openProfile(profile)
            if own.pointee.subjects.tenant.status == .closed { throw TableError.closed(tenantID) }
            guard isCurrent(tenant, head) else { continue }
            if own.pointee.subjects.profile.closed { throw TableError.closed(id) }
            begin(now: now)
            let cap = policy.dailySpendNanos ?? -1
            if own.pointee.subjects.profile.cap != cap {
                own.pointee.subjects.profile.cap = cap
                own.pointee.subjects.profile.thresholdRaised = false
                own.pointee.subjects.profile.reachedRaised = false
            }
            own.pointee.subjects.profile.enabled = policy.enabled
            beginRecord(.profileChanged, KeyRequest())
            guard swing(tenant, head, now: now) else { continue }
            var result = ChangeResult(created: created)
            let used =
                own.pointee.subjects.profile.committed + own.pointee.subjects.profile.held
            if cap >= 0 && used > cap { result.overBy[.profileDailySpend] = used - cap }
            return result
        }
    }

    /// Deletes a messaging profile: new requests do not find it, open holds may settle.
    package func closeProfile(_ id: String, now: Int64) throws(TableError) {
        guard
            let profile = id.withBorrowedBytes({
                table.profiles.find($0, hash: table.secret.directoryHash($0))
            })
        else { throw TableError.notFound(id) }
        let tenant = Int(table.profileCells[profile][ProfileCell.tenant])
        while true {
            let head = open(tenant)
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            if own.pointee.subjects.profile.closed { throw TableError.closed(id) }
            begin(now: now)
            own.pointee.subjects.profile.closed = true
            beginRecord(.profileClosed, KeyRequest())
            if swing(tenant, head, now: now) { return }
        }
    }

    private func createProfile(
        _ id: BorrowedBytes, _ tenant: Int, _ policy: ProfilePolicy, now: Int64
    ) -> Result<(Int?, Bool), TableError> {
        do throws(TableError) {
            let hash = table.secret.directoryHash(id)
            let profile = Int(table.counter(.profiles).add(0, 1))
            guard profile < table.capacity.profiles else { throw TableError.full("profiles") }
            let buffer = Int(table.counter(.profileNodes).add(0, 1))
            guard buffer < table.profileNodes.capacity else { throw TableError.full("profiles") }
            var state = ProfileState()
            state.cap = policy.dailySpendNanos ?? -1
            state.enabled = policy.enabled
            state.dayStart = ProfileState.dayStart(of: now)
            ProfileNode.store(state, to: table.profileNodes[buffer])
            let cell = table.profileCells[profile]
            cell[ProfileCell.head] = Head(version: 0, buffer: buffer).word
            cell[ProfileCell.tenant] = UInt64(tenant)
            step(.cellFilled)
            try CellID.write(
                id, hash: hash, to: cell.advanced(CellID.firstWord), longIDs: table.longIDs,
                nextLong: table.counter(.longIDs))
            let standing = try table.profiles.insert(id, hash: hash, cell: profile, steps)
            return .success((standing, standing == profile))
        } catch {
            return .failure(error)
        }
    }
}

extension String {
    /// The UTF-8 bytes, for the length of a call.
    package func withBorrowedBytes<T>(_ body: (BorrowedBytes) -> T) -> T {
        var copy = self
        return copy.withUTF8 { body(BorrowedBytes($0)) }
    }
}
