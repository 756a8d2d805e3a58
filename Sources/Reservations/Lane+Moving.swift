import Limits

// A start may go on at an earlier time than is on record, on an operator's word (semantics §2). Windows that have not
// begun by then are moved: what counts in them counts in the windows that contain the time.
//
// What a segment of a hold is counted in is told by the start of its window alone, and a window that is moved takes a
// start that segments of long ago may have. So there is an order, in which every record leaves a state that tells by
// itself what is left to do; a start may come upon any of them, at any time of day:
//
// 1. Segments that are not in their subject's present window, and begin with the one that it is moved to or later, are
//    taken out of it: they count in no total, and are never to be found in one that is opened or moved there.
// 2. The window is moved. Now all segments that begin later than it are those that are counted in it.
// 3. These are moved after it.
//
// While there are requests no segment begins later than its subject's present window, so that 3 always tells what a
// crash left undone; a start does that first, before a later window is opened.
//
// One thread, before anybody serves.
extension Lane {
    /// Moves every window that begins later than engine time, with all that counts in it, and ends what an earlier start
    /// has left of that.
    ///
    /// - Parameter waitForRoom: called when the journal has no room; false: it never will.
    /// - Returns: false: there was no room, and nobody may be served before the rest is done.
    /// - Complexity: O(tenants + profiles + slots)
    package func moveWindowsBack(now: Int64, waitForRoom: () -> Bool) -> Bool {
        let time = windows(now)
        guard moveHolds(now: now, waitForRoom) else { return false }
        var hasMoved = false
        for profile in 0..<table.profileNumbers where day(ofProfile: profile) > time {
            guard inRoom(waitForRoom, { moveDay(profile, now: now) }) else { return false }
            hasMoved = true
        }
        for tenant in 0..<table.tenantNumbers where begins(tenant) > time {
            guard inRoom(waitForRoom, { moveTenant(tenant, now: now) }) else { return false }
            hasMoved = true
        }
        return !hasMoved || moveHolds(now: now, waitForRoom)
    }

    /// Does a step when there is room for its record. False: there will be none.
    private func inRoom(_ waitForRoom: () -> Bool, _ step: () -> Void) -> Bool {
        while !isReady {
            guard waitForRoom() else { return false }
        }
        step()
        return true
    }

    private func begins(_ tenant: Int) -> Int64 {
        guard table.tenantCells[tenant][TenantCell.head] != 0 else { return .min }
        _ = open(tenant)
        return max(own.pointee.subjects.tenant.cycleStart, own.pointee.subjects.tenant.dayStart)
    }

    private func day(ofProfile profile: Int) -> Int64 {
        guard version(of: .profile(profile)) != 0 else { return .min }
        openProfile(profile)
        return own.pointee.subjects.profile.dayStart
    }

    private func beginMove(_ kind: Record.Kind) {
        own.pointee.transition = Transition()
        own.pointee.next.flags = 0
        own.pointee.openedCycle = false
        own.pointee.openedTenantDay = false
        own.pointee.openedDay = false
        beginRecord(kind)
    }

    private func moveTenant(_ tenant: Int, now: Int64) {
        let head = open(tenant)
        openProfile(nil)
        beginMove(.windowsMoved)
        let time = windows(now)
        if own.pointee.subjects.tenant.cycleStart > time {
            let cycle = cycleAgain(at: time)
            own.pointee.subjects.tenant.cycleStart = cycle.start
            own.pointee.subjects.tenant.cycleEnd = cycle.end
            own.pointee.openedCycle = true
        }
        if own.pointee.subjects.tenant.dayStart > time {
            let day = dayAgain(at: time)
            own.pointee.subjects.tenant.dayStart = day.start
            own.pointee.subjects.tenant.dayEnd = day.end
            own.pointee.openedTenantDay = true
        }
        let swung = swing(tenant, head, now: now)
        precondition(swung, "a table that nobody serves from has one thread")
    }

    private func moveDay(_ profile: Int, now: Int64) {
        let tenant = Int(table.profileCells[profile][ProfileCell.tenant])
        let head = open(tenant)
        openProfile(profile)
        beginMove(.windowsMoved)
        // As playing the record back does.
        own.pointee.subjects.profile.follow(
            percentEpoch: own.pointee.subjects.tenant.percentEpoch)
        own.pointee.subjects.profile.dayStart = ProfileState.dayStart(of: windows(now))
        own.pointee.openedDay = true
        let swung = swing(tenant, head, now: now)
        precondition(swung, "a table that nobody serves from has one thread")
    }

    /// The cycle of the tenant in hand that holds an instant in front of the one that it is in.
    private func cycleAgain(at time: Int64) -> CycleWindow {
        table.schedules.cycle(
            schedule: own.pointee.subjects.tenant.schedule, containing: time, notBefore: nil)
    }

    /// The same of its day.
    private func dayAgain(at time: Int64) -> CycleWindow {
        table.schedules.day(
            schedule: own.pointee.subjects.tenant.schedule, containing: time, notBefore: nil)
    }

