package import Limits

extension Lane {
    /// Extend: a later expiry, more room, or both. Linearizes as `check`.
    package func extend(_ command: ExtendCommand, now: Int64, answer: inout ExtendAnswer)
        -> Failure?
    {
        var body: Int?
        defer { if let unused = body { table.giveBody(unused, steps) } }
        var key = KeyRequest()
        let keyed = command.idempotencyKey.count > 0
        let asksForRoom = !command.additional.isEmpty
        while true {
            guard asksForRoom ? mayReserve : isReady else { return noRoom() }
            guard let open = openReservation(command.reservationID) else {
                return .unknownReservation
            }
            // To ask for room or time is a new request, not a settlement.
            if own.pointee.subjects.tenant.status == .closed { return .unknownReservation }
            var isBound = false
            if keyed {
                identify(&key, command, open)
                if let found = table.keys.find(key.hash, content: key.content, now: now) {
                    guard isCurrent(open.tenant, open.head) else { continue }
                    guard found.same else { return .keyReused }
                    if found.answer.decision == .allowed {
                        replay(found.answer, into: &answer)
                        return nil
                    }
                    // A denial is no stored answer: decided anew.
                    isBound = true
                }
            }
            if own.pointee.subjects.hasProfile && own.pointee.subjects.profile.closed {
                return .unknownProfile(own.pointee.subjects.profile.kind)
            }
            if let failure = open.word.phase.refusalOfExtension { return failure }
            begin(now: now)
            let verdict = decide(command, &answer)
            if verdict == .overflow || outgrows() { return .overflow(of: "/additional") }
            let oldExpiry = own.pointee.hold.expiresAt
            answer.expiresAt = verdict == .allowed ? newExpiry(command, now: now) : oldExpiry
            let grows = verdict == .allowed && !own.pointee.transition.held.isEmpty
            let moves = grows || answer.expiresAt != oldExpiry
            let keeps = keyed && (verdict == .allowed || !isBound)
            if moves || keeps || !own.pointee.transition.isEmpty || opensWindow {
                // Time alone draws on what reservations leave.
                if keeps, asksForRoom,
                    let failure = refusalOfShare(open.tenant, slot: false, key: true)
                {
                    return failure
                }
                if moves,
                    let failure = fill(&body, open.word, grows: grows, expiresAt: answer.expiresAt)
                {
                    return failure
                }
                if keeps, let failure = remember(stored(answer), &key, now: now) { return failure }
                beginRecord(
                    verdict == .denied ? .extensionDenied : .extended, keeps ? key : KeyRequest())
                describe(command, answer)
                guard swing(open, moves: moves, body: body, now: now) else { continue }
                if moves { body = nil }
            } else if !keepsWindows(now: now) {
                return noRoom()
            }
            answer.tenantStatus = own.pointee.subjects.tenant.status
            Decide.describe(
                answer.refused.union(answer.warnings), &own.pointee.subjects, table.rules,
                asOf: windows(now), into: &answer.limits)
            return nil
        }
    }

    @inline(always)
    private func decide(_ command: ExtendCommand, _ answer: inout ExtendAnswer) -> Decide.Verdict {
        Decide.extend(
            &own.pointee.subjects, action: own.pointee.hold.action,
            additional: command.additional, minimums: command.minimums, mode: command.mode,
            table.rules, answer: &answer, transition: &own.pointee.transition)
    }

    /// Swings the head, where the reservation moves with the slot. False: another operation was first.
    @inline(always)
    private func swing(_ open: OpenSlot, moves: Bool, body: Int?, now: Int64) -> Bool {
        if moves { return settle(open, .held, body: body, now: now) }
        own.pointee.record.reservationID =
            ReservationID(slot: open.slot, generation: open.word.generation).raw
        return swing(open.tenant, open.head, now: now)
    }

    /// Fills in what a request's key is, unless an earlier attempt did.
    @inline(always)
    private func identify(_ key: inout KeyRequest, _ command: ExtendCommand, _ open: OpenSlot) {
        guard key.reference == 0 else { return }
        key.hash = table.secret.keyHash(tenant: UInt32(open.tenant), command.idempotencyKey)
        key.content = contentHash(command)
        key.tenant = open.tenant
    }

