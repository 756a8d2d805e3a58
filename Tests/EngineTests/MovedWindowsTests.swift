import Journal
import Limits
import Reservations
import Testing

@testable import Engine

/// A start on a clock that was set right again, after one that was ahead has opened windows: whatever record of it a
/// crash comes after, what is held and charged is given back to where it counts.
@Suite struct MovedWindowsTests {
    private static let day: Int64 = 86_400_000
    /// 2026-03-11T12:00:00Z, Unix milliseconds.
    private static let noon: Int64 = 1_773_230_400_000
    private static let today = noon - day / 2

    enum Ending: CaseIterable {
        case release, commit, expiry
    }

    /// An engine whose records stay in its rings, in which others' records have been played back.
    private struct World {
        let clocks: MachineClocks
        let engine: Engine

        init(at time: EngineTime, _ records: [[UInt64]] = []) throws {
            clocks = MachineClocks(time.windows)
            engine = try Engine(
                configuration: EngineConfiguration(
                    capacity: TableCapacity(
                        tenants: 4, profiles: 4, reservations: 256, bodies: 64, keys: 64,
                        lanes: 3, ringWords: 1 << 14)),
                clock: EngineClock(clocks.source), secret: HashSecret(k0: 1, k1: 2))
            engine.clock.start(at: time)
            try engine.recover(now: .min / 2) { (replayer) throws(EngineError) in
                for words in records {
                    try words.withUnsafeBufferPointer { (words) throws(EngineError) in
                        try replayer.play(words)
                    }
                }
            }
        }

        /// What a start does before it serves. Returns its records.
        func moveWindows() -> [[UInt64]] {
            let time = engine.clock.time
            let isDone = engine.control.withLock { control in
                control.lane.moveWindowsBack(now: control.begin(time, by: 0)) { false }
            }
            #expect(isDone)
            return engine.takeRecords()
        }

        func makeLane() throws -> EngineLane { try engine.makeLanes(1)[0] }

        func pass(_ milliseconds: Int64, _ lane: EngineLane) {
            clocks.pass(milliseconds)
            // A tick leaves some of a long time to those that follow.
            for _ in 0..<64 { lane.tick() }
        }
    }

    /// What stands when the clock is found to be ahead.
    private struct Story {
        let records: [[UInt64]]
        /// Life time at its end.
        let life: Int64
        /// Held since today, and by `sms` in the day that the wrong clock opened as well.
        let older: UInt64
        /// Held by `sms` in that day.
        let newer: UInt64
        /// Held since today by `voice`, which has seen no other day.
        let other: UInt64
        /// Charged at their expiry, today and in that day.
        let charged: [UInt64]

        init(leap: Int64) throws {
            let world = try World(at: EngineTime(windows: noon, lives: noon))
            var tenant = TenantSettings(id: "acme")
            tenant.limits.monthlySpendNanos = 100
            tenant.limits.autoSuspend = false
            try world.engine.setTenant(tenant)
            for id in ["sms", "voice"] {
                try world.engine.setProfile(ProfileSettings(id: id, tenantID: "acme"))
            }
            let lane = try world.makeLane()
            func charge() throws -> UInt64 {
                let id = try MovedWindowsTests.reserve(2, "sms", lane, 60_000, onExpiry: .commit)
                world.pass(61_000, lane)
                return id
            }
            let early = try charge()
            older = try MovedWindowsTests.reserve(3, "sms", lane)
            other = try MovedWindowsTests.reserve(4, "voice", lane)
            world.clocks.leap(leap)
            world.engine.clock.start(
                at: EngineTime(windows: world.clocks.wallNow, lives: world.engine.clock.life))
            newer = try MovedWindowsTests.reserve(2, "sms", lane)
            var extended = ExtendAnswer()
            var command = ExtendCommand(reservationID: older)
            command.additional = Amounts(.spend, 1)
            let failure = lane.extend(command, answer: &extended)
            try #require(failure == nil && extended.decision == .allowed)
            charged = [early, try charge()]
            life = world.engine.clock.life
            records = world.engine.takeRecords()
        }
    }

