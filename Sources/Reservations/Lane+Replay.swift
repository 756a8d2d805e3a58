package import Limits

// Recovery and the checkpoint's fold: records are played back into a table that nobody serves from yet, by one
// thread. What a record does to states is `Decide.Subjects.replay`; slots, keys and nodes are the lane's.
extension Lane {
    /// Plays a record back that changes neither a tenant's nor a profile's settings.
    ///
    /// Records of one tenant are to come in the order of their versions; those of different tenants in any order.
    ///
    /// - Parameter now: idempotency keys that are over by then are left out.
    package func replay(_ record: borrowing Record, now: Int64) -> Replayed {
        guard let head = openReplayed(record) else { return .outOfOrder }
        defer { own.pointee.replays = false }
        switch record.order(after: own.pointee.subjects.tenant.version) {
        case .duplicate: return .duplicate
        case .outOfOrder: return .outOfOrder
        case .next: break
        }
        if let fault = takeEffect(record, .none) { return .corrupt(fault) }
        switch record.kind {
        case .reserved:
            guard create(record, Int(record.tenant)) else {
                return .corrupt(
                    """
                    reservation \(record.reservationID) does not fit: --max-reservations \
                    must not be lower than before
                    """)
            }
        case .committed, .committedLate, .released, .releasedLate, .expired, .expiredCharged,
            .forgotten, .extended:
            if let fault = moveSlot(record) { return .corrupt(fault) }
        case .holdMoved:
            if let fault = moveHoldAgain(record) { return .corrupt(fault) }
        default: break
        }
        if record.hasKey, record.keyUntil >= now, !rememberAgain(record) {
            return .corrupt(
                "more idempotency keys than the table has room for: raise --max-remembered")
        }
        swingReplayed(record, head)
        return .applied
    }

    /// Plays a tenant's creation or change of settings back.
    package func replay(
        _ record: borrowing Record, _ id: BorrowedBytes, _ policy: TenantPolicy
    ) throws(TableError) -> Replayed {
        guard let head = openReplayed(record) else {
            guard record.kind == .tenantCreated else { return .outOfOrder }
            own.pointee.replays = true
            defer { own.pointee.replays = false }
            let state = TenantState(record, policy, table.rules)
            try placeAgain(id, state, at: Int(record.tenant))
            return .applied
        }
        defer { own.pointee.replays = false }
        return replaySettings(record, head, .tenant(policy))
    }

    /// Plays a profile's creation or change of settings back.
    package func replay(
        _ record: borrowing Record, _ id: BorrowedBytes, _ policy: ProfilePolicy
    ) throws(TableError) -> Replayed {
        guard let profile = record.profile else {
            return .corrupt("profile settings without a profile")
        }
        guard let head = openReplayed(record) else { return .outOfOrder }
        defer { own.pointee.replays = false }
        let isNext = record.order(after: own.pointee.subjects.tenant.version) == .next
        if isNext, record.kind == .profileCreated {
            try placeProfileAgain(id, at: Int(profile), of: Int(record.tenant))
        }
        return replaySettings(record, head, .profile(policy))
    }

    private func replaySettings(
        _ record: borrowing Record, _ head: Head, _ policy: PolicyChange
    ) -> Replayed {
        switch record.order(after: own.pointee.subjects.tenant.version) {
        case .duplicate: return .duplicate
        case .outOfOrder: return .outOfOrder
        case .next: break
        }
        if let fault = takeEffect(record, policy) { return .corrupt(fault) }
        swingReplayed(record, head)
        return .applied
    }

    /// Opens the record's tenant and begins to play back; nil: there is no such tenant.
    @inline(__always)
    private func openReplayed(_ record: borrowing Record) -> Head? {
        let tenant = Int(record.tenant)
        guard tenant < table.tenantCount, table.tenantCells[tenant][TenantCell.head] != 0 else {
            return nil
        }
        own.pointee.replays = true
        return open(tenant)
    }

    /// Has the record take effect on the copies of its subjects. Returns what contradicts them.
    @inline(__always)
    private func takeEffect(_ record: borrowing Record, _ policy: PolicyChange) -> String? {
        if let profile = record.profile {
            guard Int(profile) < table.profileCells.capacity,
                table.profileCells[Int(profile)][ProfileCell.head] != 0,
                table.profileCells[Int(profile)][ProfileCell.tenant] == UInt64(record.tenant)
            else { return "profile \(profile) belongs to another tenant" }
            openProfile(Int(profile))
        } else {
            openProfile(nil)
        }
        own.pointee.next.flags = 0
        own.pointee.transition = record.transition
        own.pointee.openedCycle = record.openedCycleEnd != 0
        own.pointee.openedTenantDay = record.openedTenantDayEnd != 0
        own.pointee.openedDay = record.openedDay != 0
        return own.pointee.subjects.replay(
            record, &own.pointee.transition, policy, table.rules, atWindowEnd: { _ in })
    }

