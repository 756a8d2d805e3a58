import Journal
import Limits

extension Lane {
    /// How long a lane may be silent before others look after its reservations.
    static var silence: Int64 { 300 }
    /// Work of one tick at most, if nobody says less: a look at a settled reservation counts 1.
    static var dueLimit: Int { 16_384 }
    /// What an expiry counts, and the forgetting of one: it is a transition of its tenant.
    static var expiryWork: Int { 32 }
    /// Of the ring's words, a part is kept for expiries, and no round takes more of them: they neither wait for room
    /// behind requests that come without end, nor take it from them, nor make a round last.
    static var expiryShare: Int { 4 }
    /// How long a timer runs at most: a reservation that is settled early is noticed, and begins to be forgotten,
    /// within this time.
    static var longestWait: Int64 { 60_000 }

    /// How soon a reservation is looked at again that was taken over before it was decided.
    static var undecidedWait: Int64 { 200 }

    /// Lets time pass: expires what is due and forgets what was settled long enough ago. To be called by the lane's
    /// thread every 10 ms or so; requests need not wait for it.
    ///
    /// Each lane times the reservations it made. Those of a lane that has been silent for 300 ms are taken over by
    /// another one (`Lane+Takeover`): a thread that stops delays no expiry.
    ///
    /// - Parameter limit: the work at most, so that no request waits long behind it; nil: much. What is left over is done
    ///   by `workOff`, or by the next tick.
    @discardableResult
    package func tick(now: Int64, limit: Int? = nil) -> Overdue {
        let beat = table.heartbeats[index]
        // Never back, not even by the millisecond by which `comeBack` may be ahead: each silence has a time of its own.
        beat.setSigned(Heartbeat.time, max(now, beat.signed(Heartbeat.time)))
        let overdue = workOff(now: now, limit: limit ?? Self.dueLimit)
        shareSpareSlots()
        lookAfterOthers(now: now)
        table.keyShares.look(now: now)
        judgeEndedWindows(now: now)
        return overdue
    }

    /// What is left of the work that was due.
    package enum Overdue: Sendable {
        case nothing
        /// More than the limit allowed.
        case more
        /// The journal has no room for it until it has done a round.
        case waitsForJournal
    }

    /// Works off what is due by the last tick, or what it left over.
    package func workOff(now: Int64, limit: Int) -> Overdue {
        let isDone = wheel.pointee.advance(to: now, limit: limit, while: { mayExpire }) {
            id, wheel in
            timerFired(id, &wheel, now: now)
        }
        return isDone ? .nothing : mayExpire ? .more : .waitsForJournal
    }

    /// Whether there is room in the journal for what is due.
    @inline(always)
    private var mayExpire: Bool {
        guard let ring else { return true }
        let durable = ring.durable
        if durable != own.pointee.expiryRound {
            own.pointee.expiryRound = durable
            own.pointee.expiryWords = 0
            noteExpiryWords(0, ring)
        }
        return own.pointee.expiryWords < ring.capacity / Self.expiryShare && canExpire
    }

    /// Counts what expiries have put on record since the writer's last movement: it leaves less to be kept for them.
    private func noteExpiryWords(_ words: UInt64, _ ring: RecordRing) {
        own.pointee.expiryWords &+= Int(truncatingIfNeeded: words)
        keepRoom(forExpiries: max(0, ring.capacity / Self.expiryShare - own.pointee.expiryWords))
    }

    /// Whether there is room for the record of an expiry and its predecessor's.
    private var canExpire: Bool {
        guard let ring else { return true }
        return ring.hasRoom(2 &* RecordWords.most) && ring.isOpen
    }

    /// Ends the lane's timekeeping for good: its free memory goes to the others, who take over the reservations it
    /// made, if any.
    package func retire() {
        shareAllSlots()
        keySupply.pointee.retire(steps)
        wheel.pointee.clear()
        // What times nothing needs no room for expiries.
        keepRoom(forExpiries: 0)
        let beat = table.heartbeats[index]
        beat.setSigned(Heartbeat.walkBegun, 0)
        beat.setSigned(Heartbeat.walkDone, 0)
        beat.setSigned(Heartbeat.time, own.pointee.hasTimed ? 1 : 0)
    }

    /// A reservation's timer is due. What another lane times by now is left to it; expiring is anybody's.
    /// - Returns: the work that it was.
    private func timerFired(_ id: ReservationID, _ wheel: inout TimerWheel, now: Int64) -> Int {
        let words = table.slots[id.slot]
        var word = SlotWord(word: words[Slot.state])
        guard word.generation == id.generation else { return 1 }
        var work = 1
        if word.phase == .held && isVisible(words, word) && expiry(words, word) <= now {
            notingWords { expire(id.slot, word, now: now) }
            work = Self.expiryWork
            word = SlotWord(word: words[Slot.state])
            guard word.generation == id.generation else { return work }
        }
        let mine = SlotOwner(generation: id.generation, lane: index)
        guard words[Slot.owner] == mine.word else { return work }
        if word.phase == .free {
            reclaim(id)
        } else if word.phase == .expiredCharged,
            let time = nextLookAtCharged(words, word, now: now)
        {
            wheel.insert(id, deadline: time)
        } else if let time = nextLook(words, word, now: now) {
            if time > now || word.phase == .held {
                // Held and due: extended, or not, in the last instant.
                wheel.insert(id, deadline: max(time, now))
                return work
            }
            if word.phase.isExpired { work &+= Self.expiryWork }
            if forget(id.slot, word, now: now) {
                reclaim(id)
            } else {
                // Committed or released late in the last instant: remembered anew.
                wheel.insert(id, deadline: now)
            }
        } else {
            wheel.insert(id, deadline: beginForgetting(words, word, now: now))
        }
        return work
    }