    private static func reserve(
        _ amount: Int64, _ profile: String, _ lane: EngineLane, _ ttl: UInt32 = 86_400_000,
        onExpiry: ExpiryPolicy = .release
    ) throws -> UInt64 {
        lane.beginBatch()
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            profile.withBorrowedBytes { profile in
                var command = CheckCommand(
                    tenantID: tenant, action: .sendMessage, amounts: Amounts(.spend, amount))
                command.profileID = profile
                command.ttlMilliseconds = ttl
                command.onExpiry = onExpiry
                return lane.check(command, answer: &answer)
            }
        }
        try #require(failure == nil && answer.decision == .allowed)
        return answer.reservationID
    }

    /// Committed and held: the profile's day, the tenant's cycle. And when the day begins.
    private static func totals(
        _ profile: String, _ lane: EngineLane
    ) throws -> (day: [Int64], cycle: [Int64], dayStart: Int64) {
        lane.beginBatch()
        var answer = UsageAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            profile.withBorrowedBytes { profile in
                lane.usage(UsageQuery(tenantID: tenant, profileID: profile), answer: &answer)
            }
        }
        try #require(failure == nil)
        let day = answer.limits[.profileDailySpend]
        let cycle = answer.limits[.tenantMonthlySpend]
        return ([day.committed, day.held], [cycle.committed, cycle.held], day.windowStart)
    }

    /// Ends all holds. What is released is only part of what was charged at its expiry, too.
    private static func settle(
        _ story: Story, by ending: Ending, _ world: World, _ lane: EngineLane
    ) {
        let holds = [story.older, story.newer, story.other]
        lane.beginBatch()
        switch ending {
        case .release:
            for id in holds {
                var answer = ReleaseAnswer()
                #expect(lane.release(id, answer: &answer) == nil && !answer.expired)
            }
            for id in story.charged {
                var answer = CommitAnswer()
                let command = CommitCommand(reservationID: id, actual: Amounts(.spend, 1))
                #expect(lane.commit(command, answer: &answer) == nil && answer.late)
            }
        case .commit:
            for id in holds {
                var answer = CommitAnswer()
                let command = CommitCommand(reservationID: id)
                #expect(lane.commit(command, answer: &answer) == nil && !answer.late)
            }
        case .expiry: world.pass(day + 1_000, lane)
        }
    }

    /// The cycle's totals before and after; `isMoved`: the wrong clock had opened one, and it was moved.
    private static func cycle(_ ending: Ending, isMoved: Bool) -> (before: [Int64], after: [Int64])
    {
        let after: [Int64] =
            switch ending {
            case .release: isMoved ? [1, 0] : [2, 0]
            case .commit: isMoved ? [5, 0] : [14, 0]
            case .expiry: isMoved ? [2, 0] : [4, 0]
            }
        return (isMoved ? [2, 3] : [4, 10], after)
    }

    /// The defect: what was held since today was taken for a part of what the moved day holds; to give it back took its
    /// total below zero, and ended the process.
    @Test(arguments: [1, 31], Ending.allCases)
    func everythingIsGivenBackToWhereItCounts(days: Int64, ending: Ending) throws {
        let story = try Story(leap: days * Self.day)
        let accepted = EngineTime(windows: Self.noon + 300_000, lives: story.life)
        let moves = try World(at: accepted, story.records).moveWindows()
        try #require(moves.count >= 6)
        let cycle = Self.cycle(ending, isMoved: days == 31)
        for count in 0...moves.count {
            let records = story.records + moves[..<count]
            // The next start may come when the day that was opened too early is there.
            for delay in [60_000, Self.day] {
                let place: Comment = "killed after \(count) records, started after \(delay) ms"
                let time = EngineTime(
                    windows: accepted.windows + delay, lives: accepted.lives + 60_000)
                let world = try World(at: time, records)
                let rest = world.moveWindows()
                let replayed = try World(at: time, records + rest)
                #expect(try EngineState(world.engine) == EngineState(replayed.engine), place)
                #expect(world.moveWindows().isEmpty && replayed.moveWindows().isEmpty, place)

                let lane = try world.makeLane()
                let before = try Self.totals("sms", lane)
                #expect(before.cycle == cycle.before, place)
                if delay < Self.day {
                    #expect(before.day == [2, 3] && before.dayStart == Self.today, place)
                    #expect(try Self.totals("voice", lane).day == [0, 4], place)
                }
                Self.settle(story, by: ending, world, lane)
                let (sms, voice) = (try Self.totals("sms", lane), try Self.totals("voice", lane))
                #expect(sms.cycle == cycle.after, place)
                #expect(sms.day[1] == 0 && voice.day[1] == 0, place)
                if delay < Self.day, ending != .expiry {
                    #expect(sms.day[0] == (ending == .release ? 1 : 5), place)
                    #expect(voice.day[0] == (ending == .release ? 0 : 4), place)
                }
            }
        }
    }

    /// A second correction, further back, while the first one was under way.
    @Test(arguments: Ending.allCases) func theClockIsSetBackTwice(ending: Ending) throws {
        let story = try Story(leap: 31 * Self.day)
        let first = EngineTime(windows: Self.noon + 10 * Self.day, lives: story.life)
        let second = EngineTime(windows: Self.noon + 300_000, lives: story.life)
        let moves = try World(at: first, story.records).moveWindows()
        let cycle = Self.cycle(ending, isMoved: true)
        for count in 0...moves.count {
            let place: Comment = "killed after \(count) records"
            let world = try World(at: second, story.records + moves[..<count])
            _ = world.moveWindows()
            let lane = try world.makeLane()
            let before = try Self.totals("sms", lane)
            #expect(before.day == [2, 3] && before.dayStart == Self.today, place)
            #expect(before.cycle == cycle.before, place)
            Self.settle(story, by: ending, world, lane)
            let after = try Self.totals("sms", lane)
            #expect(after.cycle == cycle.after && after.day[1] == 0, place)
        }
    }
}
