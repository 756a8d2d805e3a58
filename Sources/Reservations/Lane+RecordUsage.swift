package import Limits

extension Lane {
    /// RecordUsage: never refused by a limit or a suspension. Linearizes as `check`.
    ///
    /// - Parameter isTotal: the amounts are what is committed afterwards, counts only; recorded as the difference.
    package func record(
        _ command: RecordCommand, isTotal: Bool = false, now: Int64, answer: inout RecordAnswer
    ) -> Failure? {
        guard let tenant = findTenant(command.tenantID) else { return .unknownTenant }
        var key = KeyRequest()
        let keyed = command.idempotencyKey.count > 0
        if keyed {
            key.hash = table.secret.keyHash(tenant: UInt32(tenant), command.idempotencyKey)
            key.content = contentHash(command)
            key.tenant = tenant
        }
        while true {
            guard isReady else { return noRoom() }
            let head = open(tenant)
            if own.pointee.subjects.tenant.status == .closed { return .unknownTenant }
            if keyed, let found = table.keys.find(key.hash, content: key.content, now: now) {
                guard isCurrent(tenant, head) else { continue }
                guard found.same else { return .keyReused }
                replay(found.answer, into: &answer)
                return nil
            }
            var profile: Int?
            if command.profileID.count > 0 {
                profile = findProfile(command.profileID, of: tenant)
                if profile == nil { return .unknownProfile(command.profileKind) }
            }
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            if profile != nil && !isOpenProfile(command.profileKind) {
                return .unknownProfile(command.profileKind)
            }
            begin(now: now)
            let amounts = isTotal ? difference(command.amounts) : command.amounts
            var reached: LimitSet = []
            switch Decide.record(
                &own.pointee.subjects, amounts: amounts, table.rules,
                transition: &own.pointee.transition, reached: &reached)
            {
            case .overflow: return .overflow(of: "/quantities")
            case .belowZero: return .belowZero(of: "/quantities")
            case .allowed, .denied, .exceedsHold: break
            }
            let suspends = own.pointee.transition.events.contains(.suspended)
            let status = suspends ? TenantStatus.suspended : own.pointee.subjects.tenant.status
            if keyed, let failure = remember(stored(reached, status), &key, now: now) {
                return failure
            }
            beginRecord(isTotal ? .countsReconciled : .usageRecorded, key)
            describe(command, amounts, reached, status)
            step(.dependentsFilled)
            guard swing(tenant, head, now: now) else { continue }
            answer.warnings = reached
            answer.tenantStatus = status
            answer.replayed = false
            Decide.describe(
                reached, &own.pointee.subjects, table.rules, asOf: windows(now),
                into: &answer.limits)
            return nil
        }
    }

    /// What must be added for counts to become a total.
    @inline(never)
    private func difference(_ total: Amounts) -> Amounts {
        var amounts = total
        for resource in amounts.resources {
            let counter = table.rules.mainCounter(of: resource)
            amounts[resource] -= own.pointee.subjects.tenant.committed[counter]
        }
        return amounts
    }

    @inline(always)
    private func describe(
        _ command: RecordCommand, _ amounts: Amounts, _ reached: LimitSet, _ status: TenantStatus
    ) {
        guard records else { return }
        own.pointee.record.action = command.action
        own.pointee.record.asked = amounts
        own.pointee.record.warnings = reached
        own.pointee.record.tenantStatus = status
        own.pointee.record.text = command.reference
    }

    @inline(always)
    private func stored(_ reached: LimitSet, _ status: TenantStatus) -> KeyedAnswer {
        var stored = KeyedAnswer()
        stored.decision = .allowed
        stored.warnings = reached
        stored.tenantStatus = status
        return stored
    }

    private func replay(_ stored: KeyedAnswer, into answer: inout RecordAnswer) {
        answer = RecordAnswer()
        answer.warnings = stored.warnings
        answer.tenantStatus = stored.tenantStatus
        answer.replayed = true
    }

    private func contentHash(_ command: RecordCommand) -> UInt64 {
        var hasher = ContentHasher(table.secret, method: 3)
        hasher.add(command.profileID)
        hasher.add(
            UInt64(command.action.rawValue) | UInt64(command.profileKind.rawValue) &<< 8)
        hasher.add(command.amounts)
        hasher.add(command.reference)
        return hasher.finish()
    }
}
