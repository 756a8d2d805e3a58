import Limits

extension Lane {
    /// How long a lane may be silent before others look after its reservations.
    static var silence: Int64 { 300 }
    /// Work of one tick at most, so that no request waits long behind it: a look at a settled reservation counts 1.
    static var dueLimit: Int { 16_384 }
    /// What an expiry counts: it is a transition of its tenant.
    static var expiryWork: Int { 32 }
    /// How long a timer runs at most: a reservation that is settled early is noticed, and begins to be forgotten,
    /// within this time.
    static var longestWait: Int64 { 60_000 }

    /// Lets time pass: expires what is due and forgets what was settled long enough ago. To be called by the lane's
    /// thread every 10 ms or so; requests need not wait for it.
    ///
    /// Each lane times the reservations it made. Where a lane has been silent for 300 ms, the others walk the
    /// slots themselves: a thread that stops delays no expiry.
    package func tick(now: Int64) {
        table.heartbeats[index].setSigned(0, now)
        wheel.pointee.advance(to: now, limit: Self.dueLimit) { slot, wheel in
            comesUp(slot, &wheel, now: now)
        }
        let lanes = min(Int(table.counter(.lanes)[0]), table.capacity.lanes)
        for lane in 0..<lanes where lane != index {
            let beat = table.heartbeats[lane].signed(0)
            if beat != 0 && beat + Self.silence < now {
                walkSlots(now: now)
                return
            }
        }
    }

    /// Ends the lane's timekeeping for good; the others take over the reservations it made, if any.
    package func retire() {
        table.heartbeats[index].setSigned(0, own.pointee.madeReservations ? 1 : 0)
    }

    /// A slot's timer is due.
    /// - Returns: the work that it was.
    private func comesUp(_ slot: Int, _ wheel: inout TimerWheel, now: Int64) -> Int {
        var work = 1
        let words = table.slots[slot]
        let word = SlotWord(word: words[Slot.state])
        if word.phase == .held {
            let expiresAt = expiry(words, word)
            if now < expiresAt {
                wheel.insert(slot, deadline: min(expiresAt, now + Self.longestWait))
                return work
            }
            expire(slot, word, now: now)
            work = Self.expiryWork
        }
        let settled = SlotWord(word: words[Slot.state])
        let phase = settled.phase
        if phase == .held {
            // Extended in the last instant.
            wheel.insert(slot, deadline: expiry(words, settled))
        } else if words[Slot.forgetAt] == 0 || words[Slot.forgetPhase] != phase.rawValue {
            let forgetAt = now + table.capacity.retention
            words.setSigned(Slot.forgetAt, forgetAt)
            words[Slot.forgetPhase] = phase.rawValue
            wheel.insert(slot, deadline: forgetAt)
        } else if now < words.signed(Slot.forgetAt) {
            // Set when it was played back.
            wheel.insert(slot, deadline: words.signed(Slot.forgetAt))
        } else if forget(slot, now: now) {
            giveSlot(slot)
        } else {
            // Committed late in the last instant: remembered anew.
            words[Slot.forgetAt] = 0
            wheel.insert(slot, deadline: now)
        }
        return work
    }

    /// When a held slot expires. The body may be replaced meanwhile: then the result is too early or too late by
    /// nobody's harm, since `expire` looks again and the timer was never later than the first expiry.
    private func expiry(_ words: Words, _ word: SlotWord) -> Int64 {
        guard let body = word.body else { return words.signed(Slot.expiresAt) }
        let expiresAt = table.bodies[body].signed(Body.expiresAt)
        guard words[Slot.state] == word.word else { return words.signed(Slot.expiresAt) }
        return expiresAt
    }

    /// Expires a hold if it is still open and due. Anybody may; it happens once.
    func expire(_ slot: Int, _ word: SlotWord, now: Int64) {
        let id = ReservationID(slot: slot, generation: word.generation)
        // Without room in the journal it comes up again with the next tick.
        while isReady, let open = openReservation(id.raw), open.word.phase == .held,
            own.pointee.hold.expiresAt <= now
        {
            begin(now: now)
            if own.pointee.hold.onExpiry == .commit {
                let settlement = Decide.commit(
                    &own.pointee.subjects, &own.pointee.hold, phase: .open, actual: Amounts(),
                    table.rules, transition: &own.pointee.transition,
                    closed: &own.pointee.closed)
                precondition(settlement.verdict == .allowed, "a hold is within the totals")
                beginRecord(.expiredCharged)
                recordClosedCharges()
                if settle(open, .expiredCharged, body: open.word.body, now: now) { return }
            } else {
                Decide.release(
                    &own.pointee.subjects, &own.pointee.hold, table.rules,
                    transition: &own.pointee.transition)
                beginRecord(.expired)
                if settle(open, .expiredReleased, body: open.word.body, now: now) { return }
            }
        }
    }

    /// Ends the memory of a settled reservation. Only its owner may. False: it was committed late just now.
    ///
    /// Where a late commit could still come, forgetting is a transition of the tenant, so that the two have an order.
    private func forget(_ slot: Int, now: Int64) -> Bool {
        let words = table.slots[slot]
        let word = SlotWord(word: words[Slot.state])
        switch word.phase {
        case .held:
            return false
        case .expiredReleased, .expiredCharged:
            let id = ReservationID(slot: slot, generation: word.generation)
            while isReady, let open = openReservation(id.raw), open.word == word {
                begin(now: now)
                beginRecord(.forgotten)
                if settle(open, .free, body: nil, now: now) { return true }
            }
            return false
        default:
            words[Slot.state] = SlotWord(generation: word.generation, phase: .free).word
            if let body = word.body { table.giveBody(body) }
            return true
        }
    }

    /// Expires overdue holds of any lane, a stretch of slots at a time; the whole table in 50 ticks.
    private func walkSlots(now: Int64) {
        let used = min(Int(table.counter(.slots)[0]), table.slots.capacity)
        guard used > 0 else { return }
        var left = max(1_024, used / 50)
        while left > 0 {
            left -= 1
            let slot = own.pointee.scanCursor
            own.pointee.scanCursor = slot + 1 < used ? slot + 1 : 0
            let words = table.slots[slot]
            let word = SlotWord(word: words[Slot.state])
            if word.phase == .held && words[Slot.birth] == word.generation &<< 1 | 1
                && expiry(words, word) + Self.silence < now
            {
                expire(slot, word, now: now)
            }
            if own.pointee.scanCursor == 0 && used <= 1_024 { return }
        }
    }
}
