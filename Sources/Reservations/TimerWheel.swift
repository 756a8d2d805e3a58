/// A hierarchical timing wheel of slots, private to one lane (Varghese and Lauck, "Hashed and hierarchical timing
/// wheels", scheme 6): four levels of 256 buckets, the finest 8 ms wide. Lists run through the slots' `link` words.
///
/// Insertion and the work per due slot are O(1); a slot moves down at most three times.
struct TimerWheel {
    static let tickMilliseconds: Int64 = 8
    private static let levels = 4
    private static let buckets = 256
    /// Ticks that are walked one by one: nine minutes.
    private static let longestWalk: Int64 = 1 << 16

    private let slots: Region<Slot>
    /// Heads by level and bucket: slot index + 1; 0: empty.
    private let heads: UnsafeMutablePointer<UInt32>
    /// Ticks already worked off.
    private var present: Int64
    /// A due bucket that the last call did not finish: slot index + 1.
    private var unfinished: UInt32 = 0

    init(slots: Region<Slot>, now: Int64) {
        self.slots = slots
        heads = .allocate(capacity: Self.levels * Self.buckets)
        heads.initialize(repeating: 0, count: Self.levels * Self.buckets)
        present = now / Self.tickMilliseconds
    }

    func deallocate() { heads.deallocate() }

    /// Has a slot come up at `deadline` (milliseconds) or up to one tick later, never before.
    @inline(__always)
    mutating func insert(_ slot: Int, deadline: Int64) {
        slots[slot].setSigned(Slot.timer, deadline)
        place(slot, tick: deadline / Self.tickMilliseconds + 1)
    }

    @inline(__always)
    private mutating func place(_ slot: Int, tick: Int64) {
        let tick = max(tick, present + 1)
        let distance = tick &- present
        let level = distance < 256 ? 0 : distance < 1 << 16 ? 1 : distance < 1 << 24 ? 2 : 3
        let bucket = Int(truncatingIfNeeded: tick &>> Int64(8 &* level)) & 0xff
        let head = level &* Self.buckets &+ bucket
        slots[slot][Slot.link] = UInt64(heads[head])
        heads[head] = UInt32(truncatingIfNeeded: slot &+ 1)
    }

    /// Works off what is due until the work that `due` tells comes to `limit`; the rest comes with the next call.
    ///
    /// - Complexity: O(ticks passed + slots due), or O(slots) after more than nine minutes.
    mutating func advance(to now: Int64, limit: Int, _ due: (Int, inout TimerWheel) -> Int) {
        var left = limit
        let target = now / Self.tickMilliseconds
        if target - present > Self.longestWalk { leap(to: target - 1) }
        while true {
            while unfinished != 0 {
                if left <= 0 { return }
                let slot = Int(unfinished) - 1
                unfinished = UInt32(truncatingIfNeeded: slots[slot][Slot.link])
                left -= due(slot, &self)
            }
            guard present < target else { return }
            present += 1
            for level in 1..<Self.levels where present & (1 << Int64(8 * level) - 1) == 0 {
                cascade(level)
            }
            let head = Int(present & 0xff)
            unfinished = heads[head]
            heads[head] = 0
        }
    }

    /// Goes on at a tick far ahead (the process was stopped, the clock was moved): places every slot anew instead of
    /// walking the ticks between. O(slots).
    private mutating func leap(to tick: Int64) {
        var all = unfinished
        unfinished = 0
        for head in 0..<Self.levels * Self.buckets {
            var link = heads[head]
            heads[head] = 0
            while link != 0 {
                let slot = Int(link) - 1
                link = UInt32(truncatingIfNeeded: slots[slot][Slot.link])
                slots[slot][Slot.link] = UInt64(all)
                all = UInt32(truncatingIfNeeded: slot + 1)
            }
        }
        present = tick
        while all != 0 {
            let slot = Int(all) - 1
            all = UInt32(truncatingIfNeeded: slots[slot][Slot.link])
            place(slot, tick: slots[slot].signed(Slot.timer) / Self.tickMilliseconds + 1)
        }
    }

    /// Moves a coarse bucket's slots to finer ones.
    private mutating func cascade(_ level: Int) {
        let head = level * Self.buckets + Int(present >> Int64(8 * level) & 0xff)
        var link = heads[head]
        heads[head] = 0
        while link != 0 {
            let slot = Int(link) - 1
            link = UInt32(truncatingIfNeeded: slots[slot][Slot.link])
            let tick = slots[slot].signed(Slot.timer) / Self.tickMilliseconds + 1
            // `present` is the tick about to be worked off: what is due now goes into its bucket.
            if tick <= present {
                let now = Int(present & 0xff)
                slots[slot][Slot.link] = UInt64(heads[now])
                heads[now] = UInt32(truncatingIfNeeded: slot + 1)
            } else {
                place(slot, tick: tick)
            }
        }
    }
}
