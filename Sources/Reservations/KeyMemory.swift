import Limits

/// A request's idempotency key while it is being decided.
struct KeyRequest {
    var hash = KeyHash(high: 0, low: 0)
    var content: UInt64 = 0
    /// Until when it is remembered, Unix milliseconds.
    var until: Int64 = 0
    /// The entry in the key's bucket, once it was pushed.
    var reference: UInt64 = 0
    /// For whom the key counts (`KeyShares`); nil: for nobody.
    var tenant: Int?
}

/// The answer that a retry of a keyed request gets again. A denial is none: it only binds the key.
struct KeyedAnswer {
    var decision = Decision.denied
    var warnings: LimitSet = []
    var tenantStatus = TenantStatus.active
    var reservationID: UInt64 = 0
    var expiresAt: Int64 = 0
    var granted = Amounts()

    /// The small fields in 24 bits.
    @inline(always)
    var bits: UInt64 {
        UInt64(decision.rawValue) | UInt64(tenantStatus.rawValue) &<< 2
            | UInt64(warnings.rawValue) &<< 4 | UInt64(granted.present) &<< 18
    }

    init() {}

    init(bits: UInt64) {
        decision = Decision(rawValue: UInt8(bits & 3)) ?? .denied
        tenantStatus = TenantStatus(rawValue: UInt8(bits &>> 2 & 3)) ?? .active
        warnings = LimitSet(rawValue: UInt16(bits &>> 4 & 0x3fff))
        granted.present = UInt8(bits &>> 18 & 0x3f)
    }
}

/// The idempotency keys of the last while and the answers they got. A denial is no answer: its entry binds the key to
/// its content, and the request is decided anew.
///
/// **Algorithm.** A fixed array of bucket heads; entries are pushed at the front of their bucket's list before the
/// operation they belong to is decided, as undecided, and made visible by its completion. Entries are never unlinked:
/// every link carries the generation of its target, so a list ends where it meets an entry that has a next life.
/// An entry is reused only when it and everything behind it in its list is past its time, so nothing is cut off
/// early. Two requests with one key may both push; the tenant's head decides which is the first, and the other
/// finds it when it looks again. Of one key there may be an entry that binds it and one with the answer that came
/// later, in any order: the answer counts.
///
/// **Progress.** Lookups are bounded by the list; a push that fails means that another push succeeded.
struct KeyMemory {
    /// An entry's words.
    enum Entry: RecordLayout {
        static let words = 12
        static let end = granted + Slot.mostAmounts
    }

    static let chunkEntries = 128
    /// Chunks beyond the budget, for what is played back: it fills and frees chunks a little otherwise than the process did
    /// whose budget was spent.
    static let spareChunks = 8
    private static let high = 0
    private static let low = 1
    private static let content = 2
    private static let link = 3
    /// generation << 32 | answer bits << 1 | visible
    private static let state = 4
    private static let until = 5
    private static let reservation = 6
    private static let expiresAt = 7
    private static let granted = 8

    let entries: Region<Entry>
    let buckets: Region<Word>
    /// Chunks whose entries have all been given out, the oldest in front.
    let filled: ChunkQueue
    /// The budget.
    let chunks: Int

    /// - Parameter capacity: entries; rounded up to whole chunks.
    init(capacity: Int) throws(TableError) {
        chunks = (capacity + Self.chunkEntries - 1) / Self.chunkEntries
        entries = try Region(capacity: (chunks + Self.spareChunks) * Self.chunkEntries)
        filled = try ChunkQueue(capacity: chunks + Self.spareChunks)
        var size = 1024
        while size < capacity / 2 { size *= 2 }
        buckets = try Region(capacity: size)
    }

    func unmap() {
        entries.unmap()
        buckets.unmap()
        filled.unmap()
    }

    @inline(always)
    private func bucket(_ key: KeyHash) -> Words { bucket(low: key.low) }

    @inline(always)
    private func bucket(low: UInt64) -> Words {
        buckets[Int(truncatingIfNeeded: low) & (buckets.capacity &- 1)]
    }

    /// Where the bucket of a key lies, and the first entry of its list; nil: the list is empty.
    @inline(always)
    func bucketAddress(_ low: UInt64) -> UnsafeRawPointer {
        UnsafeRawPointer(bucket(low: low).base)
    }

    @inline(always)
    func firstAddress(_ low: UInt64) -> UnsafeRawPointer? {
        let reference = bucket(low: low)[0]
        return reference == 0 ? nil : UnsafeRawPointer(entry(reference).base)
    }

    /// A visible entry of this key that is within its time: its answer (a denial: it only binds the key) and whether the
    /// content is the same.
    func find(_ key: KeyHash, content: UInt64, now: Int64) -> (answer: KeyedAnswer, same: Bool)? {
        var bound: (answer: KeyedAnswer, same: Bool)?
        var reference = bucket(key)[0]
        while reference != 0 {
            let entry = entries[Int(truncatingIfNeeded: reference & 0xffff_ffff) &- 1]
            let generation = reference &>> 32
            let state = entry[Self.state]
            guard state &>> 32 == generation else { return bound }
            if state & 1 != 0 && entry[Self.low] == key.low && entry[Self.high] == key.high
                && now < entry.signed(Self.until)
            {
                var answer = KeyedAnswer(bits: state &>> 1 & 0x7fff_ffff)
                answer.reservationID = entry[Self.reservation]
                answer.expiresAt = entry.signed(Self.expiresAt)
                for (place, resource) in answer.granted.resources.prefix(4).enumerated() {
                    answer.granted[resource] = entry.signed(Self.granted &+ place)
                }
                let same = entry[Self.content] == content
                // The entry may have begun its next life meanwhile: then its time was over.
                guard entry[Self.state] == state else { return bound }
                if answer.decision == .allowed { return (answer, same) }
                if bound == nil { bound = (answer, same) }
            }
            let next = entry[Self.link]
            guard entry[Self.state] &>> 32 == generation else { return bound }
            reference = next
        }
        return bound
    }