    @inline(__always)
    private func swingReplayed(_ record: borrowing Record, _ head: Head) {
        let swung = swingApplied(Int(record.tenant), head, now: record.time)
        precondition(swung, "a table that is played back has one thread")
    }

    /// The first of the two places that playing back a record with this key touches, for a prefetch.
    @inline(__always)
    package func bucket(ofKey low: UInt64) -> UnsafeRawPointer { table.keys.bucketAddress(low) }

    /// The second one, which the first one names; nil: there is none. Reads the first.
    @inline(__always)
    package func entry(ofKey low: UInt64) -> UnsafeRawPointer? { table.keys.firstAddress(low) }

    /// Expires every hold that is due, whoever times it: after recovery, before anybody is served.
    ///
    /// - Parameter waitForRoom: called when the journal has no room; returns when it may have some. False: it may
    ///   never have, and the rest stays as it is.
    /// - Complexity: O(slots)
    package func expireOverdue(now: Int64, waitForRoom: () -> Bool) {
        for slot in 0..<min(Int(table.counter(.slots)[0]), table.slots.capacity) {
            while true {
                let word = SlotWord(word: table.slots[slot][Slot.state])
                guard word.phase == .held, isDue(slot, word, now: now) else { break }
                if isReady {
                    expire(slot, word, now: now)
                } else if !waitForRoom() {
                    return
                }
            }
        }
    }

    /// Puts a tenant into the cell that it had, and sees to it that the next one gets another.
    func placeAgain(_ id: BorrowedBytes, _ state: TenantState, at tenant: Int) throws(TableError) {
        guard tenant < table.capacity.tenants else { throw TableError.full("tenants") }
        table.counter(.tenants)[0] = max(table.counter(.tenants)[0], UInt64(tenant + 1))
        own.pointee.origin = .none
        guard try place(id, state, at: tenant) == tenant else {
            throw TableError.invalid("two tenants have the same id")
        }
    }

    func placeProfileAgain(_ id: BorrowedBytes, at profile: Int, of tenant: Int) throws(TableError)
    {
        guard profile < table.capacity.profiles else { throw TableError.full("profiles") }
        table.counter(.profiles)[0] = max(table.counter(.profiles)[0], UInt64(profile + 1))
        guard try placeProfile(id, at: profile, of: tenant) == profile else {
            throw TableError.invalid("two profiles have one id")
        }
    }

    /// Fills the slot of a reservation that the record made.
    private func create(_ record: borrowing Record, _ tenant: Int) -> Bool {
        let id = ReservationID(raw: record.reservationID)
        guard id.slot >= 0, id.slot < table.slots.capacity, id.generation != 0,
            id.generation <= ReservationID.lastGeneration
        else { return false }
        let words = table.slots[id.slot]
        let before = SlotWord(word: words[Slot.state])
        // An id is given once: a journal in which two records make one reservation is not one that was written.
        guard before.generation != id.generation else { return false }
        if before.phase != .free {
            table.countSlot(-1, of: Int(truncatingIfNeeded: words[Slot.subjects] & 0xffff_ffff))
        }
        table.countSlot(1, of: tenant)
        countRestored(1)
        if let body = before.body { table.giveBody(body, steps) }
        words[Slot.state] = SlotWord(generation: id.generation, phase: .held).word
        words[Slot.published] = id.generation &<< 1
        table.noteUsed(id.slot, generation: id.generation)
        fill(
            id.slot, generation: id.generation, tenant: tenant,
            profile: own.pointee.subjects.hasProfile ? own.pointee.profile : nil,
            policy: HoldState.policy(record.action, record.onExpiry, record.overage),
            createdAt: record.life, takenAt: record.time, expiresAt: record.expiresAt)
        return true
    }

    /// Moves the slot of the record's reservation on. Returns what contradicts it.
    private func moveSlot(_ record: borrowing Record) -> String? {
        let id = ReservationID(raw: record.reservationID)
        guard id.slot >= 0, id.slot < table.slots.capacity else { return "no such slot" }
        let words = table.slots[id.slot]
        let word = SlotWord(word: words[Slot.state])
        // Forgotten, and its slot used again by another tenant, whose record was written first.
        if word.generation != id.generation || word.phase == .free { return nil }
        guard Int(truncatingIfNeeded: words[Slot.subjects] & 0xffff_ffff) == Int(record.tenant)
        else { return "reservation \(record.reservationID) belongs to another tenant" }
        loadHold(words, word, hasProfile: own.pointee.subjects.hasProfile)
        guard let next = nextWord(record, word, words) else {
            return
                "more reservations with other amounts than the table has room for: raise --max-amended"
        }
        own.pointee.next.flags |= Pending.swing
        own.pointee.next.slot = id.slot
        own.pointee.next.slotOld = word.word
        own.pointee.next.slotNew = next.word
        if let old = word.body, old != next.body { table.giveBody(old, steps) }
        if word.phase == .held, next.phase != .held { countRestored(-1) }
        if next.phase == .free { table.countSlot(-1, of: Int(record.tenant)) }
        return nil
    }

