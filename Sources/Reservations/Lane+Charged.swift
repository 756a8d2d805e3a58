extension Lane {
    /// When to look again at a hold that was charged at its expiry; nil: as at any other.
    func nextLookAtCharged(_ words: Words, _ word: SlotWord, now: Int64) -> Int64? {
        let memory = table.chargedMemory
        let found = ForgetTime(word: words[Slot.forgetting])
        guard let time = found.time(of: word), !found.isReleased else { return nil }
        if found.isRemembered {
            if now < time && !memory.isTooMany(endingAt: time, now: now) {
                return min(time, now + ChargedMemory.look)
            }
            // Losing means that the lane that took it over was first.
            guard words.compareExchange(Slot.forgetting, found.word, found.released(at: now).word)
            else { return now }
            memory.add(-1, endingAt: time)
            return nil
        }
        let end = time + memory.extra
        guard time <= now, now < end else { return nil }
        guard words.compareExchange(Slot.forgetting, found.word, found.remembered(until: end).word)
        else { return now }
        memory.add(1, endingAt: end)
        return min(end, now + ChargedMemory.look)
    }

    /// Takes a charged hold out of its budget that was committed late: its `ForgetTime` has just been replaced.
    @inline(always)
    func uncountCharged(_ replaced: ForgetTime) {
        if replaced.isRemembered { table.chargedMemory.add(-1, endingAt: replaced.time) }
    }
}
