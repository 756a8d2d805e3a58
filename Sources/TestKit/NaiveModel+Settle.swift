import Limits

// Holds, and what becomes of them (semantics §2 and §3).
extension NaiveModel {
    /// What was held at one instant, in the windows of that instant.
    struct Slice {
        /// Without zeros.
        var amounts: ModelAmounts
        /// Window start by limit; 0 where there is none. All limits of the hold, held or not.
        var windows: [LimitKind: Int64]
    }

    struct Reservation {
        enum State {
            case open
            /// Expired by RELEASE: free again; a late commit may follow.
            case expired
            /// Expired by COMMIT: charged in full, provisionally.
            case expiredCharged
            /// `actual` is the request's content after defaults.
            case committed(actual: ModelAmounts, ModelCommitAnswer)
            /// `afterExpiry`: there was nothing left to free.
            case released(afterExpiry: Bool)
        }

        var tenantID: String
        var profileID: String
        var action: Action
        var onExpiry: ExpiryPolicy
        var overage: OveragePolicy
        var expiresAt: Int64
        /// The total life of a reservation is bounded.
        var latestExpiry: Int64
        var state = State.open
        /// When it left the open state for good or for now; it is remembered from then on.
        var settledAt: Int64 = 0
        /// Oldest first.
        var slices: [Slice] = []

        init(_ operation: CheckOperation, now: Int64, _ model: NaiveModel) {
            tenantID = operation.tenantID
            profileID = operation.profileID
            action = operation.action
            onExpiry = operation.onExpiry
            overage = operation.overage
            latestExpiry = now + model.maximumLifeMilliseconds
            expiresAt = min(now + operation.ttlMilliseconds, latestExpiry)
        }

        var isOpen: Bool {
            if case .open = state { true } else { false }
        }

        func held(_ resource: Resource) -> Int64 {
            slices.reduce(0) { $0 + ($1.amounts[resource] ?? 0) }
        }

        /// What was held, by resource, without zeros.
        var held: ModelAmounts {
            var result: ModelAmounts = [:]
            for resource in Resource.allCases { result[resource] = held(resource) }
            return result.withoutZeros
        }

        /// What of it can be charged: what is only ever held is freed, and costs nothing.
        var chargeable: ModelAmounts { held.filter { NaiveModel.isOnlyHeld($0.key) == false } }
    }

    /// Open, or settled no longer ago than the retention.
    package func isRemembered(reservation ordinal: Int) -> Bool {
        guard (1...max(1, reservations.count)).contains(ordinal), reservations.isEmpty == false
        else { return false }
        let reservation = reservations[ordinal - 1]
        // "A hold that was charged at its expiry is remembered for 24 h."
        var retention = retentionMilliseconds
        if case .expiredCharged = reservation.state { retention = max(retention, 86_400_000) }
        return reservation.isOpen || now < reservation.settledAt + retention
    }

    private func limits(_ reservation: Reservation, _ resource: Resource) -> [LimitReference] {
        limits(
            counting: resource, tenantID: reservation.tenantID, profileID: reservation.profileID)
    }

    // MARK: Holding

    /// Holds amounts in the then-current windows.
    mutating func addSlice(_ amounts: ModelAmounts, to ordinal: Int) {
        let reservation = reservations[ordinal - 1]
        var windows: [LimitKind: Int64] = [:]
        for resource in Resource.allCases {
            for limit in limits(reservation, resource) {
                let key = currentTotal(limit)
                windows[limit.kind] = key.windowStart
                totals[key, default: Total()].held += amounts[resource] ?? 0
            }
        }
        // Choice: an extension by time alone leaves no trace in the list of windows.
        let slice = Slice(amounts: amounts.withoutZeros, windows: windows)
        if reservation.slices.isEmpty || slice.amounts.isEmpty == false {
            reservations[ordinal - 1].slices.append(slice)
        }
    }

    /// Gives everything back that a reservation holds.
    /// "An operator's action on a tenant ends all its holds at once as expired with RELEASE."
    mutating func endHolds(of tenantID: String) {
        for index in reservations.indices
        where reservations[index].tenantID.hasSameBytes(as: tenantID) && reservations[index].isOpen
        {
            judgeEndedWindows(tenantID: tenantID, profileID: reservations[index].profileID)
            free(index + 1)
            reservations[index].state = .expired
            reservations[index].settledAt = now
        }
    }

    private mutating func free(_ ordinal: Int) {
        let reservation = reservations[ordinal - 1]
        for slice in reservation.slices {
            for (resource, amount) in slice.amounts {
                for limit in limits(reservation, resource) {
                    let key = TotalKey(limit: limit, windowStart: slice.windows[limit.kind] ?? 0)
                    totals[key, default: Total()].held -= amount
                }
            }
        }
    }

