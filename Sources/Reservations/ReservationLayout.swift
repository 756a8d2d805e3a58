import Limits

/// A reservation id: 24 bits of generation, 32 bits of slot index + 1. Below 2^56, never 0; the bits above stay zero.
///
/// **No id is given twice.** A slot's generation rises with every reservation that is made in it, and with nothing else
/// (`Lane.giveSlot`); it never wraps: a slot that has lived through the last one is not used again, and a table whose
/// slots all have refuses (`Lane.takeSlot`). A later process starts above the latest generation on record
/// (`.generationFloor`), and passes over some more for what was given out and never became durable.
struct ReservationID {
    static let lastGeneration: UInt64 = 0xff_ffff
    let raw: UInt64

    @inline(always) init(raw: UInt64) { self.raw = raw }
    @inline(always) init(slot: Int, generation: UInt64) {
        raw = generation &<< 32 | UInt64(truncatingIfNeeded: slot &+ 1)
    }
    @inline(always) var slot: Int { Int(truncatingIfNeeded: raw & 0xffff_ffff) &- 1 }
    @inline(always) var generation: UInt64 { raw &>> 32 }
}

/// A slot's state word.
///
/// | bits | meaning |
/// |---|---|
/// | 40 ... 63 | generation |
/// | 36 ... 39 | phase |
/// | 22 ... 35 | while open or expired: sequence, one higher with every change; settled: see `settled` |
/// | 0 ... 21 | body index + 1; 0: none |
struct SlotWord: Equatable {
    /// What a reservation has come to.
    struct Phase: Equatable {
        let rawValue: UInt64
        @inline(always) init(rawValue: UInt64) { self.rawValue = rawValue }

        @inline(always) static var free: Phase { Phase(rawValue: 0) }
        @inline(always) static var held: Phase { Phase(rawValue: 1) }
        @inline(always) static var released: Phase { Phase(rawValue: 2) }
        /// Committed as held; the body, if any, is the hold's.
        @inline(always) static var committed: Phase { Phase(rawValue: 3) }
        /// Committed with other amounts; the body says which.
        @inline(always) static var committedOther: Phase { Phase(rawValue: 4) }
        @inline(always) static var expiredReleased: Phase { Phase(rawValue: 5) }
        @inline(always) static var expiredCharged: Phase { Phase(rawValue: 6) }
        /// Committed after it had expired; the body says what.
        @inline(always) static var committedLate: Phase { Phase(rawValue: 7) }
        /// Released after it had expired.
        @inline(always) static var releasedLate: Phase { Phase(rawValue: 8) }

        /// Expired, and neither committed nor released since.
        @inline(always) var isExpired: Bool { self == .expiredReleased || self == .expiredCharged }
    }

    var word: UInt64
    static let maxBodies = 1 << 22 - 1
    /// The limits that a settled slot has a bit for: fewer than `LimitSet.capacity`.
    static let limitCapacity = 12

    @inline(always) init(word: UInt64) { self.word = word }
    @inline(always) init(generation: UInt64, phase: Phase) {
        word = generation &<< 40 | phase.rawValue &<< 36
    }
    @inline(always) var generation: UInt64 { word &>> 40 }
    @inline(always) var phase: Phase { Phase(rawValue: word &>> 36 & 0xf) }
    /// nil: the slot's own words say everything.
    @inline(always) var body: Int? {
        let index = Int(truncatingIfNeeded: word & 0x3f_ffff)
        return index == 0 ? nil : index &- 1
    }

    /// The word of a committed reservation, which changes no more: it keeps what a repeat is answered, the tenant's
    /// status in bits 22 and 23, the warnings in 24 ... 35.
    @inline(always)
    func settled(
        _ phase: Phase, body: Int?, warnings: LimitSet, tenantStatus: TenantStatus
    ) -> SlotWord {
        let result = UInt64(tenantStatus.rawValue) | UInt64(warnings.rawValue & 0xfff) &<< 2
        return SlotWord(
            word: generation &<< 40 | phase.rawValue &<< 36 | result &<< 22
                | UInt64(truncatingIfNeeded: (body ?? -1) &+ 1))
    }
    /// What a repeat of the commit is answered.
    @inline(always)
    var warnings: LimitSet { LimitSet(rawValue: UInt16(truncatingIfNeeded: word &>> 24 & 0xfff)) }
    @inline(always)
    var tenantStatus: TenantStatus {
        TenantStatus(rawValue: UInt8(truncatingIfNeeded: word &>> 22 & 0x3)) ?? .active
    }

