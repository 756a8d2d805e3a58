import Limits

// A lane that has been silent for 300 ms (its thread stopped, or the lane retired) times nothing. One of the others
// claims the walk and takes over every slot whose owner is silent: owner by compare-exchange, then an entry in its own
// wheel. One walk is enough for a silence, however long it lasts, because what a lane makes afterwards it makes after
// a heartbeat:
//
// - The walker says that a walk begins (`Heartbeat.walkBegun`) a tick before it reads the first slot. A lane that takes
//   a slot writes the slot's owner, then reads that word. Either the walk sees the owner, or the lane sees the word,
//   and beats before it decides: then it is silent anew, if it stops again, and there is another walk.
// - The walk that has come to its end says so (`walkDone`). A walker that stops loses its claim after 100 ms, and the
//   next one starts from the beginning.
//
// A lane that was stopped and goes on finds its entries in its own wheel: those that another lane has taken over are
// dropped as they come up. Expiring is safe for anybody; forgetting is a compare-exchange of the slot's state (or a
// transition of the tenant), and who puts the slot on a free list is settled by a compare-exchange of its owner.
extension Lane {
    /// How long a walker may be silent before another one walks.
    static var walkPatience: Int64 { 100 }
    /// Ticks in which a walk comes round.
    static var walkTicks: Int { 32 }

    /// Beats if somebody has begun to take over what this lane times.
    @inline(always)
    func noticeWalk(now: Int64) {
        let beat = table.heartbeats[index]
        if beat[Heartbeat.walkBegun] == beat[Heartbeat.time] { comeBack(now: now) }
    }

    @inline(never)
    private func comeBack(now: Int64) {
        let beat = table.heartbeats[index]
        beat.setSigned(
            Heartbeat.time, max(now, beat.signed(Heartbeat.time) + 1))
    }

    func lookAfterOthers(now: Int64) {
        let word = table.counter(.walker)
        let claim = word[0]
        let mine = UInt64(bitPattern: now) &<< 16 | UInt64(index + 1)
        if claim != 0 && claim == own.pointee.walk.claim {
            // Losing means that this lane was silent for too long: somebody else has begun a walk.
            guard word.compareExchange(0, claim, mine) else {
                own.pointee.walk.claim = 0
                return
            }
            own.pointee.walk.claim = mine
            walk(now: now)
        } else {
            own.pointee.walk.claim = 0
            guard claim == 0 || Int64(claim &>> 16) + Self.walkPatience < now,
                isSomebodyStopped(now: now), word.compareExchange(0, claim, mine)
            else { return }
            own.pointee.walk.claim = mine
            step(.walkClaimed)
            beginWalk(now: now)
        }
    }

    private var lanes: Int { min(Int(table.counter(.lanes)[0]), table.capacity.lanes) }

    private func isSilent(_ lane: Int, now: Int64) -> Bool {
        let beat = table.heartbeats[lane].signed(Heartbeat.time)
        return beat != 0 && beat + Self.silence < now
    }

    /// Whether a lane is silent and its slots have not been taken over since.
    private func isSomebodyStopped(now: Int64) -> Bool {
        (0..<lanes).contains { lane in
            let beat = table.heartbeats[lane]
            return lane != index && isSilent(lane, now: now)
                && beat[Heartbeat.walkDone] != beat[Heartbeat.time]
        }
    }

    private func beginWalk(now: Int64) {
        own.pointee.walk.end = nil
        own.pointee.walk.cursor = 0
        own.pointee.walk.isIncomplete = false
        for lane in 0..<table.capacity.lanes {
            let silent = lane < lanes && lane != index && isSilent(lane, now: now)
            let beat = table.heartbeats[lane]
            own.pointee.walk.beats[lane] = silent ? beat.signed(Heartbeat.time) : 0
            guard silent else { continue }
            step(.silenceFound)
            // Silences have rising times. A walker that was stopped here does not take a later one's word back.
            beat.raise(
                Heartbeat.walkBegun,
                to: UInt64(bitPattern: own.pointee.walk.beats[lane]))
        }
    }

    /// Walks a stretch of the slots.
    private func walk(now: Int64) {
        let used = min(Int(table.counter(.slots)[0]), table.slots.capacity)
        let end = own.pointee.walk.end ?? used
        own.pointee.walk.end = end
        let stop = min(end, own.pointee.walk.cursor + max(1_024, end / Self.walkTicks))
        for slot in own.pointee.walk.cursor..<max(stop, own.pointee.walk.cursor) {
            let owner = SlotOwner(word: table.slots[slot][Slot.owner])
            if let lane = owner.lane, lane != index, isSilent(lane, now: now) {
                takeOver(slot, owner, now: now)
            }
        }
        own.pointee.walk.cursor = stop
        guard stop == end else { return }
        for lane in 0..<table.capacity.lanes where own.pointee.walk.beats[lane] != 0 {
            if !own.pointee.walk.isIncomplete {
                // Plain: what was walked stays walked, and an earlier silence's time costs one more walk.
                table.heartbeats[lane].setSigned(
                    Heartbeat.walkDone, own.pointee.walk.beats[lane])
            }
        }
        // Losing means that somebody else has begun a walk.
        _ = table.counter(.walker).compareExchange(0, own.pointee.walk.claim, 0)
        own.pointee.walk.claim = 0
    }

    /// Makes this lane the one that times a reservation.
    private func takeOver(_ slot: Int, _ owner: SlotOwner, now: Int64) {
        let words = table.slots[slot]
        let word = SlotWord(word: words[Slot.state])
        // Else its lane is about to begin the slot's next life: see `noticeWalk`.
        guard word.generation == owner.generation else { return }
        if word.phase == .free {
            // Losing means that its lane goes on, or that another walker was first.
            if words.compareExchange(Slot.owner, owner.word, 0) {
                recycle(slot, after: word.generation)
            }
            return
        }
        guard table.timers.hasRoomToSpare else {
            own.pointee.walk.isIncomplete = true
            if word.phase == .held { expire(slot, word, now: now) }
            return
        }
        let mine = SlotOwner(generation: word.generation, lane: index)
        guard words.compareExchange(Slot.owner, owner.word, mine.word) else { return }
        step(.takenOver)
        adopt(slot, word, now: now)
    }

    private func adopt(_ slot: Int, _ word: SlotWord, now: Int64) {
        own.pointee.hasTimed = true
        wheel.pointee.insert(
            ReservationID(slot: slot, generation: word.generation),
            deadline: nextLook(table.slots[slot], word, now: now) ?? now)
    }

    /// Begins to time a share of the reservations that stood in the table before there were lanes: the slots whose
    /// index is this lane's number modulo the number of lanes. Free ones go to its free list.
    ///
    /// For recovery: at start, when the table has been filled and before the lane's first request. A settled
    /// reservation's `Slot.forgetting` may be set. Each lane may do so in its own thread.
    /// - Parameter lanes: how many lanes with successive numbers share the slots.
    /// - Complexity: O(slots / lanes)
    package func adoptSlots(sharedBy lanes: Int, now: Int64) {
        precondition(lanes > 0)
        let used = min(Int(table.counter(.slots)[0]), table.slots.capacity)
        for slot in stride(from: index % lanes, to: used, by: lanes) {
            let words = table.slots[slot]
            let word = SlotWord(word: words[Slot.state])
            if word.phase == .free {
                words[Slot.owner] = 0
                recycle(slot, after: word.generation)
            } else {
                words[Slot.owner] = SlotOwner(generation: word.generation, lane: index).word
                adopt(slot, word, now: now)
            }
        }
    }
}
