package import Limits

/// Why a record whose checksum is right cannot be read.
package enum RecordError: Error, Equatable {
    /// Written by a newer version of Tollgate.
    case newer(format: UInt8)
    case unknownKind(UInt8)
    /// Its words do not add up.
    case malformed
}

extension RecordWords {
    /// The lower half of the key of a record that nobody has checked yet; nil: it has none.
    package static func keyLow(_ words: UnsafeBufferPointer<UInt64>) -> UInt64? {
        guard words.count > head else { return nil }
        let sections = words[3] &>> 32
        guard sections & Section.key != 0 else { return nil }
        // One word for each amount and each section in front of the key, and a second one for the cycle.
        var position = head + (words[4] &>> 16 & 0xffff).nonzeroBitCount
        position += (sections & (Section.key - 1)).nonzeroBitCount
        if sections & Section.cycle != 0 { position += 1 }
        return position + 1 < words.count ? words[position + 1] : nil
    }
}

extension Record {
    /// Reads a record whose checksum was found right. `text` borrows from the words. O(words).
    package mutating func read(_ words: UnsafeBufferPointer<UInt64>) throws(RecordError) {
        guard words.count >= RecordWords.head, RecordWords.count(words[0]) == words.count else {
            throw .malformed
        }
        let format = UInt8(truncatingIfNeeded: words[0] &>> 56)
        guard format <= RecordWords.format else { throw .newer(format: format) }
        let number = UInt8(truncatingIfNeeded: words[0] &>> 48)
        guard let kind = Kind(rawValue: number) else { throw .unknownKind(number) }
        self.kind = kind
        version = words[1]
        time = Int64(bitPattern: words[2])
        tenant = UInt32(truncatingIfNeeded: words[3])
        let sections = words[3] &>> 32 & 0xffff
        try readAnswer(words[5])
        var input = RecordReader(words: words, position: RecordWords.head)
        readEffects(words[4], events: words[3] &>> 48, &input)
        transition.profileCommitted = 0
        transition.profileHeld = 0
        profile =
            sections & Section.profile == 0 ? nil : UInt32(truncatingIfNeeded: input.next())
        openedCycleStart = sections & Section.cycle == 0 ? 0 : input.nextSigned()
        openedCycleEnd = sections & Section.cycle == 0 ? 0 : input.nextSigned()
        openedDay = sections & Section.day == 0 ? 0 : input.nextSigned()
        reservationID = sections & Section.reservation == 0 ? 0 : input.next()
        expiresAt = sections & Section.expiry == 0 ? 0 : input.nextSigned()
        if sections & Section.profileCommitted != 0 {
            transition.profileCommitted = input.nextSigned()
        }
        if sections & Section.profileHeld != 0 { transition.profileHeld = input.nextSigned() }
        let hasKey = sections & Section.key != 0
        keyHigh = hasKey ? input.next() : 0
        keyLow = hasKey ? input.next() : 0
        contentHash = hasKey ? input.next() : 0
        keyUntil = hasKey ? input.nextSigned() : 0
        closed.count = 0
        if sections & Section.closed != 0 { readClosed(&input) }
        text = sections & Section.text == 0 ? BorrowedBytes(start: nil, count: 0) : input.nextText()
        caller = sections & Section.caller == 0 ? 0 : input.next()
        transition.rearms =
            sections & Section.rearms == 0
            ? [] : EventSet(rawValue: UInt32(truncatingIfNeeded: input.next()))
        lead = sections & Section.lead == 0 ? 0 : input.nextSigned()
        count = Count()
        if sections & Section.count != 0 {
            count = Count(
                all: input.next(), quiet: input.next(), first: input.nextSigned(),
                last: input.nextSigned())
        }
        takenAt = sections & Section.taken == 0 ? 0 : input.nextSigned()
        if asked.isEmpty { asked = added }
        guard input.isWhole else { throw .malformed }
    }

    private mutating func readAnswer(_ word: UInt64) throws(RecordError) {
        func byte(_ index: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: word &>> (8 &* index)) }
        guard let action = Action(rawValue: byte(0)), let mode = Mode(rawValue: byte(1)),
            let onExpiry = ExpiryPolicy(rawValue: byte(2)),
            let overage = OveragePolicy(rawValue: byte(3)),
            let decision = Decision(rawValue: byte(4)),
            let treatment = Treatment(rawValue: byte(5)),
            let tenantStatus = TenantStatus(rawValue: byte(6))
        else { throw .malformed }
        self.action = action
        self.mode = mode
        self.onExpiry = onExpiry
        self.overage = overage
        self.decision = decision
        self.treatment = treatment
        self.tenantStatus = tenantStatus
    }

    private mutating func readEffects(
        _ word: UInt64, events upper: UInt64, _ input: inout RecordReader
    ) {
        transition.events = EventSet(
            rawValue: UInt32(truncatingIfNeeded: word & 0xffff | upper &<< 16))
        refused = LimitSet(rawValue: UInt8(truncatingIfNeeded: word &>> 32))
        warnings = LimitSet(rawValue: UInt8(truncatingIfNeeded: word &>> 40))
        transition.touchesProfile = word & 1 << 48 != 0
        refusedBySuspension = word & 1 << 49 != 0
        transition.committed = input.nextAmounts(word &>> 16)
        transition.held = input.nextAmounts(word &>> 20)
        asked = input.nextAmounts(word &>> 24)
        charged = input.nextAmounts(word &>> 28)
    }

    private mutating func readClosed(_ input: inout RecordReader) {
        let count = input.next()
        guard (1...4).contains(count) else {
            input.fail()
            return
        }
        for index in 0..<Int(count) {
            var charge = ClosedCharges.Charge(
                cycleStart: input.nextSigned(), dayStart: input.nextSigned(), amounts: Amounts(),
                profileSpend: 0)
            let present = UInt8(truncatingIfNeeded: input.next() & 0xf)
            for resource in 0..<4 { charge.amounts[resource] = input.nextSigned() }
            charge.amounts.present = present
            charge.profileSpend = input.nextSigned()
            closed.charges[index] = charge
        }
        closed.count = Int(count)
    }
}

/// Takes words one after the other; past the end they read 0 and `isWhole` is false.
private struct RecordReader {
    let words: UnsafeBufferPointer<UInt64>
    var position: Int

    var isWhole: Bool { position == words.count }

    mutating func fail() { position = .max / 2 }

    @inline(__always)
    mutating func next() -> UInt64 {
        defer { position &+= 1 }
        return position < words.count ? words[position] : 0
    }

    @inline(__always)
    mutating func nextSigned() -> Int64 { Int64(bitPattern: next()) }

    @inline(__always)
    mutating func nextAmounts(_ bits: UInt64) -> Amounts {
        var amounts = Amounts()
        for resource in BitIndexes(UInt8(truncatingIfNeeded: bits & 0xf)) {
            amounts.set(resource, nextSigned())
        }
        return amounts
    }

    mutating func nextText() -> BorrowedBytes {
        let count = next()
        guard count <= UInt64(Record.longestText), position < words.count else {
            fail()
            return BorrowedBytes(start: nil, count: 0)
        }
        let start = UnsafeRawPointer(words.baseAddress.map { $0 + position })
        position += (Int(count) + 7) / 8
        return BorrowedBytes(start: start, count: Int(count))
    }
}