    /// Begins an entry's next life, undecided and in no list. Returns its reference.
    func renew(
        _ index: Int, _ key: KeyHash, content: UInt64, until: Int64, _ steps: Steps
    ) -> UInt64 {
        let entry = entries[index]
        let generation = (entry[Self.state] &>> 32 &+ 1) & 0xffff_ffff
        entry[Self.state] = generation &<< 32
        steps(.keyRenewed)
        entry[Self.high] = key.high
        entry[Self.low] = key.low
        entry[Self.content] = content
        entry.setSigned(Self.until, until)
        return generation &<< 32 | UInt64(truncatingIfNeeded: index &+ 1)
    }

    /// Puts an undecided entry in front of its bucket's list.
    func push(_ reference: UInt64, _ key: KeyHash, _ steps: Steps) {
        let entry = self.entry(reference)
        let head = bucket(key)
        while true {
            let first = head[0]
            entry[Self.link] = first
            if first != 0 {
                // Remembered at least as long as what is behind it, however old this lane's clock is.
                let behind = self.entry(first)
                let until = behind.signed(Self.until)
                if behind[Self.state] &>> 32 == first &>> 32 && until > entry.signed(Self.until) {
                    entry.setSigned(Self.until, until)
                }
            }
            steps(.keyLinked)
            if head.compareExchange(0, first, reference) { return }
        }
    }

    /// Writes the answer of an undecided entry; its author only.
    func fill(_ reference: UInt64, _ answer: KeyedAnswer) {
        let entry = self.entry(reference)
        entry[Self.reservation] = answer.reservationID
        entry.setSigned(Self.expiresAt, answer.expiresAt)
        var place = Self.granted
        for resource in answer.granted.resources {
            precondition(place < Self.granted &+ 4, "more was granted than a request may name")
            entry.setSigned(place, answer.granted[resource])
            place &+= 1
        }
        entry[Self.state] = (reference &>> 32) &<< 32 | answer.bits &<< 1
    }

    /// Makes an entry visible; anybody, any number of times.
    @inline(always)
    func reveal(_ reference: UInt64) {
        let entry = self.entry(reference)
        let state = entry[Self.state]
        guard state &>> 32 == reference &>> 32, state & 1 == 0 else { return }
        // Losing means that somebody else revealed it.
        _ = entry.compareExchange(Self.state, state, state | 1)
    }

    @inline(always)
    private func entry(_ reference: UInt64) -> Words {
        entries[Int(truncatingIfNeeded: reference & 0xffff_ffff) &- 1]
    }

    /// Hands over the words of every visible entry that is within its time: high, low, content, until, answer bits,
    /// reservation, expiry, granted; and in which chunk it is. One thread, nobody else works with the memory.
    ///
    /// Chunk by chunk, those first that are over first: who takes the entries over in this order has chunks of one age
    /// again, which are used anew one after the other, as the budget has it.
    ///
    /// - Parameter chunks: those that were ever taken.
    func forEach<E: Error>(
        now: Int64, chunks: Int, _ body: ([UInt64], Int) throws(E) -> Void
    ) throws(E) {
        let chunks = min(chunks, entries.capacity / Self.chunkEntries)
        let order = (0..<chunks).map { (until: lastUntil(ofChunk: $0), chunk: $0) }
            .filter { $0.until >= now }.sorted { ($0.until, $0.chunk) < ($1.until, $1.chunk) }
        for (_, chunk) in order {
            for index in chunk * Self.chunkEntries..<(chunk + 1) * Self.chunkEntries {
                let entry = entries[index]
                let state = entry[Self.state]
                guard state & 1 != 0, now <= entry.signed(Self.until) else { continue }
                let words = [
                    entry[Self.high], entry[Self.low], entry[Self.content], entry[Self.until],
                    state &>> 1 & 0x7fff_ffff, entry[Self.reservation], entry[Self.expiresAt],
                    entry[Self.granted], entry[Self.granted + 1], entry[Self.granted + 2],
                    entry[Self.granted + 3],
                ]
                try body(words, chunk)
            }
        }
    }

    /// Until when the last visible entry of a chunk is remembered; `.min`: none is.
    private func lastUntil(ofChunk chunk: Int) -> Int64 {
        (chunk * Self.chunkEntries..<(chunk + 1) * Self.chunkEntries).reduce(.min) { last, index in
            let entry = entries[index]
            return entry[Self.state] & 1 == 0 ? last : max(last, entry.signed(Self.until))
        }
    }

    /// Whether an entry, and whatever stands behind it in its list, is past its time.
    func isForgotten(_ index: Int, now: Int64) -> Bool {
        let entry = entries[index]
        guard entry.signed(Self.until) < now else { return false }
        let next = entry[Self.link]
        guard next != 0 else { return true }
        let behind = self.entry(next)
        return behind[Self.state] &>> 32 != next &>> 32 || behind.signed(Self.until) < now
    }
}
