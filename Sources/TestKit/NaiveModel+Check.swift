import Limits

// CheckAndReserve and Extend: the calls that ask for room (semantics §3).
extension NaiveModel {
    /// Room that somebody asks for.
    struct Ask {
        var tenantID: String
        var profileID: String
        var amounts: ModelAmounts
        var minimums: ModelAmounts
        var isPartial: Bool
    }

    enum Verdict {
        /// `granted` is what was asked, or less of it for PARTIAL.
        case fits(granted: ModelAmounts, warnings: LimitSet)
        case refused(Set<LimitReference>, tripped: Set<LimitReference>, warnings: LimitSet)
        /// It fits every limit, but no total can count that far.
        case overflows
    }

    /// One limit and what is asked of it; never for an amount of zero, which nothing refuses.
    private struct Demand {
        var limit: LimitReference
        var amount: Int64
        /// nil: the limit has no cap.
        var cap: Int64?
        var total: Total

        var used: Int128 { Int128(total.committed) + Int128(total.held) }
        var isOnlyHeld: Bool { NaiveModel.isOnlyHeld(limit.kind.row.resource) }

        func isOver(asking amount: Int64) -> Bool {
            cap.map { used + Int128(amount) > Int128($0) } ?? false
        }
    }

    private func demands(_ ask: Ask) -> [Demand] {
        ask.amounts.filter { $0.value > 0 }.flatMap { resource, amount in
            limits(counting: resource, tenantID: ask.tenantID, profileID: ask.profileID).map {
                Demand(
                    limit: $0, amount: amount, cap: cap(of: $0), total: total(currentTotal($0)))
            }
        }
    }

    /// Does it fit every limit at this instant?
    func judge(_ ask: Ask) -> Verdict {
        let demands = demands(ask)
        let blocking = demands.filter { isBlocking($0.limit) && $0.cap != nil }
        let refusing = blocking.filter {
            isRefusal(of: $0, with: $0.used, ask)
        }
        if refusing.isEmpty == false {
            // Would it have been refused without the holds of others? They count where nothing is ever charged.
            let tripped = refusing.filter {
                isRefusal(of: $0, with: Int128(Self.judged($0.total, $0.limit.kind)), ask)
            }
            // Choice: a denial warns about what was asked.
            return .refused(
                Set(refusing.map(\.limit)), tripped: Set(tripped.map(\.limit)),
                warnings: warnings(demands, amounts: ask.amounts))
        }
        let granted =
            ask.isPartial ? largestFraction(of: ask.amounts, fitting: blocking) : ask.amounts
        for demand in demands {
            let amount = granted[demand.limit.kind.row.resource] ?? 0
            if demand.used + Int128(amount) > Int128(Int64.max) { return .overflows }
        }
        return .fits(granted: granted, warnings: warnings(demands, amounts: granted))
    }

    /// Limits that are over but do not refuse; nothing for a disabled one.
    private func warnings(_ demands: [Demand], amounts: ModelAmounts) -> LimitSet {
        var result: LimitSet = []
        for demand in demands where isEnabled(demand.limit) && isBlocking(demand.limit) == false {
            let amount = amounts[demand.limit.kind.row.resource] ?? 0
            if amount > 0 && demand.isOver(asking: amount) { result.insert(demand.limit.kind) }
        }
        return result
    }

    /// Whether a limit refuses on its own, with this much used.
    private func isRefusal(of demand: Demand, with used: Int128, _ ask: Ask) -> Bool {
        guard let cap = demand.cap else { return false }
        // What is only ever held fits whole, or not at all.
        guard ask.isPartial && demand.isOnlyHeld == false else {
            return used + Int128(demand.amount) > Int128(cap)
        }
        // PARTIAL: it refuses if its own room would bring some quantity below its minimum.
        let room = max(0, Int128(cap) - used)
        return ask.amounts.contains { resource, asked in
            guard asked > 0, Self.isOnlyHeld(resource) == false else { return false }
            let share = min(Int128(asked), Int128(asked) * room / Int128(demand.amount))
            return share < Int128(max(1, ask.minimums[resource] ?? 0))
        }
    }

