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
                answer = RecordAnswer()
                answer.warnings = found.answer.warnings
                answer.tenantStatus = found.answer.tenantStatus
                answer.replayed = true
                return nil
            }
            var profile: Int?
            if command.profileID.count > 0 {
                profile = findProfile(command.profileID, of: tenant)
                if profile == nil { return .unknownProfile }
            }
            openProfile(profile)
            guard isCurrent(tenant, head) else { continue }
            if profile != nil && own.pointee.subjects.profile.closed { return .unknownProfile }
            begin(now: now)
            var amounts = command.amounts
            if isTotal {
                for resource in amounts.resources {
                    let counter = table.rules.mainCounter(of: resource)
                    amounts[resource] -= own.pointee.subjects.tenant.committed[counter]
                }
            }
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
            if keyed {
                var stored = StoredAnswer()
                stored.decision = .allowed
                stored.warnings = reached
                stored.tenantStatus = status
                if let failure = remember(stored, &key, now: now) { return failure }
            }
            beginRecord(isTotal ? .countsReconciled : .usageRecorded, key)
            if records {
                own.pointee.record.action = command.action
                own.pointee.record.asked = amounts
                own.pointee.record.warnings = reached
                own.pointee.record.tenantStatus = status
                own.pointee.record.text = command.reference
            }
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

    private func contentHash(_ command: RecordCommand) -> UInt64 {
        var hasher = ContentHasher(table.secret, method: 3)
        hasher.add(command.profileID)
        hasher.add(UInt64(command.action.rawValue))
        hasher.add(command.amounts)
        hasher.add(command.reference)
        return hasher.finish()
    }
}
