import Limits

/// Chunks of timer entries, shared by the wheels of all lanes.
enum TimerChunk: RecordLayout {
    static let words = 64
    /// The next chunk of a list: index + 1; 0: none.
    static let link = 0
    /// Entries start here, two words each: reservation id, deadline in milliseconds.
    static let entries = 2
    static let capacity = 31
    static let end = entries + 2 * capacity
}

/// The memory of all timer wheels.
///
/// **Bound.** A reservation has one entry in the wheel of the lane that times it, and an idle one in each wheel it was
/// taken over from (`Lane+Takeover`). A wheel needs a chunk for every 31 entries and one for every bucket, twice that
/// while it is rebuilt. Reservations are taken over only while half of the pool is free, and what is made later fits
/// the other half: so `take` finds one.
struct TimerPool {
    let chunks: Region<TimerChunk>
    private let stack: SharedStack<TimerChunk>
    private let fresh: Words
    private let free: Words

    /// - Parameters: fresh, free, head: zeroed words, a cache line each.
    init(capacity: TableCapacity, fresh: Words, free: Words, head: Words) throws(TableError) {
        chunks = try Region(capacity: Self.chunks(capacity))
        stack = SharedStack(head: head, records: chunks, link: TimerChunk.link, indexBits: 32)
        self.fresh = fresh
        self.free = free
    }

    static func chunks(_ capacity: TableCapacity) -> Int {
        let partial = capacity.lanes * (2 * TimerWheel.bucketCount + TimerWheel.spareChunks + 2)
        return 2 * (capacity.reservations / TimerChunk.capacity + 1 + partial)
    }

    func take() -> Int {
        if let chunk = stack.pop(Steps.none) {
            // Wraps below zero and back: only the sum counts.
            _ = free.add(0, .max)
            return chunk
        }
        let chunk = Int(fresh.add(0, 1))
        precondition(chunk < chunks.capacity, "timers are bounded by the reservations")
        return chunk
    }

    func give(_ chunk: Int) {
        _ = free.add(0, 1)
        stack.push(chunk, Steps.none)
    }

    /// Whether reservations of another lane may be timed as well.
    var hasRoomToSpare: Bool {
        let left = chunks.capacity - Int(fresh[0]) + Int(Int64(bitPattern: free[0]))
        return left > chunks.capacity / 2
    }
}

/// A hierarchical timing wheel of reservations, private to one lane (Varghese and Lauck, "Hashed and hierarchical
/// timing wheels", scheme 6): four levels of 256 buckets, the finest 8 ms wide. A bucket is a list of chunks of 31
/// entries; nothing of it lies in the slots, so other lanes may time the same reservation.
///
/// Insertion and the work per due entry are O(1); an entry moves down at most three times.
struct TimerWheel {
    static let tickMilliseconds: Int64 = 8
    static let bucketCount = levels * buckets
    /// Unused chunks that a lane keeps.
    static let spareChunks = 32
    private static let levels = 4
    private static let buckets = 256
    /// Ticks that are walked one by one: nine minutes.
    private static let longestWalk: Int64 = 1 << 16

    /// The newest chunk of a list (index + 1; 0: the list is empty) and how many entries it has, at least one; the
    /// chunks behind it are full.
    private struct List {
        var chunk: UInt32 = 0
        var count = 0
    }
    private let pool: TimerPool
    /// By level and bucket; behind them, by level, the bucket whose entries are just being moved to finer ones.
    private let lists: UnsafeMutablePointer<List>
    private static let listCount = bucketCount + levels
    /// What a leap found, in the same order and behind it `unfinished`, as far as it has not been placed anew.
    private let leaping: UnsafeMutablePointer<List>
    private static let leapingCount = listCount + 1
    /// The first of these lists that may have an entry left.
    private var leapt = leapingCount
    /// The tick that is worked off.
    private var present: Int64
    /// What the last call did not finish of its bucket.
    private var unfinished = List()
    /// Entries moved to finer buckets; so many of them are as much work as a look at a reservation.
    private var moved = 0
    private static let movesForOne = 8
    /// Unused chunks: index + 1.
    private var spare: UInt32 = 0
    private var spareCount = 0

