public import Limits

// A record in the journal: 64-bit little-endian words. `docs/journal-format.md` has the layout for other readers.
//
// | word | bits | meaning |
// |---|---|---|
// | 0 | 0 ... 31 | CRC32C of the upper half of word 0, as a word, and of words 1 ..< n |
// |   | 32 ... 47 | n, words in all |
// |   | 48 ... 55 | kind |
// |   | 56 ... 63 | format: 3; 4 with a trace |
// | 1 | | version |
// | 2 | | engine time, Unix milliseconds |
// | 3 | 0 ... 31 | tenant |
// |   | 32 ... 63 | sections that follow, bit `Section` |
// | 4 | 0 ... 15, 16 ... 31 | the limits that committed and held are added to |
// |   | 32 ... 39, 40 ... 47 | the resources of asked and charged |
// |   | 48, 49 | the profile was touched; refused by suspension |
// | 5 | by bytes | action, mode, on expiry, overage, decision, treatment, tenant status, 0 |
//
// A limit's bit is its number less one, a resource's as well.
//
// Then committed, held, asked and charged, one word for each amount that is present, and the sections in the order of
// their bits.

/// What a record may have besides its first six words and its amounts.
enum Section {
    /// 1 word: the profile's number.
    static let profile: UInt64 = 1
    /// 2 words: the cycle that was opened.
    static let cycle: UInt64 = 2
    /// 1 word: the day that was opened.
    static let day: UInt64 = 4
    /// 1 word.
    static let reservation: UInt64 = 8
    /// 1 word.
    static let expiry: UInt64 = 16
    /// 1 word each: added to the profile's totals; absent: 0.
    static let profileCommitted: UInt64 = 32
    static let profileHeld: UInt64 = 64
    /// 4 words: high, low, content, until.
    static let key: UInt64 = 128
    /// 1 word: their number; then each: cycle, day, present amounts, these, the profile's spend.
    static let closed: UInt64 = 256
    /// 1 word: bytes; then as many words as they need, the last one filled with zeros.
    static let text: UInt64 = 512
    /// 1 word: the number of the caller's access token.
    static let caller: UInt64 = 1_024
    /// 2 words: alerts that are raised anew, bits as of the events.
    static let rearms: UInt64 = 2_048
    /// 1 word: by how much engine time is ahead of life time; absent: 0.
    static let lead: UInt64 = 4_096
    /// 2 words: the trace that the operation was a part of, the higher half first. A record with it is of format 4.
    static let trace: UInt64 = 1 << 13
    /// 4 words: of refusals, all, those that raised nothing, the first and the last of these.
    static let count: UInt64 = 1 << 14
    /// 1 word: when the reservation was made.
    static let taken: UInt64 = 1 << 15
    /// 2 words: `EventSet`, the lower half first.
    static let events: UInt64 = 1 << 16
    /// 1 word: limits that refused, and from bit 16 on those that warn.
    static let limits: UInt64 = 1 << 17
    /// 2 words: the tenant's day that was opened.
    static let tenantDay: UInt64 = 1 << 18
    /// What most records have nothing of.
    static let rare = rearms | lead | trace | count | taken | events | limits | tenantDay
}

/// Words of a record.
package enum RecordWords {
    static let head = 6
    /// Of a charge to a window that is over, besides its amounts.
    static let closedCharge = 4
    /// Words that no record exceeds.
    package static var most: Int { 1_024 }
    package static var format: UInt64 { 3 }
    /// Of a record with a trace, which releases that know no traces refuse by this number.
    package static var formatWithTrace: UInt64 { 4 }

    /// The number of words that a record's first word tells.
    @inline(__always)
    package static func count(_ first: UInt64) -> Int {
        Int(truncatingIfNeeded: first &>> 32 & 0xffff)
    }
}

extension RecordRing {
    /// Writes a record behind what is published, for the producer to publish: its end. There must be room for
    /// `RecordWords.most`. O(words).
    public func write(_ record: borrowing Record) -> UInt64 {
        let sections = record.sections
        let asked = record.writtenAsked
        let upper = record.upperHead(sections, asked: asked)
        var out = RecordCursor(ring: self, position: end &+ 1)
        out.crc.add(upper)
        out.put(record.version)
        out.put(UInt64(bitPattern: record.time))
        out.put(UInt64(record.tenant) | sections &<< 32)
        out.put(record.effects(asked: asked))
        out.put(record.answer)
        out.put(record.transition.committed)
        out.put(record.transition.held)
        out.put(asked)
        out.put(record.charged)
        if sections != 0 { out.put(record, sections) }
        precondition(
            out.position == end &+ (upper & 0xffff),
            "a record's length is its words")
        self[end] = upper &<< 32 | UInt64(out.crc.value)
        return out.position
    }

