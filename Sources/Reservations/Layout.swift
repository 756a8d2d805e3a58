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
    static let end = CellID.firstWord + CellID.words
}

/// A messaging profile's 64-byte cell.
enum ProfileCell: RecordLayout {
    static let words = 8
    static let head = 0
    static let tenant = 1
    static let end = CellID.firstWord + CellID.words
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
    /// With `publication`: the slot's `published` word before it is visible.
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
/// | 2, 3 | `TenantState.latches` |
/// | 4 ... 6 | `WindowStarts`, the ends of the cycle and of the tenant's day |
/// | 7 ..< 14 | `Pending` |
/// | 14 | `Origin` of the version's record |
/// | 15 ... | committed, held and cap of each counter |
enum TenantNode: RecordLayout {
    @inline(always) static var words: Int { counters &+ 3 &* LimitKind.counterCount }
    static var end: Int { words }
    private static let pending = 7
    /// `Origin` of the version's record.
    static let origin = 14
    private static let counters = 15

    @inline(always)
    static func load(_ node: Words, into state: inout TenantState) {
        state.version = node[0]
        state.flags = node[1]
        state.latches = UInt128(node[2]) | UInt128(node[3]) &<< 64
        state.starts = WindowStarts(word: node[4])
        state.cycleEnd = node.signed(5)
        state.dayEnd = node.signed(6)
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
        node[2] = UInt64(truncatingIfNeeded: state.latches)
        node[3] = UInt64(truncatingIfNeeded: state.latches &>> 64)
        node[4] = state.starts.word
        node.setSigned(5, state.cycleEnd)
        node.setSigned(6, state.dayEnd)
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
        let flags = pending.flags
        node[Self.pending] = flags | UInt64(truncatingIfNeeded: pending.profile) &<< 32
        if flags & Pending.hasProfile != 0 {
            node[Self.pending + 1] = pending.profileOld
            node[Self.pending + 2] = pending.profileNew
        }
        if flags & (Pending.publication | Pending.swing) != 0 {
            node[Self.pending + 3] = UInt64(truncatingIfNeeded: pending.slot)
            node[Self.pending + 4] = pending.slotOld
            node[Self.pending + 5] = pending.slotNew
        }
        if flags & Pending.hasKey != 0 { node[Self.pending + 6] = pending.key }
    }
}

/// The immutable state of a profile in one version: 8 words, cap, committed, held, day, flags.
enum ProfileNode: RecordLayout {
    static let words = 8
    static let end = 5

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
