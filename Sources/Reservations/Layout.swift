import Limits

// The words of every record that threads share. A head is (tag, buffer): the tag is the low 40 bits of the version
// that wrote the buffer, so that a head never returns to a value within 2^40 transitions (2.5 days at five million a
// second on one tenant; a thread would have to stop for exactly that long, and find the same buffer).

/// A tenant's or profile's head word: 40 bits of version, 24 bits of buffer index.
struct Head: Equatable {
    var word: UInt64
    static let bufferBits: UInt64 = 24
    static let maxBuffers = 1 << 24

    @inline(always) init(word: UInt64) { self.word = word }
    @inline(always) init(version: UInt64, buffer: Int) {
        word = version &<< Self.bufferBits | UInt64(truncatingIfNeeded: buffer)
    }
    @inline(always) var buffer: Int { Int(truncatingIfNeeded: word & 0xff_ffff) }
    /// Its low 40 bits.
    @inline(always) var version: UInt64 { word &>> Self.bufferBits }
}

/// A tenant's 64-byte cell.
enum TenantCell: RecordLayout {
    static let words = 8
    static let head = 0
    /// The version whose dependent records its author completed: a hint that saves the next operation the work.
    static let completed = 1
    /// High half: slots that the tenant's reservations are in, open or remembered; may be one too few for every thread
    /// that stopped in between. Low half: the id's hash (`CellID`).
    static let use = CellID.firstWord
}

/// A messaging profile's 64-byte cell.
enum ProfileCell: RecordLayout {
    static let words = 8
    static let head = 0
    static let tenant = 1
}

/// What the last transition of a tenant says about its dependent records. Whoever comes next completes it first.
struct Pending {
    static let hasProfile: UInt64 = 1
    /// The slot was filled for this transition: make it visible.
    static let publication: UInt64 = 2
    /// The slot's state moves from `slotOld` to `slotNew`.
    static let swing: UInt64 = 4
    static let hasKey: UInt64 = 8

    var flags: UInt64 = 0
    var profile = 0
    var profileOld: UInt64 = 0
    var profileNew: UInt64 = 0
    var slot = 0
    /// With `birth`: the slot's birth word before it is visible.
    var slotOld: UInt64 = 0
    var slotNew: UInt64 = 0
    var key: UInt64 = 0
}

/// Where the record of a tenant's version stands: the lane that wrote it and the position in its ring.
struct Origin: Equatable {
    var word: UInt64
    private static let positionBits: UInt64 = 56
    static let maxLanes = 255

    /// On disk since before this process, or never to be.
    static var none: Origin { Origin(word: .max) }

    @inline(always) init(word: UInt64) { self.word = word }
    @inline(always) init(lane: Int, position: UInt64) {
        word = UInt64(truncatingIfNeeded: lane) &<< Self.positionBits | position
    }
    @inline(always) var lane: Int { Int(truncatingIfNeeded: word &>> Self.positionBits) }
    @inline(always) var position: UInt64 { word & (1 &<< Self.positionBits &- 1) }
}

/// The immutable state of a tenant in one version.
///
/// | words | |
/// |---|---|
/// | 0, 1 | version, flags |
/// | 2, 3 | alerts that were raised, and in the upper half of 3 the percent epoch |
/// | 4 ... 7 | start and end of the cycle and of the tenant's day |
/// | 8 ..< 15 | `Pending` |
/// | 15 | `Origin` of the version's record |
/// | 16 ... | committed, held and cap of each counter |
enum TenantNode: RecordLayout {
    @inline(always) static var words: Int { counters &+ 3 &* LimitKind.counterCount }
    private static let pending = 8
    /// `Origin` of the version's record.
    static let origin = 15
    private static let counters = 16

    @inline(always)
    static func load(_ node: Words, into state: inout TenantState) {
        state.version = node[0]
        state.flags = node[1]
        let high = node[3]
        state.raised = EventSet(
            rawValue: UInt128(node[2]) | UInt128(high & 0xffff_ffff) &<< 64)
        state.percentEpoch = UInt32(truncatingIfNeeded: high &>> 32)
        state.cycleStart = node.signed(4)
        state.cycleEnd = node.signed(5)
        state.dayStart = node.signed(6)
        state.dayEnd = node.signed(7)
        for counter in 0..<LimitKind.counterCount {
            state.committed[counter] = node.signed(counters &+ 3 &* counter)
            state.held[counter] = node.signed(counters &+ 3 &* counter &+ 1)
            state.caps[counter] = node.signed(counters &+ 3 &* counter &+ 2)
        }
    }

    /// `inout` only so that the state is not copied first.
    @inline(always)
    static func store(_ state: inout TenantState, to node: Words) {
        node[0] = state.version
        node[1] = state.flags
        node[2] = UInt64(truncatingIfNeeded: state.raised.rawValue)
        node[3] =
            UInt64(truncatingIfNeeded: state.raised.rawValue &>> 64) & 0xffff_ffff
            | UInt64(state.percentEpoch) &<< 32
        node.setSigned(4, state.cycleStart)
        node.setSigned(5, state.cycleEnd)
        node.setSigned(6, state.dayStart)
        node.setSigned(7, state.dayEnd)
        for counter in 0..<LimitKind.counterCount {
            node.setSigned(counters &+ 3 &* counter, state.committed[counter])
            node.setSigned(counters &+ 3 &* counter &+ 1, state.held[counter])
            node.setSigned(counters &+ 3 &* counter &+ 2, state.caps[counter])
        }
    }