    /// Copies a record that another lane wrote and did not publish yet behind what is published here.
    ///
    /// - Returns: its end, to be published; nil: the other lane has published it meanwhile, nothing needs doing.
    ///   There must be room for `RecordWords.most`.
    package func copyUnpublished(from other: RecordRing, at position: UInt64) -> UInt64? {
        if other.published > position { return nil }
        let count = min(RecordWords.count(other[position]), RecordWords.most)
        for offset in 0..<UInt64(count) { self[end &+ offset] = other[position &+ offset] }
        // Still unpublished: then the other lane was at that record all the time, and the copy is whole.
        return other.published > position ? nil : end &+ UInt64(count)
    }
}

/// Puts words behind one another and sums them up.
private struct RecordCursor {
    let ring: RecordRing
    var position: UInt64
    var crc = CRC32C()

    init(ring: RecordRing, position: UInt64) {
        self.ring = ring
        self.position = position
    }

    @inline(__always)
    mutating func put(_ word: UInt64) {
        ring[position] = word
        crc.add(word)
        position &+= 1
    }

    @inline(__always)
    mutating func put(_ amounts: Amounts) {
        for resource in amounts.resources { put(UInt64(bitPattern: amounts[resource])) }
    }

    @inline(__always)
    mutating func put(_ deltas: CounterDeltas) {
        for counter in deltas.counters { put(UInt64(bitPattern: deltas[counter])) }
    }

    mutating func put(_ events: EventSet) {
        put(UInt64(truncatingIfNeeded: events.rawValue))
        put(UInt64(truncatingIfNeeded: events.rawValue &>> 64))
    }

    mutating func put(_ record: borrowing Record, _ sections: UInt64) {
        if sections & Section.profile != 0 { put(UInt64(record.profile ?? 0)) }
        if sections & Section.cycle != 0 {
            put(UInt64(bitPattern: record.openedCycleStart))
            put(UInt64(bitPattern: record.openedCycleEnd))
        }
        if sections & Section.day != 0 { put(UInt64(bitPattern: record.openedDay)) }
        if sections & Section.reservation != 0 { put(record.reservationID) }
        if sections & Section.expiry != 0 { put(UInt64(bitPattern: record.expiresAt)) }
        if sections & Section.profileCommitted != 0 {
            put(UInt64(bitPattern: record.transition.profileCommitted))
        }
        if sections & Section.profileHeld != 0 {
            put(UInt64(bitPattern: record.transition.profileHeld))
        }
        if sections & Section.key != 0 {
            put(record.keyHigh)
            put(record.keyLow)
            put(record.contentHash)
            put(UInt64(bitPattern: record.keyUntil))
        }
        if sections & Section.closed != 0 { putClosed(record) }
        if sections & Section.text != 0 { putText(record.text) }
        if sections & Section.caller != 0 { put(record.caller) }
        if sections & Section.rare != 0 { putRare(record, sections) }
    }

    @inline(never)
    private mutating func putRare(_ record: borrowing Record, _ sections: UInt64) {
        if sections & Section.rearms != 0 { put(record.transition.rearms) }
        if sections & Section.lead != 0 { put(UInt64(bitPattern: record.lead)) }
        if sections & Section.trace != 0 {
            put(record.trace?.high ?? 0)
            put(record.trace?.low ?? 0)
        }
        if sections & Section.count != 0 {
            put(record.count.all)
            put(record.count.quiet)
            put(UInt64(bitPattern: record.count.first))
            put(UInt64(bitPattern: record.count.last))
        }
        if sections & Section.taken != 0 { put(UInt64(bitPattern: record.takenAt)) }
        if sections & Section.events != 0 { put(record.transition.events) }
        if sections & Section.limits != 0 {
            put(UInt64(record.refused.rawValue) | UInt64(record.warnings.rawValue) &<< 16)
        }
        if sections & Section.tenantDay != 0 {
            put(UInt64(bitPattern: record.openedTenantDayStart))
            put(UInt64(bitPattern: record.openedTenantDayEnd))
        }
    }

    private mutating func putClosed(_ record: borrowing Record) {
        put(UInt64(record.closed.count))
        for index in 0..<record.closed.count {
            let charge = record.closed.charges[index]
            put(UInt64(bitPattern: charge.cycleStart))
            put(UInt64(bitPattern: charge.dayStart))
            put(UInt64(charge.amounts.present))
            put(charge.amounts)
            put(UInt64(bitPattern: charge.profileSpend))
        }
    }

