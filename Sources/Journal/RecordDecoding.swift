package import Limits

/// Why a record whose checksum is right cannot be read.
package enum RecordError: Error, Equatable {
    /// Written by a newer version of Tollgate.
    case newer(format: UInt8)
    /// Written by a version whose records mean something else.
    case older(format: UInt8)
    case unknownKind(UInt8)
    /// It counts for a limit, or a resource, that this version does not know.
    case unknownLimit
    /// Its words do not add up.
    case malformed
}

extension RecordError: CustomStringConvertible {
    /// What is wrong with a record whose checksum is right, and what to do.
    package var description: String {
        let later = JournalError.runLaterRelease
        return switch self {
        case .newer(let format):
            "a record in format \(format), newer than this release; \(later)"
        case .older(let format):
            "a record in format \(format), older than \(RecordWords.format); \(JournalError.carryOver)"
        case .unknownLimit: "a record for a limit that this release does not know; \(later)"
        case .unknownKind(let kind): "a record of unknown kind \(kind); \(later)"
        case .malformed:
            "an inconsistent record with a valid checksum; restore the directory from a backup"
        }
    }
}

extension RecordWords {
    /// The lower half of the key of a record that nobody has checked yet; nil: it has none.
    package static func keyLow(_ words: UnsafeBufferPointer<UInt64>) -> UInt64? {
        guard words.count > head else { return nil }
        let sections = words[3] &>> 32
        guard sections & Section.key != 0 else { return nil }
        // One word for each amount and each section in front of the key, and a second one for the cycle.
        var position = head + (words[4] & 0xffff_ffff_ffff).nonzeroBitCount
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
        guard format <= RecordWords.formatWithTrace else { throw .newer(format: format) }
        guard format >= RecordWords.format else { throw .older(format: format) }
        let number = UInt8(truncatingIfNeeded: words[0] &>> 48)
        guard let kind = Kind(rawValue: number) else { throw .unknownKind(number) }
        self.kind = kind
        version = words[1]
        time = Int64(bitPattern: words[2])
        tenant = UInt32(truncatingIfNeeded: words[3])
        let sections = words[3] &>> 32
        let hasTrace = sections & Section.trace != 0
        guard hasTrace == (format == RecordWords.formatWithTrace) else { throw .malformed }
        try readAnswer(words[5])
        var input = RecordReader(words: words, position: RecordWords.head)
        try readEffects(words[4], &input)
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
            ? [] : input.nextEvents()
        lead = sections & Section.lead == 0 ? 0 : input.nextSigned()
        trace = hasTrace ? TraceID(high: input.next(), low: input.next()) : nil
        count = Count()
        if sections & Section.count != 0 {
            count = Count(
                all: input.next(), quiet: input.next(), first: input.nextSigned(),
                last: input.nextSigned())
        }
        takenAt = sections & Section.taken == 0 ? 0 : input.nextSigned()
        transition.events = sections & Section.events == 0 ? [] : input.nextEvents()
        let limits = sections & Section.limits == 0 ? 0 : input.next()
        refused = LimitSet(rawValue: UInt16(truncatingIfNeeded: limits))
        warnings = LimitSet(rawValue: UInt16(truncatingIfNeeded: limits &>> 16))
        openedTenantDayStart = sections & Section.tenantDay == 0 ? 0 : input.nextSigned()
        openedTenantDayEnd = sections & Section.tenantDay == 0 ? 0 : input.nextSigned()
        if asked.isEmpty { asked = added(.standard) }
        guard input.isWhole, WindowStarts.mayBegin(at: openedCycleStart),
            WindowStarts.mayBegin(at: openedTenantDayStart)
        else { throw .malformed }
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
        _ word: UInt64, _ input: inout RecordReader
    ) throws(RecordError) {
        let rules = LimitRules.standard
        guard
            let committed = rules.counters(
                of: LimitSet(rawValue: UInt16(truncatingIfNeeded: word))),
            let held = rules.counters(
                of: LimitSet(rawValue: UInt16(truncatingIfNeeded: word &>> 16))),
            Resource.knows(word &>> 32 & 0xff | word &>> 40 & 0xff)
        else { throw .unknownLimit }
        transition.touchesProfile = word & 1 << 48 != 0
        refusedBySuspension = word & 1 << 49 != 0
        transition.committed = input.nextDeltas(committed)
        transition.held = input.nextDeltas(held)
        asked = input.nextAmounts(word &>> 32)
        charged = input.nextAmounts(word &>> 40)
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
            let present = input.next()
            guard Resource.knows(present) else {
                input.fail()
                return
            }
            charge.amounts = input.nextAmounts(present)
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
        for resource in BitIndexes(UInt8(truncatingIfNeeded: bits)) {
            amounts.set(resource, nextSigned())
        }
        return amounts
    }

    @inline(__always)
    mutating func nextDeltas(_ counters: UInt8) -> CounterDeltas {
        var deltas = CounterDeltas()
        for counter in BitIndexes(counters) { deltas.set(counter, nextSigned()) }
        return deltas
    }

    mutating func nextEvents() -> EventSet {
        let low = UInt128(next())
        return EventSet(rawValue: low | UInt128(next()) &<< 64)
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
