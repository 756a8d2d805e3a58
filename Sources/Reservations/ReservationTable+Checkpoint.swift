package import Journal
package import Limits

// A table as entries of a checkpoint, and back. One thread, nobody serves from the table meanwhile.
extension ReservationTable {
    /// Hands over everything that a later start must know, entry by entry. What is over by `now` is left out: keys,
    /// and reservations that were settled long enough ago.
    ///
    /// - Parameters:
    ///   - tenantText: a tenant's settings, encoded, by id.
    ///   - profileText: a profile's.
    package func forEachEntry<E: Error>(
        now: Int64, tenantText: (String) -> [UInt8], profileText: (String) -> [UInt8],
        _ body: (borrowing CheckpointEntry.Encoder) throws(E) -> Void
    ) throws(E) {
        var entry = CheckpointEntry.Encoder()
        entry.table(latestGeneration: latestGeneration, time: now)
        try body(entry)
        for tenant in 0..<min(tenantCount, capacity.tenants) {
            let cell = tenantCells[tenant]
            guard cell[TenantCell.head] != 0 else { continue }
            var state = TenantState()
            TenantNode.load(
                tenantNodes[Head(word: cell[TenantCell.head]).buffer], into: &state)
            entry.tenant(
                UInt32(tenant), state, settings: tenantText(id(of: cell, CellID.firstWord)),
                time: now)
            try body(entry)
        }
        for profile in 0..<min(Int(counter(.profiles)[0]), capacity.profiles) {
            let cell = profileCells[profile]
            let head = Head(word: cell[ProfileCell.head])
            // Without a version it was never made.
            guard head.version != 0 else { continue }
            var state = ProfileState()
            ProfileNode.load(profileNodes[head.buffer], into: &state)
            entry.profile(
                UInt32(profile), of: UInt32(truncatingIfNeeded: cell[ProfileCell.tenant]),
                version: head.version, state,
                settings: profileText(id(of: cell, CellID.firstWord)), time: now)
            try body(entry)
        }
        try forEachReservation(now: now, &entry, body)
        try keys.forEach(now: now, chunks: Int(counter(.keyChunks)[0])) { key, chunk throws(E) in
            // For whom it counts: number + 1; 0: for nobody.
            let owner = keyShares.owner(ofChunk: chunk).map { UInt32($0 + 1) } ?? 0
            entry.key(key, owner: owner, time: now)
            try body(entry)
        }
    }

    private func id(of cell: Words, _ place: Int) -> String {
        String(decoding: CellID.bytes(cell.advanced(place), longIDs), as: UTF8.self)
    }

    private func forEachReservation<E: Error>(
        now: Int64, _ entry: inout CheckpointEntry.Encoder,
        _ body: (borrowing CheckpointEntry.Encoder) throws(E) -> Void
    ) throws(E) {
        for slot in 0..<min(Int(counter(.slots)[0]), slots.capacity) {
            let words = slots[slot]
            let word = SlotWord(word: words[Slot.state])
            guard word.phase != .free, words[Slot.published] == word.generation << 1 | 1 else {
                continue
            }
            let isSettled = word.phase != .held
            let forgetTime = ForgetTime(word: words[Slot.forgetting]).time(of: word)
            // That a charged hold is forgotten is told by a record: it stays until there is one.
            if isSettled, word.phase != .expiredCharged, let forgetTime, forgetTime < now {
                continue
            }
            entry.reservation(
                slot: UInt64(slot), of: UInt32(truncatingIfNeeded: words[Slot.subjects]),
                state: word.word, stated: { words[Slot.subjects + $0] },
                forgetting: isSettled ? words[Slot.forgetting] : 0,
                limits: limits(ofHold: words, word),
                body: word.body.map { body in (0..<Body.words).map { bodies[body][$0] } } ?? [],
                time: now)
            try body(entry)
        }
    }

    /// The limits that a hold's segments are held in, 16 bits each: what their counters mean to every release.
    private func limits(ofHold words: Words, _ word: SlotWord) -> UInt64 {
        func limits(_ counters: UInt8) -> UInt64 {
            UInt64(rules.limits(ofCounters: counters).rawValue)
        }
        guard let body = word.body, word.holdsBody else {
            return limits(UInt8(truncatingIfNeeded: words[Slot.policy] &>> 32))
        }
        let count = min(Int(bodies[body][Body.segmentCount]), HoldState.maxSegments)
        return (0..<count).reduce(0) {
            $0 | limits(Body.segment(bodies[body], $1).counters) << UInt64(16 * $1)
        }
    }

