/// A lane's free slots: a list through `Slot.link`, and a full block behind it. What is more goes to the stack that all
/// lanes share, a block at a time.
struct FreeSlots {
    static let blockSize = 64
    /// Slot index + 1; 0: none.
    var first: UInt32 = 0
    var count = 0
    /// A block of `blockSize` slots: index + 1 of the first; 0: none.
    var spare: UInt32 = 0
}

extension Lane {
    /// A slot for a new reservation, its next generation begun and this lane its owner; nil: all are in use or
    /// remembered.
    @inline(always)
    func takeSlot(now: Int64) -> Int? {
        if own.pointee.freeSlots.count == 0 && !takeSlotBlock() { return nil }
        let slot = Int(own.pointee.freeSlots.first) &- 1
        let words = table.slots[slot]
        own.pointee.freeSlots.first = UInt32(truncatingIfNeeded: words[Slot.link])
        own.pointee.freeSlots.count &-= 1
        let floor = table.counter(.generationFloor)[0]
        var generation =
            (max(SlotWord(word: words[Slot.state]).generation, floor) &+ 1)
            & ReservationID.generationMask
        if generation == 0 { generation = 1 }
        words[Slot.owner] = SlotOwner(generation: generation, lane: index).word
        words[Slot.state] = SlotWord(generation: generation, phase: .held).word
        words[Slot.birth] = generation &<< 1
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
        if let block = table.freeSlots.pop(steps) {
            own.pointee.freeSlots = FreeSlots(
                first: UInt32(truncatingIfNeeded: block + 1),
                count: Int(table.freeSlots.note(block)))
            return true
        }
        let counter = table.counter(.slots)
        guard Int(counter[0]) + size <= table.slots.capacity else { return false }
        let start = Int(counter.add(0, UInt64(size)))
        guard start + size <= table.slots.capacity else { return false }
        for slot in (start..<start + size).reversed() { free(slot) }
        return true
    }

    /// Gives a slot back that was taken for a reservation that did not come about.
    @inline(never)
    func giveSlot(_ slot: Int) {
        let words = table.slots[slot]
        let generation = SlotWord(word: words[Slot.state]).generation
        words[Slot.state] = SlotWord(generation: generation, phase: .free).word
        reclaim(ReservationID(slot: slot, generation: generation))
    }

    /// Puts the slot of a reservation that is forgotten on this lane's free list, if this lane times it. Else who
    /// took it over does.
    @inline(always)
    func reclaim(_ id: ReservationID) {
        let mine = SlotOwner(generation: id.generation, lane: index)
        if table.slots[id.slot].compareExchange(Slot.owner, mine.word, 0) { free(id.slot) }
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
    }
}