    // MARK: Charging

    /// What to add to committed totals; negative for a correction.
    typealias Charges = [TotalKey: Int128]

    /// What a commit charges for a hold: what was held to its own windows, the oldest first; what is above it to the
    /// windows that are open at the commit, "where it became known".
    ///
    /// - Parameter hold: nil: nothing is held any more, so all of it is above the hold.
    private func spread(
        _ actual: ModelAmounts, over hold: [Slice]?, _ reservation: Reservation
    ) -> Charges {
        var charges: Charges = [:]
        for (resource, amount) in actual {
            var rest = amount
            for slice in hold ?? [] {
                let part = min(rest, slice.amounts[resource] ?? 0)
                rest -= part
                for limit in limits(reservation, resource) {
                    let key = TotalKey(limit: limit, windowStart: slice.windows[limit.kind] ?? 0)
                    charges[key, default: 0] += Int128(part)
                }
            }
            for limit in limits(reservation, resource) {
                charges[currentTotal(limit), default: 0] += Int128(rest)
            }
        }
        return charges
    }

    /// Whether every committed and used total stays countable, and none falls below zero.
    func isCountable(_ charges: Charges) -> Bool {
        charges.allSatisfy { key, amount in
            let committed = Int128(total(key).committed) + amount
            return committed >= 0 && committed + Int128(total(key).held) <= Int128(Int64.max)
        }
    }

    /// Adds charges that are countable.
    ///
    /// - Returns: The limits whose present total was raised. Charges to a closed window neither
    ///   alert nor suspend, so they are not among them.
    mutating func charge(_ charges: Charges) -> Set<LimitReference> {
        var raised: Set<LimitReference> = []
        for (key, amount) in charges {
            totals[key, default: Total()].committed += Int64(amount)
            if amount > 0 && key == currentTotal(key.limit) { raised.insert(key.limit) }
        }
        return raised
    }

    func chargesNow(
        _ amounts: ModelAmounts, tenantID: String, profileID: String
    ) -> Charges {
        var charges: Charges = [:]
        for (resource, amount) in amounts {
            for limit in limits(counting: resource, tenantID: tenantID, profileID: profileID) {
                charges[currentTotal(limit)] = Int128(amount)
            }
        }
        return charges
    }

    /// Charges amounts that fit to the current windows.
    mutating func chargeNow(
        _ amounts: ModelAmounts, tenantID: String, profileID: String
    ) -> Set<LimitReference> {
        charge(chargesNow(amounts, tenantID: tenantID, profileID: profileID))
    }

    /// Takes back what `chargeNow` has charged at this instant.
    mutating func reverse(_ amounts: ModelAmounts, tenantID: String, profileID: String) {
        for (key, amount) in chargesNow(amounts, tenantID: tenantID, profileID: profileID) {
            totals[key, default: Total()].committed -= Int64(amount)
        }
    }

    // MARK: Commit

    mutating func commit(_ ordinal: Int, actual: ModelAmounts) -> ModelAnswer {
        // Choice: naming what is only ever held is wrong even with an amount of 0.
        guard actual.allSatisfy({ $0.value >= 0 && Self.isOnlyHeld($0.key) == false }) else {
            return .failure(.badField)
        }
        guard isRemembered(reservation: ordinal) else { return .failure(.notFound) }
        let reservation = reservations[ordinal - 1]
        // "Empty `actual` = what was held; otherwise an absent resource is 0."
        let wanted = actual.isEmpty ? reservation.chargeable : actual.withoutZeros
        switch reservation.state {
        case .released:
            return .failure(.alreadySettled)
        case .committed(let earlier, var answer):
            guard earlier == wanted else { return .failure(.alreadySettled) }
            answer.replayed = true
            return .commit(answer)
        case .open:
            return commitInTime(ordinal, wanted)
        case .expired:
            return settle(
                ordinal, wanted: wanted, charged: wanted, isLate: true,
                spread(wanted, over: nil, reservation))
        case .expiredCharged:
            // It replaces the provisional charge: actual − charged. Above it, it is excess; below it, the windows of the
            // hold are corrected.
            var corrections = spread(wanted, over: reservation.slices, reservation)
            let provisional = spread(
                reservation.chargeable, over: reservation.slices, reservation)
            for (key, amount) in provisional {
                corrections[key, default: 0] -= amount
            }
            return settle(
                ordinal, wanted: wanted, charged: wanted, isLate: true, corrections)
        }
    }

