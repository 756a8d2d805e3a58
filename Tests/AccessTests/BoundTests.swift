import Testing

@testable import Access

/// What bounds callers, attempts and memories: values without a clock.
@Suite struct BoundTests {
    // MARK: CallRate

    /// A bucket of tokens as one would write it down.
    private struct NaiveBucket {
        let interval: UInt64
        let size: UInt64
        /// Nanoseconds' worth of calls that are missing.
        var owed: UInt64 = 0
        var last: UInt64 = 0

        mutating func take(now: UInt64) -> Bool {
            owed -= min(owed, now - last)
            last = now
            guard owed + interval <= interval * size else { return false }
            owed += interval
            return true
        }

        mutating func owe(_ calls: UInt64) { owed += interval * calls }
    }

    @Test(arguments: [1, 2, 3, 10, 1_000, 999_983, 1_000_000]) func pace(perSecond: Int) {
        let pace = CallRate(perSecond: perSecond)
        let interval = 1_000_000_000 / UInt64(perSecond)
        var naive = NaiveBucket(interval: interval, size: UInt64(perSecond))
        var full: UInt64 = 0
        var now: UInt64 = 5_000_000_000
        var state = UInt64(perSecond)
        var different = 0
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            now += (state >> 33) % (interval * 3)
            let next = pace.take(full: full, now: now)
            if (next != nil) != naive.take(now: now) { different += 1 }
            full = next ?? full
            guard (state >> 20) % 16 == 0 else { continue }
            naive.owe(4)
            full = pace.owe(4, full: full, now: now)
        }
        #expect(different == 0)
    }

    @Test func aSecondsWorthAtOnceAndNoMore() {
        let pace = CallRate(perSecond: 100)
        var full: UInt64 = 0
        for _ in 0..<100 { full = pace.take(full: full, now: 7_000) ?? 0 }
        #expect(full != 0 && pace.take(full: full, now: 7_000) == nil)
        // Ten milliseconds earn one.
        #expect(pace.take(full: full, now: 7_000 + 9_999_999) == nil)
        #expect(pace.take(full: full, now: 7_000 + 10_000_000) != nil)
        // What is put back can be taken again.
        #expect(pace.take(full: pace.giveBack(full: full), now: 7_000) == full)
        #expect(pace.giveBack(full: 0) == 0)
    }

    @Test func whatIsOwedIsPaid() {
        let pace = CallRate(perSecond: 10)
        let full = pace.owe(1_000, full: 0, now: 0)
        #expect(full == 100_000_000_000)
        #expect(pace.take(full: full, now: 99_000_000_000) == nil)
        #expect(pace.take(full: full, now: 99_100_000_000) != nil)
        // What is owed already makes nothing free.
        #expect(pace.owe(10, full: full, now: 0) == 101_000_000_000)
        // Nobody owes for ever.
        let most: UInt64 = 3_600_000_000_000
        #expect(pace.owe(.max, full: 0, now: 0) == most)
        #expect(pace.owe(.max, full: most, now: 0) == most)
        #expect(pace.owe(.max, full: most, now: 5) == most + 5)
    }

    /// All loops together take no more than there is.
    @Test func aBucketIsShared() async {
        let rate = CallerRate(perSecond: 1_000)
        let taken = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask { (0..<1_000).count { _ in rate.take(now: 1_000_000) } }
            }
            return await group.reduce(0, +)
        }
        #expect(taken == 1_000 && !rate.isFull(now: 1_000_000))
        rate.giveBack()
        #expect(rate.take(now: 1_000_000) && !rate.take(now: 1_000_000))
        #expect(rate.isFull(now: 1_002_000_000))
    }

    // MARK: Looks

    @Test func anAddressHasItsLooks() {
        var budget = LookBudget()
        func looks(_ address: String, _ tries: Int, now: UInt64) -> Int {
            (0..<tries).count { _ in budget.take(address, now: now) }
        }
        #expect(looks("a", 1_000, now: 1) == LookBudget.looks)
        #expect(looks("b", 1_000, now: 1) == LookBudget.looks)
        #expect(looks("a", 1_000, now: 1_000_000_001) == LookBudget.looks)
    }

    /// Whoever fails much goes on slowly, and whoever is good beside them goes on.
    @Test func anAddressThatFailsGoesOnSlowly() {
        var budget = LookBudget()
        let second: UInt64 = 1_000_000_000
        func failed(_ seconds: Range<UInt64>) -> Int {
            (seconds.lowerBound * 100..<seconds.upperBound * 100).count { tick in
                let now = tick * second / 100
                guard budget.take("a", now: now) else { return false }
                budget.fail("a", now: now)
                return true
            }
        }
        let first = failed(1..<2)
        #expect((LookBudget.failures...LookBudget.failures + 5).contains(first))
        #expect((49...51).contains(failed(2..<12)))
        // A token that is good takes nothing of that.
        let good = (0..<10).count { _ in budget.take("a", now: 12 * second + second / 4) }
        let isOther = budget.take("b", now: 12 * second)
        #expect(good == 10 && isOther)
    }

    @Test func addressesWithoutAPlaceShareOne() {
        var budget = LookBudget()
        for number in 0..<LookBudget.maximumAddresses {
            let isIn = budget.take("\(number)", now: 2_000_000_000)
            #expect(isIn)
        }
        func looks(now: UInt64) -> Int {
            (0..<1_000).count { budget.take("other \($0)", now: now) }
        }
        #expect(looks(now: 2_000_000_000) == LookBudget.looks)
        // Places that are full again are given away.
        #expect(looks(now: 4_000_000_000) == 1_000)
    }

    // MARK: Attempts

    @Test func attemptsAreToldTogether() throws {
        var attempts = FailedAttempts(maximum: 4)
        let first = attempts.note(.unknownToken, from: "a", now: 1_000)
        let second = attempts.note(.expiredToken, from: "a", now: 2_000)
        #expect(first && !second && attempts.count(of: "a") == 2)
        let early = attempts.collect(now: 60_999)
        #expect(early == nil)
        for name in ["b", "c", "d", "e", "f", "g"] {
            _ = attempts.note(.noToken, from: name, now: 3_000)
        }
        let collected = attempts.collect(now: 61_000)
        let minute = try #require(collected)
        // Four have places; the others are one.
        #expect(minute.count == 8 && minute.addresses == 5)
        #expect(minute.first == 1_000 && minute.last == 3_000)
        #expect(minute.lines.first == "elsewhere: 3 (no token)")
        #expect(minute.lines[1] == "a: 2 (expired token)")
        // It is told once, and what follows is another minute's.
        let later = attempts.collect(now: 200_000)
        #expect(later == nil && attempts.count(of: "a") == 0)
        let anew = attempts.note(.noToken, from: "a", now: 200_000)
        #expect(anew)
    }

    @Test func aFloodIsFewLines() {
        var attempts = FailedAttempts()
        let lines = (0..<100_000).count {
            attempts.note(.unknownToken, from: "\($0)", now: Int64($0 / 2))
        }
        #expect(lines == FailedAttempts.told)
        let minute = attempts.collect(now: 70_000)
        #expect(minute?.count == 100_000 && minute?.most.count == FailedAttempts.told)
    }

    // MARK: Keys

    @Test func keysAreLookedAtInTime() {
        var refresh = KeyRefresh(every: 600_000)
        func want(_ now: Int64) -> Bool { refresh.want(now: now) }
        // At once.
        #expect(refresh.isDue(now: 0))
        refresh.begin(now: 0)
        #expect(!refresh.isDue(now: 1_000_000))
        refresh.end(isGood: true)
        #expect(!refresh.isDue(now: 599_999) && refresh.isDue(now: 600_000))
        // Nobody knows a key: not within the minute, and then once.
        #expect(!want(59_999) && !refresh.isDue(now: 59_999))
        #expect(want(60_000) && refresh.isDue(now: 60_000))
        refresh.begin(now: 60_000)
        #expect(want(60_001))
        refresh.end(isGood: true)
        #expect(!want(119_999) && want(120_000))
    }

    @Test func failuresAreTriedAgainSooner() {
        var refresh = KeyRefresh(every: 3_600_000)
        var now: Int64 = 0
        for pause in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] as [Int64] {
            refresh.begin(now: now)
            refresh.end(isGood: false)
            #expect(!refresh.isDue(now: now + pause - 1) && refresh.isDue(now: now + pause))
            now += pause
        }
        refresh.begin(now: now)
        refresh.end(isGood: true)
        #expect(!refresh.isDue(now: now + 60_000) && refresh.isDue(now: now + 3_600_000))
    }

    // MARK: Memory

    @Test func theMemoryIsBounded() {
        var pairs = RecentPairs<Int, Int>(capacity: 8)
        for number in 0..<1_000 {
            pairs[number] = -number
            // Whoever is asked for stays.
            let (first, last) = (pairs[0], pairs[number])
            #expect(first == 0 && last == -number && pairs.count <= 8)
        }
        let forgotten = pairs[1]
        #expect(forgotten == nil)
        pairs[0] = nil
        let removed = pairs[0]
        #expect(removed == nil)
        pairs.removeAll()
        #expect(pairs.count == 0)
    }
}