    /// Counts what an expiry, or the forgetting of one, puts on record.
    @inline(never)
    private func notingWords(_ work: () -> Void) {
        guard let ring else { return work() }
        let end = ring.end
        work()
        if ring.end != end { noteExpiryWords(ring.end &- end, ring) }
    }

    /// When the lane that times a reservation has to look at it, as things stand; nil: at once, since it is settled and
    /// remembered without end.
    @inline(always)
    func nextLook(_ words: Words, _ word: SlotWord, now: Int64) -> Int64? {
        guard word.phase == .held else {
            let found = ForgetTime(word: words[Slot.forgetting])
            guard let time = found.time(of: word) else { return nil }
            return found.isRemembered ? min(time, now + ChargedMemory.look) : time
        }
        guard isVisible(words, word) else { return now + Self.undecidedWait }
        return min(expiry(words, word), now + Self.longestWait)
    }

    /// Sets when a settled reservation is forgotten; returns when to look at it again.
    @inline(always)
    private func beginForgetting(_ words: Words, _ word: SlotWord, now: Int64) -> Int64 {
        let unset = words[Slot.forgetting]
        // The reservation is still the same, so that `unset` is its own: no other life of the slot has it.
        guard words[Slot.state] == word.word else { return now }
        step(.forgettingRead)
        let time = now + table.capacity.retention
        // Losing means that the lane that took it over was first.
        guard words.compareExchange(Slot.forgetting, unset, ForgetTime(time, word).word) else {
            return now
        }
        uncountCharged(ForgetTime(word: unset))
        return time
    }

    @inline(always)
    private func isVisible(_ words: Words, _ word: SlotWord) -> Bool {
        words[Slot.published] == word.generation &<< 1 | 1
    }

    /// Whether a hold that is visible is past its expiry.
    func isDue(_ slot: Int, _ word: SlotWord, now: Int64) -> Bool {
        let words = table.slots[slot]
        return isVisible(words, word) && expiry(words, word) <= now
    }

    /// When a held slot expires. The body may be replaced meanwhile: then the result is too early or too late by
    /// nobody's harm, since `expire` looks again and the timer was never later than the first expiry.
    @inline(always)
    private func expiry(_ words: Words, _ word: SlotWord) -> Int64 {
        guard let body = word.body else { return words.signed(Slot.expiresAt) }
        let expiresAt = table.bodies[body].signed(Body.expiresAt)
        guard words[Slot.state] == word.word else { return words.signed(Slot.expiresAt) }
        return expiresAt
    }

    /// Holds that this lane has expired.
    package var expiredCount: Int { own.pointee.expired }

    /// Expires a hold if it is still open and due. Anybody may; it happens once.
    @inline(never)
    func expire(_ slot: Int, _ word: SlotWord, now: Int64) {
        let id = ReservationID(slot: slot, generation: word.generation)
        // Without room in the journal it comes up again with the next tick.
        while canExpire, let open = openReservation(id.raw), open.word.phase == .held,
            own.pointee.hold.expiresAt <= now
        {
            begin(now: now)
            // An operator's suspension or deletion charges nobody for what was only held (`endHolds`).
            if own.pointee.hold.onExpiry == .commit && !own.pointee.subjects.tenant.endsHolds {
                let settlement = Decide.commit(
                    &own.pointee.subjects, &own.pointee.hold, phase: .open, actual: Amounts(),
                    table.rules, transition: &own.pointee.transition,
                    closed: &own.pointee.closed)
                precondition(settlement.verdict == .allowed, "a hold is within the totals")
                beginRecord(.expiredCharged)
                recordClosedCharges()
                if settle(open, .expiredCharged, body: open.word.body, now: now) {
                    own.pointee.expired &+= 1
                    return
                }
            } else {
                Decide.release(
                    &own.pointee.subjects, &own.pointee.hold, table.rules,
                    transition: &own.pointee.transition)
                beginRecord(.expired)
                if settle(open, .expiredReleased, body: open.word.body, now: now) {
                    own.pointee.expired &+= 1
                    return
                }
            }
        }
    }

    /// Ends the memory of a settled reservation, once. False: it was settled anew just now.
    ///
    /// Where a late commit could still come, forgetting is a transition of the tenant, so that the two have an order.
    @inline(always)
    private func forget(_ slot: Int, _ word: SlotWord, now: Int64) -> Bool {
        let words = table.slots[slot]
        step(.forgetting)
        switch word.phase {
        case let phase where phase.isExpired:
            notingWords { forgetExpired(slot, word, now: now) }
        default:
            let free = SlotWord(generation: word.generation, phase: .free)
            let tenant = Int(truncatingIfNeeded: words[Slot.subjects] & 0xffff_ffff)
            // Losing means that a lane that this one was taken over from forgot it.
            if words.compareExchange(Slot.state, word.word, free.word) {
                table.countSlot(-1, of: tenant)
                count(.free)
                if let body = word.body { table.giveBody(body, steps) }
            }
        }
        step(.forgotten)
        let now = SlotWord(word: words[Slot.state])
        return now.generation == word.generation && now.phase == .free
    }

    @inline(never)
    private func forgetExpired(_ slot: Int, _ word: SlotWord, now: Int64) {
        let id = ReservationID(slot: slot, generation: word.generation)
        while canExpire, let open = openReservation(id.raw), open.word == word {
            begin(now: now)
            beginRecord(.forgotten)
            if records && word.phase == .expiredCharged {
                own.pointee.record.onExpiry = .commit
            }
            if settle(open, .free, body: nil, now: now) {
                table.countSlot(-1, of: open.tenant)
                return
            }
        }
    }
}