    init(pool: TimerPool, now: Int64) {
        self.pool = pool
        lists = .allocate(capacity: Self.listCount)
        lists.initialize(repeating: List(), count: Self.listCount)
        leaping = .allocate(capacity: Self.leapingCount)
        leaping.initialize(repeating: List(), count: Self.leapingCount)
        present = now / Self.tickMilliseconds
    }

    func deallocate() {
        lists.deallocate()
        leaping.deallocate()
    }

    /// Forgets all entries and gives all memory back.
    mutating func clear() {
        for index in 0..<Self.listCount { drop(&lists[index]) }
        for index in 0..<Self.leapingCount { drop(&leaping[index]) }
        leapt = Self.leapingCount
        var rest = unfinished
        drop(&rest)
        unfinished = List()
        while spare != 0 {
            let chunk = Int(spare) - 1
            spare = UInt32(truncatingIfNeeded: pool.chunks[chunk][TimerChunk.link])
            pool.give(chunk)
        }
        spareCount = 0
    }

    private func drop(_ list: inout List) {
        while list.chunk != 0 {
            let chunk = Int(list.chunk) - 1
            list.chunk = UInt32(truncatingIfNeeded: pool.chunks[chunk][TimerChunk.link])
            pool.give(chunk)
        }
        list.count = 0
    }

    /// Has a reservation come up at `deadline` (milliseconds) or up to one tick later, never before.
    @inline(always)
    mutating func insert(_ id: ReservationID, deadline: Int64) {
        place(id.raw, deadline: deadline, tick: Self.tick(deadline))
    }

    @inline(always)
    private static func tick(_ deadline: Int64) -> Int64 {
        // Unsigned, which divides by a shift: no deadline is before 1970.
        Int64(UInt64(bitPattern: deadline) / UInt64(tickMilliseconds)) &+ 1
    }

    @inline(always)
    private mutating func place(_ raw: UInt64, deadline: Int64, tick: Int64) {
        let tick = max(tick, present &+ 1)
        let distance = tick &- present
        guard distance >= 256 else {
            return append(raw, deadline: deadline, to: Int(truncatingIfNeeded: tick) & 0xff)
        }
        let level = distance < 1 << 16 ? 1 : distance < 1 << 24 ? 2 : 3
        let bucket = Int(truncatingIfNeeded: tick &>> Int64(8 &* level)) & 0xff
        append(raw, deadline: deadline, to: level &* Self.buckets &+ bucket)
    }

    @inline(always)
    private mutating func append(_ raw: UInt64, deadline: Int64, to index: Int) {
        if lists[index].chunk == 0 || lists[index].count == TimerChunk.capacity { grow(index) }
        let count = lists[index].count
        let entry = pool.chunks[Int(lists[index].chunk) &- 1].advanced(
            TimerChunk.entries &+ 2 &* count)
        entry[0] = raw
        entry.setSigned(1, deadline)
        lists[index].count = count &+ 1
    }

    @inline(never)
    private mutating func grow(_ index: Int) {
        let chunk: Int
        if spare != 0 {
            chunk = Int(spare) - 1
            spare = UInt32(truncatingIfNeeded: pool.chunks[chunk][TimerChunk.link])
            spareCount -= 1
        } else {
            chunk = pool.take()
        }
        pool.chunks[chunk][TimerChunk.link] = UInt64(lists[index].chunk)
        lists[index] = List(chunk: UInt32(truncatingIfNeeded: chunk + 1), count: 0)
    }

    /// Takes one entry off a list that is no bucket's any more.
    @inline(always)
    private mutating func pop(_ list: inout List) -> (id: ReservationID, deadline: Int64)? {
        guard list.chunk != 0 else { return nil }
        let chunk = Int(list.chunk) &- 1
        list.count &-= 1
        let words = pool.chunks[chunk]
        let entry = words.advanced(TimerChunk.entries &+ 2 &* list.count)
        let result = (id: ReservationID(raw: entry[0]), deadline: entry.signed(1))
        if list.count == 0 {
            list.chunk = UInt32(truncatingIfNeeded: words[TimerChunk.link])
            list.count = list.chunk == 0 ? 0 : TimerChunk.capacity
            discard(chunk)
        }
        return result
    }