    private var latestGeneration: UInt64 {
        var latest = counter(.generationFloor)[0]
        for slot in 0..<min(Int(counter(.slots)[0]), slots.capacity) {
            latest = max(latest, SlotWord(word: slots[slot][Slot.state]).generation)
        }
        return latest
    }
}

extension Lane {
    /// Raises the generation above which a process begins to what an entry says.
    package func restore(latestGeneration: UInt64) {
        let floor = table.counter(.generationFloor)
        floor[0] = max(floor[0], min(latestGeneration, ReservationID.lastGeneration))
    }

    /// Takes a tenant over as it stood.
    package func restore(
        _ entry: borrowing CheckpointEntry.Tenant, _ id: BorrowedBytes, schedule: UInt32
    ) throws(TableError) {
        var state = entry.state
        state.schedule = schedule
        try placeAgain(id, state, at: Int(entry.number))
    }

    /// Takes a profile over as it stood.
    package func restore(
        _ entry: borrowing CheckpointEntry.Profile, _ id: BorrowedBytes
    ) throws(TableError) {
        let (tenant, profile) = (Int(entry.tenant), Int(entry.number))
        guard tenant < table.tenantCount else {
            throw .invalid("a profile of no tenant")
        }
        try placeProfileAgain(id, at: profile, of: tenant)
        let cell = table.profileCells[profile]
        let buffer = Head(word: cell[ProfileCell.head]).buffer
        var state = entry.state
        ProfileNode.store(&state, to: table.profileNodes[buffer])
        cell[ProfileCell.head] = Head(version: max(1, entry.version), buffer: buffer).word
    }

    /// Restores a reservation as it was. False: the entry is invalid, or there is no room.
    package func restore(_ entry: CheckpointEntry.Reservation) -> Bool {
        guard entry.slot < UInt64(table.slots.capacity) else { return false }
        let slot = Int(entry.slot)
        let limits = (0..<HoldState.maxSegments).map {
            LimitSet(rawValue: UInt16(truncatingIfNeeded: entry.limits &>> UInt64(16 * $0)))
        }
        let counters = limits.compactMap { table.rules.counters(of: $0) }
        guard counters.count == limits.count else { return false }
        var word = SlotWord(word: entry.state)
        if word.body != nil {
            guard entry.body.count == Body.words, let body = table.takeBody(steps) else {
                return false
            }
            for index in 0..<Body.words { table.bodies[body][index] = entry.body[index] }
            if word.holdsBody {
                for (index, counters) in counters.enumerated() {
                    Body.setCounters(counters, of: index, table.bodies[body])
                }
            }
            word = word.replacingBody(body)
        }
        let own = table.slots[slot]
        for index in 0..<CheckpointEntry.Reservation.statedWords {
            own[Slot.subjects + index] = entry.stated[index]
        }
        own[Slot.policy] = own[Slot.policy] & ~(0xff << 32) | UInt64(counters[0]) << 32
        own[Slot.forgetting] = entry.forgetting
        own[Slot.published] = word.generation << 1 | 1
        own[Slot.state] = word.word
        table.noteUsed(slot, generation: word.generation)
        table.countSlot(1, of: Int(truncatingIfNeeded: own[Slot.subjects] & 0xffff_ffff))
        if word.phase == .held { countRestored(1) }
        return true
    }

    /// Takes a key over as it stood, unless it is over by `now`. False: there is no room for it.
    package func restore(_ entry: borrowing CheckpointEntry.Key, now: Int64) -> Bool {
        if entry.until < now { return true }
        var stored = KeyedAnswer(bits: entry.answer)
        stored.reservationID = entry.reservationID
        stored.expiresAt = entry.expiresAt
        for (place, resource) in stored.granted.resources.prefix(4).enumerated() {
            stored.granted[resource] = entry.granted[place]
        }
        var key = KeyRequest()
        key.hash = KeyHash(high: entry.high, low: entry.low)
        key.content = entry.content
        key.until = entry.until
        let owner = Int(entry.owner) - 1
        if (0..<table.capacity.tenants).contains(owner) { key.tenant = owner }
        own.pointee.replays = true
        defer { own.pointee.replays = false }
        guard remember(stored, &key, now: now) == nil else { return false }
        table.keys.reveal(key.reference)
        own.pointee.next.flags = 0
        return true
    }
}

extension SlotWord {
    /// The same with another body.
    func replacingBody(_ body: Int) -> SlotWord {
        SlotWord(word: word & ~0x3f_ffff | UInt64(truncatingIfNeeded: body + 1))
    }
}
