/// Chunks of timer entries, shared by the wheels of all lanes.
enum TimerChunk: RecordLayout {
    static let words = 64
    /// The next chunk of a list: index + 1; 0: none.
    static let link = 0
    /// Entries start here, two words each: reservation id, deadline in milliseconds.
    static let entries = 2
    static let capacity = 31
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
    /// By level and bucket.
    private let lists: UnsafeMutablePointer<List>
    /// Ticks already worked off.
    private var present: Int64
    /// A due bucket that the last call did not finish.
    private var unfinished = List()
    /// Unused chunks: index + 1.
    private var spare: UInt32 = 0
    private var spareCount = 0

    init(pool: TimerPool, now: Int64) {
        self.pool = pool
        lists = .allocate(capacity: Self.bucketCount)
        lists.initialize(repeating: List(), count: Self.bucketCount)
        present = now / Self.tickMilliseconds
    }

    func deallocate() { lists.deallocate() }

    /// Forgets all entries and gives all memory back.
    mutating func clear() {
        for index in 0..<Self.bucketCount { drop(&lists[index]) }
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
    private static func tick(_ deadline: Int64) -> Int64 { deadline / tickMilliseconds + 1 }

    @inline(always)
    private mutating func place(_ raw: UInt64, deadline: Int64, tick: Int64) {
        let tick = max(tick, present + 1)
        let distance = tick &- present
        let level = distance < 256 ? 0 : distance < 1 << 16 ? 1 : distance < 1 << 24 ? 2 : 3
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
    /// - Complexity: O(ticks passed + entries due), or O(entries) after more than nine minutes.
    mutating func advance(
        to now: Int64, limit: Int, _ due: (ReservationID, inout TimerWheel) -> Int
    ) {
        var left = limit
        let target = now / Self.tickMilliseconds
        if target - present > Self.longestWalk { leap(to: target - 1) }
        var list = unfinished
        while true {
            while list.chunk != 0 {
                if left <= 0 {
                    unfinished = list
                    return
                }
                guard let entry = pop(&list) else { break }
                left -= due(entry.id, &self)
            }
            unfinished = List()
            guard present < target else { return }
            present += 1
            for level in 1..<Self.levels where present & (1 << Int64(8 * level) - 1) == 0 {
                cascade(level)
            }
            let head = Int(present & 0xff)
            list = lists[head]
            lists[head] = List()
        }
    }

    /// Goes on at a tick far ahead (the process was stopped, the clock was moved): places every entry anew instead of
    /// walking the ticks between. O(entries).
    private mutating func leap(to tick: Int64) {
        var all = (0..<Self.bucketCount).map { lists[$0] }
        all.append(unfinished)
        lists.update(repeating: List(), count: Self.bucketCount)
        unfinished = List()
        present = tick
        for index in all.indices {
            while let entry = pop(&all[index]) {
                place(entry.id.raw, deadline: entry.deadline, tick: Self.tick(entry.deadline))
            }
        }
    }

    /// Moves a coarse bucket's entries to finer ones.
    private mutating func cascade(_ level: Int) {
        let head = level * Self.buckets + Int(present >> Int64(8 * level) & 0xff)
        var list = lists[head]
        lists[head] = List()
        while let entry = pop(&list) {
            let tick = Self.tick(entry.deadline)
            if tick <= present {
                // `present` is the tick about to be worked off: what is due now goes into its bucket.
                append(entry.id.raw, deadline: entry.deadline, to: Int(present & 0xff))
            } else {
                place(entry.id.raw, deadline: entry.deadline, tick: tick)
            }
        }
    }
}