    /// No change more would have a sequence of its own: a helper that comes too late could mistake one for another.
    @inline(always)
    var isExhausted: Bool { word &>> 22 & 0x3fff >= 0x3ff0 }

    /// The word after any other change.
    @inline(always)
    func next(_ phase: Phase, body: Int?) -> SlotWord {
        let sequence = (word &>> 22 &+ 1) & 0x3fff
        return SlotWord(
            word: generation &<< 40 | phase.rawValue &<< 36 | sequence &<< 22
                | UInt64(truncatingIfNeeded: (body ?? -1) &+ 1))
    }
}

/// A reservation's slot: 16 words. All but `state`, `published`, `owner` and `forgetting` are written by the lane that
/// takes the slot before it is visible.
enum Slot: RecordLayout {
    static let words = 16
    static let state = 0
    /// generation << 1 | visible. A slot is known to nobody before it is visible.
    static let published = 1
    /// tenant | (profile + 1) << 32
    static let subjects = 2
    /// action | onExpiry << 8 | overage << 16 | resources << 24 | counters << 32 | the quarter of an hour, of engine time, in
    /// which it was taken << 40
    static let policy = 3
    static let createdAt = 4
    static let expiresAt = 5
    /// The amounts of the resources that it names, in their order.
    static let amounts = 6
    /// As many as a request may name.
    @inline(always) static var mostAmounts: Int { Resource.mostOfRequest }
    /// The profile's day, milliseconds; the tenant's cycle and day, see `WindowStarts`.
    static let dayStart = 10
    static let tenantWindows = 11
    /// The lane's list of free slots: index + 1.
    static let link = 12
    /// The lane that times the reservation, see `SlotOwner`; 0: the slot is in a list of free ones.
    static let owner = 13
    /// When the settled reservation is forgotten, see `ForgetTime`.
    static let forgetting = 14
    /// The shared stack of free blocks; high half: slots in the block.
    static let block = 15
    static let end = block + 1
}

/// Which lane times a reservation: generation << 16 | lane + 1. It changes by compare-exchange, so that of an owner
/// that was stopped and the lane that takes over exactly one goes on, and exactly one puts the slot on a free list.
struct SlotOwner {
    static let maxLanes = 0xffff
    let word: UInt64
    @inline(always) init(word: UInt64) { self.word = word }
    @inline(always) init(generation: UInt64, lane: Int) {
        word = generation &<< 16 | UInt64(truncatingIfNeeded: lane &+ 1)
    }
    @inline(always) var generation: UInt64 { word &>> 16 }
    /// nil: the slot is free.
    @inline(always)
    var lane: Int? { word == 0 ? nil : Int(truncatingIfNeeded: word & 0xffff) &- 1 }
}

/// When a settled reservation is forgotten, and for which life and phase that was set: what was settled anew since
/// (a late commit) is remembered anew, and a lane that comes too late sets nothing.
///
/// | bits | meaning |
/// |---|---|
/// | 22 ... 63 | Unix milliseconds |
/// | 18 ... 21 | phase; of a charged hold that is remembered for longer `remembered`, of one that is no more `released` |
/// | 0 ... 17 | generation, low bits |
struct ForgetTime {
    /// Beyond `SlotWord.Phase`: see `ChargedMemory`.
    private static let remembered: UInt64 = 9
    private static let released: UInt64 = 10

