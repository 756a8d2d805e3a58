import Limits

extension Lane {
    /// A slot for a new reservation, its next generation begun and this lane its owner; nil: all are in use or
    /// remembered, or no generation is left (`noSlot`).
    @inline(always)
    func takeSlot(now: Int64) -> Int? {
        let floor = table.counter(.generationFloor)[0]
        guard floor < ReservationID.lastGeneration else { return nil }
        if own.pointee.freeSlots.count == 0 && !takeSlotBlock() { return nil }
        let slot = Int(own.pointee.freeSlots.first) &- 1
        let words = table.slots[slot]
        own.pointee.freeSlots.first = UInt32(truncatingIfNeeded: words[Slot.link])
        own.pointee.freeSlots.count &-= 1
        // Not above the last one: the floor is below it, and a slot that has come to it is in no list (`recycle`).
        let generation = max(SlotWord(word: words[Slot.state]).generation, floor) &+ 1
        // Plain, here and until the slot is visible or given back: nobody changes a slot whose life was not decided. Who
        // takes it over from this lane, should it stop, changes the owner alone.
        words[Slot.owner] = SlotOwner(generation: generation, lane: index).word
        words[Slot.state] = SlotWord(generation: generation, phase: .held).word
        words[Slot.published] = generation &<< 1
        noticeWalk(now: now)
        step(.slotTaken)
        return slot
    }

    @inline(never)
    private func takeSlotBlock() -> Bool {
        own.pointee.hasTimed = true
        let size = FreeSlots.blockSize
        if own.pointee.freeSlots.spare != 0 {
            own.pointee.freeSlots = FreeSlots(first: own.pointee.freeSlots.spare, count: size)
            return true
        }
        defer { table.noteSlotPressure() }
        if let block = table.freeSlots.pop(steps) {
            let count = table.freeSlots.note(block)
            _ = table.counter(.sharedSlots).add(0, 0 &- UInt64(count))
            own.pointee.freeSlots = FreeSlots(
                first: UInt32(truncatingIfNeeded: block + 1), count: Int(count))
            return true
        }
        let counter = table.counter(.slots)
        guard Int(counter[0]) + size <= table.slots.capacity else { return false }
        let start = Int(counter.add(0, UInt64(size)))
        guard start + size <= table.slots.capacity else { return false }
        for slot in (start..<start + size).reversed() { free(slot) }
        return true
    }

    /// Gives a slot back that was taken for a reservation that did not come about. Its id was in no node, so nobody
    /// saw it: the generation is not spent, and the next taker begins the same one.
    ///
    /// Unless the slot was taken over meanwhile, this lane having been silent: then its generation stands in another
    /// lane's wheel, by which the slot comes back, and is spent.
    @inline(never)
    func giveSlot(_ slot: Int) {
        let words = table.slots[slot]
        let generation = SlotWord(word: words[Slot.state]).generation
        let mine = SlotOwner(generation: generation, lane: index)
        guard words.compareExchange(Slot.owner, mine.word, 0) else {
            words[Slot.state] = SlotWord(generation: generation, phase: .free).word
            return
        }
        step(.slotDisowned)
        words[Slot.state] = SlotWord(generation: generation &- 1, phase: .free).word
        free(slot)
    }

    /// Puts the slot of a reservation that is forgotten on this lane's free list, if this lane times it. Else who
    /// took it over does.
    @inline(always)
    func reclaim(_ id: ReservationID) {
        let mine = SlotOwner(generation: id.generation, lane: index)
        guard table.slots[id.slot].compareExchange(Slot.owner, mine.word, 0) else { return }
        recycle(id.slot, after: id.generation)
    }

    /// Puts a slot that has no owner on this lane's free list, unless it has come to its last generation.
    @inline(always)
    func recycle(_ slot: Int, after generation: UInt64) {
        guard generation < ReservationID.lastGeneration else {
            _ = table.counter(.spentSlots).add(0, 1)
            return
        }
        free(slot)
    }

    /// Why `takeSlot` has none.
    var noSlot: Failure {
        let isSpent =
            table.counter(.generationFloor)[0] >= ReservationID.lastGeneration
            || table.counter(.spentSlots)[0] > 0
        return isSpent ? .idsSpent : .tableFull
    }

    /// Puts a slot that has no owner on this lane's free list.
    @inline(always)
    func free(_ slot: Int) {
        if own.pointee.freeSlots.count == FreeSlots.blockSize {
            let block = own.pointee.freeSlots.first
            if own.pointee.freeSlots.spare == 0 {
                own.pointee.freeSlots.spare = block
            } else {
                share(block, count: FreeSlots.blockSize)
            }
            own.pointee.freeSlots.first = 0
            own.pointee.freeSlots.count = 0
        }
        table.slots[slot][Slot.link] = UInt64(own.pointee.freeSlots.first)
        own.pointee.freeSlots.first = UInt32(truncatingIfNeeded: slot &+ 1)
        own.pointee.freeSlots.count &+= 1
    }

    /// Lets other lanes have the spare block.
    func shareSpareSlots() {
        guard own.pointee.freeSlots.spare != 0 else { return }
        share(own.pointee.freeSlots.spare, count: FreeSlots.blockSize)
        own.pointee.freeSlots.spare = 0
    }

    /// Lets other lanes have all free slots.
    func shareAllSlots() {
        shareSpareSlots()
        if own.pointee.freeSlots.count > 0 {
            share(own.pointee.freeSlots.first, count: own.pointee.freeSlots.count)
        }
        own.pointee.freeSlots = FreeSlots()
    }

    private func share(_ block: UInt32, count: Int) {
        table.freeSlots.push(Int(block) - 1, note: UInt32(count), steps)
        _ = table.counter(.sharedSlots).add(0, UInt64(count))
        table.noteSlotPressure()
    }
}