    private mutating func commitInTime(_ ordinal: Int, _ wanted: ModelAmounts) -> ModelAnswer {
        let reservation = reservations[ordinal - 1]
        var charged = wanted
        for (resource, amount) in wanted {
            let held = reservation.held(resource)
            guard amount > held else { continue }
            switch reservation.overage {
            case .record: break
            case .reject: return .failure(.exceedsReservation)
            case .cap:
                let room = leastRoom(for: resource, reservation)
                charged[resource] = held + min(amount - held, room)
            }
        }
        let before = self
        judgeEndedWindows(tenantID: reservation.tenantID, profileID: reservation.profileID)
        free(ordinal)
        let answer = settle(
            ordinal, wanted: wanted, charged: charged, isLate: false,
            spread(charged, over: reservation.slices, reservation))
        if case .failure = answer { self = before }
        return answer
    }

    /// What the blocking limits leave above everything that is used, in the windows that are open now: an excess is
    /// charged there.
    private func leastRoom(for resource: Resource, _ reservation: Reservation) -> Int64 {
        let rooms = limits(reservation, resource).filter(isBlocking).compactMap {
            limit -> Int128? in
            guard let cap = cap(of: limit) else { return nil }
            let total = total(currentTotal(limit))
            return max(0, Int128(cap) - Int128(total.committed) - Int128(total.held))
        }
        return rooms.min().map { Int64($0) } ?? Int64.max
    }

    private mutating func settle(
        _ ordinal: Int, wanted: ModelAmounts, charged: ModelAmounts, isLate: Bool,
        _ charges: Charges
    ) -> ModelAnswer {
        guard isCountable(charges) else { return .failure(.badField) }
        let tenantID = reservations[ordinal - 1].tenantID
        judgeEndedWindows(tenantID: tenantID, profileID: reservations[ordinal - 1].profileID)
        let raised = charge(charges)
        raiseAlarms(tenantID: tenantID, Touched(raised: raised))
        var answer = ModelCommitAnswer()
        answer.committed = charged.withoutZeros
        for (resource, amount) in wanted {
            answer.uncharged[resource] = amount - (charged[resource] ?? 0)
        }
        answer.uncharged = answer.uncharged.withoutZeros
        answer.late = isLate
        answer.warnings = reachedOrPassed(raised)
        answer.tenantStatus = tenants[tenantID]?.status ?? .closed
        reservations[ordinal - 1].state = .committed(actual: wanted, answer)
        reservations[ordinal - 1].settledAt = now
        return .commit(answer)
    }

    // MARK: Release and expiry

    mutating func release(_ ordinal: Int) -> ModelAnswer {
        guard isRemembered(reservation: ordinal) else { return .failure(.notFound) }
        var answer = ModelReleaseAnswer()
        switch reservations[ordinal - 1].state {
        case .committed, .expiredCharged:
            return .failure(.alreadySettled)
        case .released(let isAfterExpiry):
            answer.replayed = true
            answer.expired = isAfterExpiry
            return .release(answer)
        case .open:
            judgeEndedWindows(
                tenantID: reservations[ordinal - 1].tenantID,
                profileID: reservations[ordinal - 1].profileID)
            free(ordinal)
        case .expired:
            judgeEndedWindows(
                tenantID: reservations[ordinal - 1].tenantID,
                profileID: reservations[ordinal - 1].profileID)
            // Choice: the caller has settled it; a commit afterwards is one after a release.
            answer.expired = true
        }
        reservations[ordinal - 1].state = .released(afterExpiry: answer.expired)
        reservations[ordinal - 1].settledAt = now
        return .release(answer)
    }

    /// Choice: in the order of their expiry, then of their creation.
    mutating func expireOverdue() {
        let overdue = reservations.indices.filter {
            reservations[$0].isOpen && isOverdue(reservations[$0].expiresAt, now)
        }
        for index in overdue.sorted(by: {
            (reservations[$0].expiresAt, $0) < (reservations[$1].expiresAt, $1)
        }) {
            expire(index + 1)
        }
    }

    private mutating func expire(_ ordinal: Int) {
        let reservation = reservations[ordinal - 1]
        judgeEndedWindows(tenantID: reservation.tenantID, profileID: reservation.profileID)
        free(ordinal)
        reservations[ordinal - 1].settledAt = now
        switch reservation.onExpiry {
        case .release:
            reservations[ordinal - 1].state = .expired
        case .commit:
            reservations[ordinal - 1].state = .expiredCharged
            let raised = charge(
                spread(reservation.chargeable, over: reservation.slices, reservation))
            raiseAlarms(tenantID: reservation.tenantID, Touched(raised: raised))
        }
    }
}