    /// "The largest common fraction of all quantities that fits all limits, rounded down." What is only ever held has no
    /// part in it.
    private func largestFraction(
        of amounts: ModelAmounts, fitting blocking: [Demand]
    ) -> ModelAmounts {
        var granted = amounts
        for (resource, asked) in amounts where Self.isOnlyHeld(resource) == false {
            let shares = blocking.filter { $0.isOnlyHeld == false }.map { demand -> Int128 in
                let room = max(0, Int128(demand.cap ?? 0) - demand.used)
                return Int128(asked) * room / Int128(demand.amount)
            }
            granted[resource] = Int64(min(Int128(asked), shares.min() ?? Int128(asked)))
        }
        return granted
    }

    // MARK: CheckAndReserve

    mutating func check(_ operation: CheckOperation) -> ModelAnswer {
        // Nothing of what is only ever held can be charged.
        if operation.mode == .commit, operation.amounts.keys.contains(where: Self.isOnlyHeld) {
            return .failure(.badField)
        }
        let tenantID = operation.tenantID
        guard let tenant = tenants[tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        // CHECK_ONLY neither looks up nor stores.
        let key = operation.mode == .checkOnly ? "" : operation.key
        let content = Self.content(of: operation)
        if let stored = storedAnswer(tenantID: tenantID, key: key, content: content) {
            return stored
        }
        guard isUsable(operation.profileID, operation.profileKind, tenantID: tenantID) else {
            return .failure(.notFound)
        }
        let answer = decide(operation, tenant)
        store(answer, tenantID: tenantID, key: key, content: content)
        return answer
    }

    /// "An unkeyed hold whose caller's deadline passed before the answer left is released again (COMMIT mode:
    /// reversed; if that charge had suspended the tenant and nothing is tripped without it, the same transition reinstates,
    /// re-arms its alerts and raises `tenant.reinstated`)." What else it has raised stays raised.
    mutating func withdrawnCheck(_ operation: CheckOperation) -> ModelAnswer {
        let answer = check(operation)
        guard operation.key.isEmpty, case .check(let checked) = answer, checked.decision == .allowed
        else { return answer }
        if checked.reservation != 0 {
            _ = release(checked.reservation)
        } else if operation.mode == .commit {
            reverse(operation.amounts, tenantID: operation.tenantID, profileID: operation.profileID)
            takeSuspensionBack(tenantID: operation.tenantID, raised: events)
        }
        return answer
    }

    private static func content(of operation: CheckOperation) -> String {
        // What becomes of a hold means nothing where there is none.
        let hold =
            operation.mode == .commit
            ? ""
            : "\(operation.ttlMilliseconds)|\(operation.onExpiry)|\(operation.overage)"
        return """
            check \(operation.profileKind) \(operation.profileID)|\(operation.action)|\(sorted(operation.amounts))|\
            \(sorted(operation.minimums, of: operation.amounts, operation.mode))|\
            \(operation.mode)|\(hold)|\(operation.reference)
            """
    }

    private mutating func decide(_ operation: CheckOperation, _ tenant: Tenant) -> ModelAnswer {
        let tenantID = operation.tenantID
        var answer = ModelCheckAnswer()
        answer.tenantStatus = tenant.status
        guard tenant.status == .active else {
            // Nothing is raised for the request; a window that is over is another matter.
            if operation.mode != .checkOnly {
                judgeEndedWindows(tenantID: tenantID, profileID: operation.profileID)
            }
            answer.refusedBySuspension = true
            answer.treatment = .suspended(operation.action)
            return .check(answer)
        }
        let ask = Ask(
            tenantID: tenantID, profileID: operation.profileID, amounts: operation.amounts,
            minimums: operation.minimums, isPartial: operation.mode == .partial)
        let verdict = judge(ask)
        if case .overflows = verdict { return .failure(.badField) }
        if operation.mode != .checkOnly {
            judgeEndedWindows(tenantID: tenantID, profileID: operation.profileID)
        }
        switch verdict {
        case .overflows: break
        case .refused(let limits, let tripped, let warnings):
            answer.refused = LimitSet(limits.map { LimitSet($0.kind) })
            answer.warnings = warnings
            answer.treatment = .reject
            if operation.mode != .checkOnly {
                raiseAlarms(
                    tenantID: tenantID, Touched(refused: limits, trippedByRefusal: tripped))
            }
        case .fits(let granted, let warnings):
            answer.decision = .allowed
            answer.warnings = warnings
            switch operation.mode {
            case .checkOnly: break
            case .commit:
                let raised = chargeNow(
                    granted, tenantID: tenantID, profileID: operation.profileID)
                raiseAlarms(tenantID: tenantID, Touched(raised: raised))
            case .reserve, .partial:
                if operation.mode == .partial { answer.granted = granted.withoutZeros }
                // Choice: a hold of zeros is a reservation too; a commit may follow.
                reservations.append(Reservation(operation, now: now, self))
                addSlice(granted, to: reservations.count)
                answer.reservation = reservations.count
                answer.expiresAt = reservations[reservations.count - 1].expiresAt
                raiseAlarms(
                    ofHolding: granted, tenantID: tenantID, profileID: operation.profileID)
            }
        }
        answer.tenantStatus = tenants[tenantID]?.status ?? .closed
        return .check(answer)
    }

    // MARK: Extend

    mutating func extend(_ operation: ExtendOperation) -> ModelAnswer {
        let ordinal = operation.reservation
        guard isRemembered(reservation: ordinal) else { return .failure(.notFound) }
        let tenantID = reservations[ordinal - 1].tenantID
        let profileID = reservations[ordinal - 1].profileID
        // Choice: to ask for room or time is a new request, not a settlement.
        guard let tenant = tenants[tenantID], tenant.status != .closed else {
            return .failure(.notFound)
        }
        let content = """
            extend \(ordinal)|\(operation.ttlMilliseconds)|\(Self.sorted(operation.additional))|\
            \(Self.sorted(operation.minimums, of: operation.additional, operation.mode))|\
            \(operation.mode)
            """
        if let stored = storedAnswer(tenantID: tenantID, key: operation.key, content: content) {
            return stored
        }
        guard isUsable(profileID, profiles[profileID]?.settings.kind, tenantID: tenantID) else {
            return .failure(.notFound)
        }
        switch reservations[ordinal - 1].state {
        case .open: break
        case .expired, .expiredCharged: return .failure(.reservationExpired)
        // Choice: once settled it reads as settled, even if it had expired before.
        case .committed, .released: return .failure(.alreadySettled)
        }
        let answer = decide(operation, tenant)
        store(answer, tenantID: tenantID, key: operation.key, content: content)
        return answer
    }

    /// Whether a reservation would hold more than 64 bits in all its windows together.
    private func outgrows(_ reservation: Reservation, _ granted: ModelAmounts) -> Bool {
        granted.contains { resource, amount in
            reservation.held(resource).addingReportingOverflow(amount).overflow
        }
    }

    private mutating func decide(_ operation: ExtendOperation, _ tenant: Tenant) -> ModelAnswer {
        let reservation = reservations[operation.reservation - 1]
        var answer = ModelExtendAnswer()
        answer.expiresAt = reservation.expiresAt
        // Choice: additional room of zeros is none, so time alone.
        let asksForRoom = operation.additional.values.contains { $0 > 0 }
        if asksForRoom && tenant.status == .suspended {
            judgeEndedWindows(tenantID: reservation.tenantID, profileID: reservation.profileID)
            answer.refusedBySuspension = true
            answer.treatment = .suspended(reservation.action)
            return .extend(answer)
        }
        let ask = Ask(
            tenantID: reservation.tenantID, profileID: reservation.profileID,
            amounts: operation.additional, minimums: operation.minimums,
            isPartial: operation.mode == .partial)
        let verdict = judge(ask)
        if case .overflows = verdict { return .failure(.badField) }
        if case .fits(let granted, _) = verdict, outgrows(reservation, granted) {
            return .failure(.badField)
        }
        judgeEndedWindows(tenantID: reservation.tenantID, profileID: reservation.profileID)
        switch verdict {
        case .overflows: break
        case .refused(let limits, let tripped, let warnings):
            answer.refused = LimitSet(limits.map { LimitSet($0.kind) })
            answer.warnings = warnings
            answer.treatment = .reject
            raiseAlarms(
                tenantID: reservation.tenantID,
                Touched(refused: limits, trippedByRefusal: tripped))
        case .fits(let granted, let warnings):
            answer.decision = .allowed
            answer.warnings = warnings
            if operation.mode == .partial { answer.granted = granted.withoutZeros }
            addSlice(granted, to: operation.reservation)
            raiseAlarms(
                ofHolding: granted, tenantID: reservation.tenantID,
                profileID: reservation.profileID)
            if operation.ttlMilliseconds > 0 {
                let wanted = min(now + operation.ttlMilliseconds, reservation.latestExpiry)
                answer.expiresAt = max(reservation.expiresAt, wanted)
                reservations[operation.reservation - 1].expiresAt = answer.expiresAt
            }
        }
        return .extend(answer)
    }
}