    private mutating func discard(_ chunk: Int) {
        guard spareCount < Self.spareChunks else { return pool.give(chunk) }
        pool.chunks[chunk][TimerChunk.link] = UInt64(spare)
        spare = UInt32(truncatingIfNeeded: chunk + 1)
        spareCount += 1
    }

    /// Works off what is due until the work that `due` tells comes to `limit`; the rest comes with the next call.
    ///
    /// - Parameter mayGoOn: asked before each entry that is due.
    /// - Returns: whether nothing is left that is due.
    /// - Complexity: O(ticks passed + limit); of the ticks, nine minutes at the most.
    @inline(__always)
    mutating func advance(
        to now: Int64, limit: Int, while mayGoOn: () -> Bool,
        _ due: (ReservationID, inout TimerWheel) -> Int
    ) -> Bool {
        var left = limit
        let target = now / Self.tickMilliseconds
        guard finishLeap(&left) else { return false }
        if target - present > Self.longestWalk {
            leap(to: target - 1)
            guard finishLeap(&left) else { return false }
        }
        while true {
            guard finishCascades(&left) else { return false }
            let head = Int(present & 0xff)
            var list = unfinished
            if list.chunk == 0 {
                // Empty, if it was taken before: nothing is put into the bucket of the present tick.
                list = lists[head]
                lists[head] = List()
            }
            while list.chunk != 0 {
                guard left > 0, mayGoOn(), let entry = pop(&list) else {
                    unfinished = list
                    return false
                }
                left -= due(entry.id, &self)
            }
            unfinished = List()
            guard present < target else { return true }
            present += 1
            for level in 1..<Self.levels where present & (1 << Int64(8 * level) - 1) == 0 {
                let coarse = level * Self.buckets + Int(present >> Int64(8 * level) & 0xff)
                lists[Self.bucketCount + level] = lists[coarse]
                lists[coarse] = List()
            }
        }
    }

    /// Goes on at a tick far ahead (the process was stopped, the clock was moved), where every entry is to be placed anew
    /// instead of walking the ticks between. The leap before is finished.
    private mutating func leap(to tick: Int64) {
        leaping.update(from: lists, count: Self.listCount)
        leaping[Self.listCount] = unfinished
        lists.update(repeating: List(), count: Self.listCount)
        unfinished = List()
        present = tick
        leapt = 0
    }

    /// Places anew what a leap found; what is due comes up with the next tick. False: the work has come to its limit.
    private mutating func finishLeap(_ left: inout Int) -> Bool {
        while leapt < Self.leapingCount {
            let index = leapt
            var list = leaping[index]
            defer { leaping[index] = list }
            while list.chunk != 0 {
                guard left > 0, let entry = pop(&list) else { return false }
                countMove(&left)
                place(entry.id.raw, deadline: entry.deadline, tick: Self.tick(entry.deadline))
            }
            leapt += 1
        }
        return true
    }

    @inline(always)
    private mutating func countMove(_ left: inout Int) {
        moved &+= 1
        if moved % Self.movesForOne == 0 { left -= 1 }
    }

    /// Moves the entries of the coarse buckets that begin with the present tick to finer ones. False: the work has come to
    /// its limit.
    private mutating func finishCascades(_ left: inout Int) -> Bool {
        for level in 1..<Self.levels {
            var list = lists[Self.bucketCount + level]
            guard list.chunk != 0 else { continue }
            defer { lists[Self.bucketCount + level] = list }
            while list.chunk != 0 {
                guard left > 0, let entry = pop(&list) else { return false }
                countMove(&left)
                let tick = Self.tick(entry.deadline)
                if tick <= present {
                    // What is due now goes into the bucket that is about to be worked off.
                    append(entry.id.raw, deadline: entry.deadline, to: Int(present & 0xff))
                } else {
                    place(entry.id.raw, deadline: entry.deadline, tick: tick)
                }
            }
        }
        return true
    }
}