    /// The slot's word after the record; nil: no body is left.
    private func nextWord(_ record: borrowing Record, _ word: SlotWord, _ words: Words) -> SlotWord?
    {
        switch record.kind {
        case .released: return settled(words, record, word.next(.released, body: word.body))
        case .releasedLate: return settled(words, record, word.next(.releasedLate, body: word.body))
        case .expired: return settled(words, record, word.next(.expiredReleased, body: word.body))
        case .expiredCharged:
            return settled(words, record, word.next(.expiredCharged, body: word.body))
        case .forgotten: return word.next(.free, body: nil)
        case .extended:
            let grows = !record.transition.held.isEmpty
            let expiresAt = record.expiresAt
            if !grows && expiresAt == own.pointee.hold.expiresAt { return word }
            if grows { _ = addSegment() }
            guard let body = takeBodyAgain(now: record.life) else { return nil }
            storeSegments(to: table.bodies[body], expiresAt: record.expiresAt)
            return word.next(.held, body: body)
        default:
            let late = record.kind == .committedLate
            let asHeld = record.asked.isEmpty
            if asHeld && !late {
                let next = word.settled(
                    .committed, body: word.body, warnings: record.warnings,
                    tenantStatus: record.tenantStatus)
                return settled(words, record, next)
            }
            guard let body = takeBodyAgain(now: record.life) else { return nil }
            fillSettlement(body, record)
            let next = word.settled(
                late ? .committedLate : .committedOther, body: body, warnings: record.warnings,
                tenantStatus: record.tenantStatus)
            return settled(words, record, next)
        }
    }

    /// A body for what a record says; nil: none is left.
    ///
    /// A settled reservation is forgotten without a record. While it ran, the process had its body again from then on; here
    /// it would stay until another reservation is born in its slot. So where bodies are scarce, those are freed that were
    /// free by the record's time. O(1) but for a look at all slots, once for as many bodies as it finds.
    private func takeBodyAgain(now: Int64) -> Int? {
        if let body = table.takeBody(steps) { return body }
        if own.pointee.forgetting.isEmpty { own.pointee.forgetting = settledWithBodies() }
        while let next = own.pointee.forgetting.last, next.time <= now {
            own.pointee.forgetting.removeLast()
            let words = table.slots[next.slot]
            // Another one has been born there.
            guard words[Slot.state] == next.word.word, let body = next.word.body else { continue }
            words[Slot.state] = SlotWord(generation: next.word.generation, phase: .free).word
            table.countSlot(-1, of: Int(truncatingIfNeeded: words[Slot.subjects] & 0xffff_ffff))
            table.giveBody(body, steps)
            if let body = table.takeBody(steps) { return body }
        }
        return nil
    }

    /// Settled reservations with bodies, of whose end there will be no record; those that are forgotten first are last.
    private func settledWithBodies() -> [ReplayedBody] {
        var found: [ReplayedBody] = []
        for slot in 0..<min(Int(table.counter(.slots)[0]), table.slots.capacity) {
            let words = table.slots[slot]
            let word = SlotWord(word: words[Slot.state])
            guard word.body != nil, word.phase != .free, word.phase != .held, !word.phase.isExpired,
                let time = ForgetTime(word: words[Slot.forgetting]).time(of: word)
            else { continue }
            found.append(ReplayedBody(time: time, slot: slot, word: word))
        }
        return found.sorted { $0.time > $1.time }
    }

    /// Notes when the settled reservation is forgotten.
    private func settled(_ words: Words, _ record: borrowing Record, _ word: SlotWord) -> SlotWord {
        words[Slot.forgetting] = ForgetTime(record.life + table.capacity.retention, word).word
        return word
    }

    private func fillSettlement(_ body: Int, _ record: borrowing Record) {
        let held = own.pointee.hold.total
        var charged = record.asked
        var uncharged = Amounts()
        charged.present |= held.present
        if !record.charged.isEmpty {
            for resource in charged.resources where charged[resource] > held[resource] {
                uncharged.set(resource, charged[resource] - record.charged[resource])
            }
            charged = record.charged
        }
        fill(body, held: held, asked: record.asked, charged: charged, uncharged: uncharged)
    }

    /// Puts the record's answer under its key again.
    private func rememberAgain(_ record: borrowing Record) -> Bool {
        var stored = KeyedAnswer()
        stored.decision = record.decision
        stored.warnings = record.warnings
        stored.tenantStatus = record.tenantStatus
        stored.reservationID = record.reservationID
        stored.expiresAt = record.expiresAt
        stored.granted = record.granted(table.rules)
        var key = KeyRequest()
        key.hash = KeyHash(high: record.keyHigh, low: record.keyLow)
        key.content = record.contentHash
        key.until = record.keyUntil
        key.tenant = Int(record.tenant)
        return remember(stored, &key, now: record.life) == nil
    }
}
