// What a lane keeps for its own work.

/// A lane's free slots: a list through `Slot.link`, and a full block behind it. What is more goes to the stack that all
/// lanes share, a block at a time.
struct FreeSlots {
    static let blockSize = 64
    /// Slot index + 1; 0: none.
    var first: UInt32 = 0
    var count = 0
    /// A block of `blockSize` slots: index + 1 of the first; 0: none.
    var spare: UInt32 = 0
}

/// A lane's walk over the slots, to take over what stopped lanes time.
struct Walk {
    /// The claim under which this lane walks; 0: it does not.
    var claim: UInt64 = 0
    /// Slots of the walk, nil until its first stretch.
    var end: Int?
    var cursor = 0
    /// Something could not be taken over for want of memory.
    var isIncomplete = false
    /// By lane: the heartbeat at which it was found silent; 0: it was not.
    let beats: UnsafeMutablePointer<Int64>

    init(lanes: Int) {
        beats = .allocate(capacity: lanes)
        beats.initialize(repeating: 0, count: lanes)
    }

    func deallocate() { beats.deallocate() }
}

/// A time that a lane put on record.
struct TimeMark {
    /// Engine time, Unix milliseconds; `.min`: none yet.
    var time = Int64.min
    /// Where the record stands in the lane's ring.
    var position: UInt64 = 0
}

/// A settled reservation with a body, and when it is forgotten, Unix milliseconds.
struct ReplayedBody {
    var time: Int64
    var slot: Int
    var word: SlotWord
}