    let word: UInt64
    @inline(always) init(word: UInt64) { self.word = word }
    @inline(always)
    init(_ time: Int64, _ state: SlotWord) {
        word = UInt64(bitPattern: time) &<< 22 | Self.life(state)
    }
    /// None yet, in a word that no other life of the slot has.
    @inline(always)
    static func unset(_ state: SlotWord) -> ForgetTime { ForgetTime(word: life(state)) }
    @inline(always)
    private static func life(_ state: SlotWord) -> UInt64 {
        state.phase.rawValue &<< 18 | state.generation & 0x3_ffff
    }
    /// The time, if it was set for this life and phase.
    @inline(always)
    func time(of state: SlotWord) -> Int64? {
        let life = word & 0x3f_ffff
        if life == Self.life(state) { return time }
        guard state.phase == .expiredCharged, kind == Self.remembered || kind == Self.released,
            life & 0x3_ffff == state.generation & 0x3_ffff
        else { return nil }
        return time
    }

    var time: Int64 { Int64(word &>> 22) }
    private var kind: UInt64 { word &>> 18 & 0xf }
    /// It is of a charged hold that is remembered for longer, in its own budget.
    var isRemembered: Bool { kind == Self.remembered }
    var isReleased: Bool { kind == Self.released }

    /// The same charged hold, remembered until then in the budget of charged holds.
    func remembered(until time: Int64) -> ForgetTime { with(Self.remembered, time) }
    /// The same charged hold, which is not remembered any more.
    func released(at time: Int64) -> ForgetTime { with(Self.released, time) }
    private func with(_ kind: UInt64, _ time: Int64) -> ForgetTime {
        ForgetTime(
            word: UInt64(bitPattern: time) &<< 22 | kind &<< 18 | word & 0x3_ffff)
    }
}

/// What does not fit a slot: the segments of an extended hold, or what a commit charged.
enum Body: RecordLayout {
    /// Amounts with the set of their resources.
    private static let amountsWords = 1 + Amounts.capacity
    private static let segmentWords = amountsWords + 2
    static let words = 40
    /// Free list; else the expiry of an extended hold.
    static let link = 0
    static let expiresAt = 1
    static let segmentCount = 2
    private static let segments = 3
    /// Settlement.
    static let held = 1
    static let asked = held + amountsWords
    static let charged = asked + amountsWords
    static let uncharged = charged + amountsWords
    static let end = max(
        segments + segmentWords * HoldState.maxSegments, uncharged + amountsWords)

    /// Resources in the low byte of the first word.
    @inline(always)
    static func store(_ amounts: Amounts, to words: Words, at offset: Int) {
        words[offset] = UInt64(amounts.present)
        for resource in amounts.resources {
            words.setSigned(offset + 1 + resource, amounts[resource])
        }
    }

    @inline(always)
    static func amounts(_ words: Words, at offset: Int) -> Amounts {
        var amounts = Amounts()
        for resource in BitIndexes(UInt8(truncatingIfNeeded: words[offset]))
        where resource < Amounts.capacity {
            amounts.set(resource, words.signed(offset + 1 + resource))
        }
        return amounts
    }

    static func store(_ segment: HoldSegment, to words: Words, _ index: Int) {
        let offset = segments + segmentWords * index
        store(segment.amounts, to: words, at: offset)
        words[offset] |= UInt64(segment.counters) &<< 8
        storeWindows(segment, to: words, index)
    }

    static func setCounters(_ counters: UInt8, of index: Int, _ words: Words) {
        let offset = segments + segmentWords * index
        words[offset] = words[offset] & 0xff | UInt64(counters) &<< 8
    }

    static func storeWindows(_ segment: HoldSegment, to words: Words, _ index: Int) {
        let offset = segments + segmentWords * index + amountsWords
        words.setSigned(offset, segment.dayStart)
        words[offset + 1] = segment.starts.word
    }

    static func segment(_ words: Words, _ index: Int) -> HoldSegment {
        let offset = segments + segmentWords * index
        return HoldSegment(
            amounts: amounts(words, at: offset),
            counters: UInt8(truncatingIfNeeded: words[offset] &>> 8),
            dayStart: words.signed(offset + amountsWords),
            starts: WindowStarts(word: words[offset + amountsWords + 1]))
    }
}
