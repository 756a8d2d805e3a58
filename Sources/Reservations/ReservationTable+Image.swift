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
    package func forEachImage<E: Error>(
        now: Int64, tenantText: (String) -> [UInt8], profileText: (String) -> [UInt8],
        _ body: (borrowing RecordImage) throws(E) -> Void
    ) throws(E) {
        var image = RecordImage()
        image.begin(.table, version: 0, time: now, tenant: 0)
        image.append(latestGeneration)
        image.seal()
        try body(image)
        for tenant in 0..<min(tenantCount, capacity.tenants) {
            let cell = tenantCells[tenant]
            guard cell[TenantCell.head] != 0 else { continue }
            let node = tenantNodes[Head(word: cell[TenantCell.head]).buffer]
            let id = CellID.bytes(cell.advanced(CellID.firstWord), longIDs)
            image.begin(.tenant, version: node[0], time: now, tenant: UInt32(tenant))
            for word in 1..<16 { image.append(node[word]) }
            image.append(tenantText(String(decoding: id, as: UTF8.self)))
            image.seal()
            try body(image)
        }
        for profile in 0..<min(Int(counter(.profiles)[0]), capacity.profiles) {
            let cell = profileCells[profile]
            let head = Head(word: cell[ProfileCell.head])
            // Without a version it was never made.
            guard head.version != 0 else { continue }
            let node = profileNodes[head.buffer]
            let id = CellID.bytes(cell.advanced(CellID.firstWord), longIDs)
            image.begin(
                .profile, version: head.version, time: now,
                tenant: UInt32(truncatingIfNeeded: cell[ProfileCell.tenant]))
            image.append(UInt64(profile))
            for word in 0..<5 { image.append(node[word]) }
            image.append(profileText(String(decoding: id, as: UTF8.self)))
            image.seal()
            try body(image)
        }
        try forEachReservation(now: now, &image, body)
        try keys.forEach(now: now, chunks: Int(counter(.keyChunks)[0])) { entry, chunk throws(E) in
            // For whom it counts: number + 1; 0: for nobody.
            let owner = keyShares.owner(ofChunk: chunk).map { UInt32($0 + 1) } ?? 0
            image.begin(.key, version: 0, time: now, tenant: owner)
            for word in entry { image.append(word) }
            image.seal()
            try body(image)
        }
    }

    private func forEachReservation<E: Error>(
        now: Int64, _ image: inout RecordImage, _ body: (borrowing RecordImage) throws(E) -> Void
    ) throws(E) {
        for slot in 0..<min(Int(counter(.slots)[0]), slots.capacity) {
            let words = slots[slot]
            let word = SlotWord(word: words[Slot.state])
            guard word.phase != .free, words[Slot.birth] == word.generation << 1 | 1 else {
                continue
            }
            let isSettled = word.phase != .held
            let forgetTime = ForgetTime(word: words[Slot.forgetting]).time(of: word)
            // That a charged hold is forgotten is told by a record: it stays until there is one.
            if isSettled, word.phase != .expiredCharged, let forgetTime, forgetTime < now {
                continue
            }
            image.begin(
                .reservation, version: UInt64(slot), time: now,
                tenant: UInt32(truncatingIfNeeded: words[Slot.subjects]))
            image.append(word.word)
            for index in Slot.subjects...Slot.cycleStart { image.append(words[index]) }
            image.append(isSettled ? words[Slot.forgetting] : 0)
            if let body = word.body {
                for index in 0..<Body.words { image.append(bodies[body][index]) }
            }
            image.seal()
            try body(image)
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
    /// Takes an entry of a checkpoint over that is no tenant or profile. False: it makes no sense.
    package func restore(_ kind: ImageKind, _ words: UnsafeBufferPointer<UInt64>, now: Int64)
        -> Bool
    {
        switch kind {
        case .table:
            guard words.count == 5 else { return false }
            let floor = table.counter(.generationFloor)
            floor[0] = max(floor[0], min(words[4], ReservationID.lastGeneration))
            return true
        case .reservation: return restoreReservation(words)
        case .key:
            guard words.count == 15 else { return false }
            let until = Int64(bitPattern: words[7])
            if until < now { return true }
            var stored = StoredAnswer(bits: words[8])
            stored.reservationID = words[9]
            stored.expiresAt = Int64(bitPattern: words[10])
            for resource in 0..<4 {
                stored.granted[resource] = Int64(bitPattern: words[11 + resource])
            }
            var key = KeyRequest()
            key.hash = KeyHash(high: words[4], low: words[5])
            key.content = words[6]
            key.until = until
            let owner = Int(truncatingIfNeeded: words[3] & 0xffff_ffff) - 1
            if (0..<table.capacity.tenants).contains(owner) { key.tenant = owner }
            own.pointee.replays = true
            defer { own.pointee.replays = false }
            guard remember(stored, &key, now: now) == nil else { return false }
            table.keys.reveal(key.reference)
            own.pointee.next.flags = 0
            return true
        default: return false
        }
    }

    /// Takes a tenant over as it stood.
    package func restoreTenant(
        _ words: UnsafeBufferPointer<UInt64>, _ id: BorrowedBytes, schedule: UInt32
    ) throws(TableError) {
        guard words.count > 19, words[1] != 0 else {
            throw .invalid("a tenant's entry is too short")
        }
        var state = TenantState()
        state.version = words[1]
        for index in 0..<4 {
            state.committed[index] = Int64(bitPattern: words[4 + index])
            state.held[index] = Int64(bitPattern: words[8 + index])
            state.caps[index] = Int64(bitPattern: words[12 + index])
        }
        state.cycleStart = Int64(bitPattern: words[16])
        state.cycleEnd = Int64(bitPattern: words[17])
        state.flags = words[18]
        state.schedule = schedule
        try placeAgain(id, state, at: Int(truncatingIfNeeded: words[3] & 0xffff_ffff))
    }

    /// Takes a profile over as it stood.
    package func restoreProfile(
        _ words: UnsafeBufferPointer<UInt64>, _ id: BorrowedBytes
    ) throws(TableError) {
        let tenant = Int(truncatingIfNeeded: words[3] & 0xffff_ffff)
        guard words.count > 10, tenant < table.tenantCount,
            words[4] < UInt64(table.profileCells.capacity)
        else { throw .invalid("a profile's entry makes no sense") }
        let profile = Int(words[4])
        try placeProfileAgain(id, at: profile, of: tenant)
        let cell = table.profileCells[profile]
        let buffer = Head(word: cell[ProfileCell.head]).buffer
        for index in 0..<5 { table.profileNodes[buffer][index] = words[5 + index] }
        cell[ProfileCell.head] = Head(version: max(1, words[1]), buffer: buffer).word
    }

    private func restoreReservation(_ words: UnsafeBufferPointer<UInt64>) -> Bool {
        let slot = Int(truncatingIfNeeded: words[1])
        guard words.count >= 16, slot >= 0, slot < table.slots.capacity else { return false }
        var word = SlotWord(word: words[4])
        if word.body != nil {
            guard words.count == 16 + Body.words, let body = table.takeBody(steps) else {
                return false
            }
            for index in 0..<Body.words { table.bodies[body][index] = words[16 + index] }
            word = word.replacingBody(body)
        }
        let own = table.slots[slot]
        for index in Slot.subjects...Slot.cycleStart { own[index] = words[3 + index] }
        own[Slot.forgetting] = words[15]
        own[Slot.birth] = word.generation << 1 | 1
        own[Slot.state] = word.word
        table.noteUsed(slot, generation: word.generation)
        table.countSlot(1, of: Int(truncatingIfNeeded: own[Slot.subjects] & 0xffff_ffff))
        return true
    }
}

extension SlotWord {
    /// The same with another body.
    func replacingBody(_ body: Int) -> SlotWord {
        SlotWord(word: word & ~0x3f_ffff | UInt64(truncatingIfNeeded: body + 1))
    }
}