    @inline(always)
    static func load(_ node: Words, into pending: inout Pending) {
        let first = node[Self.pending]
        pending.flags = first & 0xff
        if pending.flags & Pending.hasProfile != 0 {
            pending.profile = Int(truncatingIfNeeded: first &>> 32)
            pending.profileOld = node[Self.pending + 1]
            pending.profileNew = node[Self.pending + 2]
        }
        if pending.flags & (Pending.publication | Pending.swing) != 0 {
            pending.slot = Int(truncatingIfNeeded: node[Self.pending + 3])
            pending.slotOld = node[Self.pending + 4]
            pending.slotNew = node[Self.pending + 5]
        }
        if pending.flags & Pending.hasKey != 0 { pending.key = node[Self.pending + 6] }
    }

    /// `inout` only so that it is not copied first.
    @inline(always)
    static func store(_ pending: inout Pending, to node: Words) {
        node[Self.pending] = pending.flags | UInt64(truncatingIfNeeded: pending.profile) &<< 32
        if pending.flags & Pending.hasProfile != 0 {
            node[Self.pending + 1] = pending.profileOld
            node[Self.pending + 2] = pending.profileNew
        }
        if pending.flags & (Pending.publication | Pending.swing) != 0 {
            node[Self.pending + 3] = UInt64(truncatingIfNeeded: pending.slot)
            node[Self.pending + 4] = pending.slotOld
            node[Self.pending + 5] = pending.slotNew
        }
        if pending.flags & Pending.hasKey != 0 { node[Self.pending + 6] = pending.key }
    }
}

/// The immutable state of a profile in one version: 8 words, cap, committed, held, day, flags.
enum ProfileNode: RecordLayout {
    static let words = 8

    @inline(always)
    static func load(_ node: Words, into state: inout ProfileState) {
        state.cap = node.signed(0)
        state.committed = node.signed(1)
        state.held = node.signed(2)
        state.dayStart = node.signed(3)
        state.flags = node[4]
    }

    /// `inout` only so that the state is not copied first.
    @inline(always)
    static func store(_ state: inout ProfileState, to node: Words) {
        node.setSigned(0, state.cap)
        node.setSigned(1, state.committed)
        node.setSigned(2, state.held)
        node.setSigned(3, state.dayStart)
        node[4] = state.flags
    }
}

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
/// | 22 ... 35 | while open or expired: sequence, one higher with every change; settled: what the commit answered |
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

    /// The word of a committed reservation, which changes no more: it keeps what a repeat is answered.
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

/// A reservation's slot: 16 words. All but `state`, `birth`, `owner` and `forgetting` are written by the lane that
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
    static let mostAmounts = 4
    /// The profile's day, milliseconds; the tenant's cycle and day, see `Windows`.
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
}

/// The starts of a tenant's windows in one word, Unix seconds: cycle, day << 32.
enum Windows {
    @inline(always)
    static func word(cycle: Int64, day: Int64) -> UInt64 {
        UInt64(truncatingIfNeeded: cycle / 1_000) & 0xffff_ffff
            | UInt64(truncatingIfNeeded: day / 1_000) &<< 32
    }
    @inline(always)
    static func cycle(_ word: UInt64) -> Int64 { Int64(word & 0xffff_ffff) &* 1_000 }
    @inline(always)
    static func day(_ word: UInt64) -> Int64 { Int64(word &>> 32) &* 1_000 }
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
        words[offset + 1] = Windows.word(cycle: segment.cycleStart, day: segment.tenantDay)
    }

    static func segment(_ words: Words, _ index: Int) -> HoldSegment {
        let offset = segments + segmentWords * index
        let windows = words[offset + amountsWords + 1]
        return HoldSegment(
            amounts: amounts(words, at: offset),
            counters: UInt8(truncatingIfNeeded: words[offset] &>> 8),
            dayStart: words.signed(offset + amountsWords), cycleStart: Windows.cycle(windows),
            tenantDay: Windows.day(windows))
    }
}

/// Single words: hash buckets.
enum Word: RecordLayout {
    static let words = 1
}

/// A cache line: shared counters, heartbeats, ids that do not fit a cell.
enum CacheLine: RecordLayout {
    static let words = 8
}

/// A lane's heartbeat: a cache line.
enum Heartbeat {
    /// Engine time of the lane's last tick. 0: it times nothing; 1: it has retired.
    static let time = 0
    /// The time at which it was found silent when a walk of the slots began. Set by the walker.
    static let walkBegun = 1
    /// The same, when that walk had taken over all that it found. Set by the walker.
    static let walkDone = 2
}