    private mutating func putText(_ text: BorrowedBytes) {
        put(UInt64(text.count))
        var offset = 0
        while offset &+ 8 <= text.count {
            put(UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset &+= 8
        }
        guard offset < text.count else { return }
        var last: UInt64 = 0
        for index in offset..<text.count {
            last |= UInt64(text[index]) &<< UInt64(8 * (index - offset))
        }
        put(last)
    }
}

extension Record {
    fileprivate var sections: UInt64 {
        var sections: UInt64 = profile == nil ? 0 : Section.profile
        if openedCycleEnd != 0 { sections |= Section.cycle }
        if openedDay != 0 { sections |= Section.day }
        if reservationID != 0 { sections |= Section.reservation }
        if expiresAt != 0 { sections |= Section.expiry }
        if transition.profileCommitted != 0 { sections |= Section.profileCommitted }
        if transition.profileHeld != 0 { sections |= Section.profileHeld }
        if hasKey { sections |= Section.key }
        if closed.count > 0 { sections |= Section.closed }
        if text.count > 0 { sections |= Section.text }
        if caller != 0 { sections |= Section.caller }
        if !transition.rearms.isEmpty { sections |= Section.rearms }
        if count.all != 0 { sections |= Section.count }
        if isOfAnotherDay { sections |= Section.taken }
        if lead != 0 { sections |= Section.lead }
        if trace != nil { sections |= Section.trace }
        if !transition.events.isEmpty { sections |= Section.events }
        if refused.rawValue | warnings.rawValue != 0 { sections |= Section.limits }
        if openedTenantDayEnd != 0 { sections |= Section.tenantDay }
        return sections
    }

    /// `asked`, but for what `added` tells already.
    fileprivate var writtenAsked: Amounts {
        asked == added(.standard) ? Amounts() : asked
    }

    /// The upper half of word 0: words, kind and format.
    fileprivate func upperHead(_ sections: UInt64, asked: Amounts) -> UInt64 {
        var format = RecordWords.format
        var count = RecordWords.head + transition.committed.present.nonzeroBitCount
        count += transition.held.present.nonzeroBitCount
        count += asked.present.nonzeroBitCount + charged.present.nonzeroBitCount
        let single =
            Section.profile | Section.day | Section.reservation | Section.expiry
            | Section.profileCommitted | Section.profileHeld | Section.caller | Section.lead
            | Section.taken | Section.limits
        let double = Section.cycle | Section.tenantDay | Section.rearms | Section.events
        count += (sections & single).nonzeroBitCount + 2 * (sections & double).nonzeroBitCount
        if sections & Section.key != 0 { count += 4 }
        if sections & Section.text != 0 { count += 1 + (text.count + 7) / 8 }
        // One question for what hardly any record has.
        if sections & (Section.trace | Section.count | Section.closed) != 0 {
            if sections & Section.trace != 0 {
                format = RecordWords.formatWithTrace
                count += 2
            }
            if sections & Section.count != 0 { count += 4 }
            if sections & Section.closed != 0 { count += closedWords }
        }
        precondition(count <= RecordWords.most, "a record is longer than its bound")
        return UInt64(truncatingIfNeeded: count) | UInt64(kind.rawValue) &<< 16 | format &<< 24
    }

    private var closedWords: Int {
        (0..<closed.count).reduce(1) {
            $0 + RecordWords.closedCharge + closed.charges[$1].amounts.present.nonzeroBitCount
        }
    }

    fileprivate func effects(asked: Amounts) -> UInt64 {
        let rules = LimitRules.standard
        var word = UInt64(rules.limits(ofCounters: transition.committed.present).rawValue)
        word |= UInt64(rules.limits(ofCounters: transition.held.present).rawValue) &<< 16
        word |= UInt64(asked.present) &<< 32 | UInt64(charged.present) &<< 40
        word |= (transition.touchesProfile ? 1 : 0) &<< 48
        word |= (refusedBySuspension ? 1 : 0) &<< 49
        return word
    }

    fileprivate var answer: UInt64 {
        var word = UInt64(action.rawValue) | UInt64(mode.rawValue) &<< 8
        word |= UInt64(onExpiry.rawValue) &<< 16 | UInt64(overage.rawValue) &<< 24
        word |= UInt64(decision.rawValue) &<< 32 | UInt64(treatment.rawValue) &<< 40
        return word | UInt64(tenantStatus.rawValue) &<< 48
    }
}