    private func moveHolds(now: Int64, _ waitForRoom: () -> Bool) -> Bool {
        for slot in 0..<table.usedSlots {
            let word = SlotWord(word: table.slots[slot][Slot.state])
            switch word.phase {
            case .held, .expiredReleased, .expiredCharged: break
            default: continue
            }
            let id = ReservationID(slot: slot, generation: word.generation)
            guard let open = openReservation(id.raw), setWindowsRight(at: windows(now)) else {
                continue
            }
            guard inRoom(waitForRoom, { moveHold(open, now: now) }) else { return false }
        }
        return true
    }

    /// Puts the windows of the hold in hand on record, and into its slot.
    private func moveHold(_ open: OpenSlot, now: Int64) {
        beginMove(.holdMoved)
        own.pointee.record.reservationID =
            ReservationID(slot: open.slot, generation: open.word.generation).raw
        HoldWindows.words(of: own.pointee.hold).withUnsafeBytes { bytes in
            own.pointee.record.text = bytes
            let swung = swing(open.tenant, open.head, now: now)
            precondition(swung, "a table that nobody serves from has one thread")
            own.pointee.record.text = .none
        }
        storeWindows(table.slots[open.slot], open.word)
    }

    /// Sets the windows of the hold in hand right, as far as its subjects are by now. False: they are.
    private func setWindowsRight(at time: Int64) -> Bool {
        let cycle = own.pointee.subjects.tenant.cycleStart
        let tenantDay = own.pointee.subjects.tenant.dayStart
        let day = own.pointee.subjects.profile.dayStart
        // Where the subjects are, or will be.
        let nextCycle = cycle > time ? cycleAgain(at: time).start : cycle
        let nextTenantDay = tenantDay > time ? dayAgain(at: time).start : tenantDay
        let nextDay = min(day, ProfileState.dayStart(of: time))
        var isChanged = false
        for index in 0..<own.pointee.hold.segmentCount {
            let before = own.pointee.hold[index]
            var segment = before
            segment.starts.cycle = Self.right(before.starts.cycle, present: cycle, next: nextCycle)
            segment.starts.day = Self.right(
                before.starts.day, present: tenantDay, next: nextTenantDay)
            if own.pointee.subjects.hasProfile {
                segment.dayStart = Self.right(before.dayStart, present: day, next: nextDay)
            }
            guard segment != before else { continue }
            own.pointee.hold[index] = segment
            isChanged = true
        }
        return isChanged
    }

    /// Where a segment belongs that begins at `start`, its subject being in `present` and going to `next`.
    private static func right(_ start: Int64, present: Int64, next: Int64) -> Int64 {
        if start > present { return present }
        return start < present && start >= next ? 0 : start
    }

    /// Plays a hold's move back. Returns what contradicts it.
    func moveHoldAgain(_ record: borrowing Record) -> String? {
        let id = ReservationID(raw: record.reservationID)
        guard id.slot >= 0, id.slot < table.slots.capacity else { return "no such slot" }
        let words = table.slots[id.slot]
        let word = SlotWord(word: words[Slot.state])
        // Forgotten, and its slot used again by another tenant, whose record was written first.
        if word.generation != id.generation || word.phase == .free { return nil }
        loadHold(words, word, hasProfile: own.pointee.subjects.hasProfile)
        guard HoldWindows.take(record.text, into: &own.pointee.hold) else {
            return "it does not say where to"
        }
        storeWindows(words, word)
        return nil
    }

    /// Puts the windows of the hold in hand into its slot.
    private func storeWindows(_ words: Words, _ word: SlotWord) {
        for index in 0..<own.pointee.hold.segmentCount {
            let segment = own.pointee.hold[index]
            if index == 0 {
                words.setSigned(Slot.dayStart, segment.dayStart)
                words[Slot.tenantWindows] = segment.starts.word
            }
            if let body = word.body, word.holdsBody {
                Body.storeWindows(segment, to: table.bodies[body], index)
            }
        }
    }
}

/// The windows of a hold's segments, as the record of its move has them: little-endian words, the number of segments,
/// then the tenant's cycle and day and the profile's day of each.
private enum HoldWindows {
    static func words(of hold: borrowing HoldState) -> [Int64] {
        var words = [Int64(hold.segmentCount)]
        for index in 0..<hold.segmentCount {
            words.append(hold[index].starts.cycle)
            words.append(hold[index].starts.day)
            words.append(hold[index].dayStart)
        }
        return words.map(\.littleEndian)
    }

    /// False: they are not this hold's.
    static func take(_ text: BorrowedBytes, into hold: inout HoldState) -> Bool {
        func word(_ index: Int) -> Int64 {
            Int64(littleEndian: text.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
        }
        guard text.count == 8 * (3 * hold.segmentCount + 1), word(0) == hold.segmentCount else {
            return false
        }
        for index in 0..<hold.segmentCount {
            guard WindowStarts.mayBegin(at: word(3 * index + 1)),
                WindowStarts.mayBegin(at: word(3 * index + 2))
            else { return false }
            hold[index].starts.cycle = word(3 * index + 1)
            hold[index].starts.day = word(3 * index + 2)
            hold[index].dayStart = word(3 * index + 3)
        }
        return true
    }
}