    /// Fills a body with the hold as it will be, and takes one unless an earlier attempt did. Returns why it cannot.
    ///
    /// - Parameter grows: room was granted.
    @inline(always)
    private func fill(
        _ taken: inout Int?, _ word: SlotWord, grows: Bool, expiresAt: Int64
    ) -> Failure? {
        guard !word.isExhausted else { return .tooManyExtensions }
        if grows, !addSegment() { return .tooManyWindows }
        if taken == nil { taken = table.takeBody(sparing: grows, steps) }
        guard let body = taken else { return .tableFull }
        storeSegments(to: table.bodies[body], expiresAt: expiresAt)
        return nil
    }

    private func describe(_ command: ExtendCommand, _ answer: ExtendAnswer) {
        guard records else { return }
        own.pointee.record.asked = command.additional
        own.pointee.record.mode = command.mode
        own.pointee.record.expiresAt = answer.expiresAt
        own.pointee.record.decision = answer.decision
        own.pointee.record.treatment = answer.treatment
        own.pointee.record.refusedBySuspension = answer.refusedBySuspension
        own.pointee.record.refused = answer.refused
        own.pointee.record.warnings = answer.warnings
    }

    /// max(old, now + ttl), within the reservation's longest life.
    private func newExpiry(_ command: ExtendCommand, now: Int64) -> Int64 {
        let old = own.pointee.hold.expiresAt
        guard command.ttlMilliseconds > 0 else { return old }
        let latest = own.pointee.hold.createdAt + table.capacity.maxLife
        return max(old, min(now + Int64(command.ttlMilliseconds), latest))
    }

    /// Whether the reservation would hold more than 64 bits in all its windows together.
    private func outgrows() -> Bool {
        let granted = Transition.amounts(own.pointee.transition.held, table.rules)
        let total = own.pointee.hold.total
        return granted.resources.contains {
            total[$0].addingReportingOverflow(granted[$0]).overflow
        }
    }

    /// Adds the room that was just granted to the newest segment, or as a new one where a window has changed.
    /// False: the reservation has room in too many windows already.
    func addSegment() -> Bool {
        let granted = Transition.amounts(own.pointee.transition.held, table.rules)
        var added = own.pointee.subjects.segment(granted)
        added.counters = own.pointee.transition.held.present
        let newest = own.pointee.hold.moreCount
        var segment = own.pointee.hold[newest]
        if segment.mayJoin(added, table.rules) {
            for resource in granted.resources {
                segment.amounts.set(resource, segment.amounts[resource] + granted[resource])
            }
            segment.counters |= added.counters
            own.pointee.hold[newest] = segment
            return true
        }
        guard own.pointee.hold.segmentCount < HoldState.maxSegments else { return false }
        own.pointee.hold.moreCount += 1
        own.pointee.hold[newest + 1] = added
        return true
    }

    func storeSegments(to body: Words, expiresAt: Int64) {
        body.setSigned(Body.expiresAt, expiresAt)
        body[Body.segmentCount] = UInt64(own.pointee.hold.segmentCount)
        for index in 0..<own.pointee.hold.segmentCount {
            Body.store(own.pointee.hold[index], to: body, index)
        }
    }

    private func stored(_ answer: ExtendAnswer) -> KeyedAnswer {
        var stored = KeyedAnswer()
        stored.decision = answer.decision
        stored.warnings = answer.warnings
        stored.expiresAt = answer.expiresAt
        stored.granted = answer.granted
        return stored
    }

    private func replay(_ stored: KeyedAnswer, into answer: inout ExtendAnswer) {
        answer = ExtendAnswer()
        answer.decision = stored.decision
        answer.replayed = true
        answer.warnings = stored.warnings
        answer.expiresAt = stored.expiresAt
        answer.granted = stored.granted
    }

    private func contentHash(_ command: ExtendCommand) -> UInt64 {
        var hasher = ContentHasher(table.secret, method: 2)
        hasher.add(command.reservationID)
        hasher.add(UInt64(command.ttlMilliseconds) | UInt64(command.mode.rawValue) &<< 32)
        hasher.add(command.additional)
        if command.mode == .partial { hasher.add(command.minimums, of: command.additional) }
        return hasher.finish()
    }
}

extension SlotWord.Phase {
    /// Why a reservation that has come to this cannot be extended; nil: it can.
    @inline(always)
    fileprivate var refusalOfExtension: Failure? {
        switch self {
        case .held: nil
        case .expiredReleased, .expiredCharged: Failure(.reservationExpired)
        case .free: .unknownReservation
        default: Failure(.alreadySettled)
        }
    }
}

extension Failure {
    static let tooManyExtensions = Failure(
        .unavailable,
        detail: "The reservation has been extended too often; commit it and make a new one")
    static let tooManyWindows = Failure(
        .unavailable, detail: "The reservation holds amounts in too many windows; commit it first")
}
