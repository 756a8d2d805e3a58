// States as words that mean the same in every process and release: what checkpoints and the projection's file hold.
// Counters stand under the numbers of their limits, so that a state written before a limit was added is read after it.

extension TenantState {
    private static var headWords: Int { 7 }
    private static var counterWords: Int { 4 }

    /// Hands over the state, without the number of the schedule, which means something to one process only.
    ///
    /// | words | |
    /// |---|---|
    /// | 0, 1 | version, flags |
    /// | 2 | percent epoch; number of counters << 32 |
    /// | 3 ... 6 | start and end of the cycle and of the tenant's day |
    /// | then each | number of the limit, alerts that were raised << 8; cap, committed, held |
    @inlinable public func encode(_ rules: LimitRules, _ put: (UInt64) -> Void) {
        put(version)
        put(flagsWithoutSchedule)
        put(UInt64(percentEpoch) | UInt64(LimitKind.counterCount) << 32)
        for instant in [cycleStart, cycleEnd, dayStart, dayEnd] { put(UInt64(bitPattern: instant)) }
        for counter in 0..<LimitKind.counterCount {
            let kind = rules.kind(of: counter)
            put(UInt64(kind.rawValue) | UInt64(raised.latched(kind)) << 8)
            put(UInt64(bitPattern: caps[counter]))
            put(UInt64(bitPattern: committed[counter]))
            put(UInt64(bitPattern: held[counter]))
        }
    }

    /// How many words a state is that begins with some; nil: they are too few to tell.
    public static func wordCount(_ available: Int, _ word: (Int) -> UInt64) -> Int? {
        guard available >= headWords else { return nil }
        let counters = word(2) >> 32
        guard counters <= UInt64(LimitSet.capacity) else { return nil }
        let count = headWords + counterWords * Int(counters)
        return count <= available ? count : nil
    }

    /// Reads a state. nil: the words are too few, of a window that cannot be, or of a limit that this release does not know.
    ///
    /// - Parameters:
    ///   - available: words available.
    ///   - word: each of them.
    public init?(_ rules: LimitRules, _ available: Int, _ word: (Int) -> UInt64) {
        guard let count = Self.wordCount(available, word), word(0) != 0 else { return nil }
        self.init()
        func signed(_ index: Int) -> Int64 { Int64(bitPattern: word(index)) }
        guard WindowStarts.mayBegin(at: signed(3)), WindowStarts.mayBegin(at: signed(5)) else {
            return nil
        }
        version = word(0)
        flags = word(1)
        schedule = 0
        percentEpoch = UInt32(truncatingIfNeeded: word(2))
        cycleStart = signed(3)
        cycleEnd = signed(4)
        dayStart = signed(5)
        dayEnd = signed(6)
        var latched: EventSet = []
        for place in stride(from: Self.headWords, to: count, by: Self.counterWords) {
            guard let kind = LimitKind(rawValue: UInt8(truncatingIfNeeded: word(place))),
                let counter = rules.counter(of: kind)
            else { return nil }
            latched.formUnion(
                EventSet(latched: UInt8(truncatingIfNeeded: word(place) >> 8), kind))
            caps[counter] = signed(place + 1)
            committed[counter] = signed(place + 2)
            held[counter] = signed(place + 3)
        }
        raised = latched
    }
}

extension ProfileState {
    /// Words of a state: cap, committed, held, day, flags.
    public static var wordCount: Int { 5 }

    @inlinable public func encode(_ put: (UInt64) -> Void) {
        for amount in [cap, committed, held, dayStart] { put(UInt64(bitPattern: amount)) }
        put(flags)
    }

    /// Reads `wordCount` words.
    public init(_ word: (Int) -> UInt64) {
        self.init()
        cap = Int64(bitPattern: word(0))
        committed = Int64(bitPattern: word(1))
        held = Int64(bitPattern: word(2))
        dayStart = Int64(bitPattern: word(3))
        flags = word(4)
    }
}
