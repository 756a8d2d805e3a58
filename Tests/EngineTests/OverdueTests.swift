import Journal
import Limits
import Synchronization
import TestKit
import Testing

@testable import Engine
@testable import Reservations

/// Many holds that fall due at once: in slices, beside callers, whatever room they leave. Counts work, not time.
@Suite struct OverdueTests {
    /// An engine on a simulated clock and disk, whose rounds the test does.
    private final class Bench {
        let engine: Engine
        let lane: EngineLane
        private let time = Time()

        final class Time: Sendable {
            let now = Atomic<Int64>(1_800_000_000_000)
        }

        init(hasJournal: Bool = true) throws {
            var settings = DurabilitySettings()
            settings.journal.segmentBytes = 1 << 20
            settings.journal.maximumBytes = 64 << 20
            settings.hasThreads = false
            let capacity = TableCapacity(
                tenants: 4, profiles: 4, reservations: 8_192, bodies: 64, keys: 1_024, lanes: 4)
            let time = time
            let read: @Sendable () -> Int64 = { time.now.load(ordering: .relaxed) }
            let configuration = EngineConfiguration(capacity: capacity)
            let clock = EngineClock.Source(boot: read, wall: read)
            engine =
                hasJournal
                ? try Engine.open(
                    configuration: configuration, clock: clock, disk: SimulatedDisk(seed: 1),
                    settings: settings
                ).engine : try Engine(configuration: configuration, clock: EngineClock(clock))
            try engine.setTenant(TenantSettings(id: "acme"))
            lane = try engine.makeLane()
            engine.runJournal()
        }

        func pass(_ milliseconds: Int64) {
            time.now.wrappingAdd(milliseconds, ordering: .relaxed)
            lane.beginBatch()
        }

        /// A hold; false: the journal has no room.
        func take(ttl: UInt32 = 86_400_000) -> Bool {
            var answer = CheckAnswer()
            let failure = "acme".withBorrowedBytes { tenantID in
                var command = CheckCommand(
                    tenantID: tenantID, action: .provisionExtension,
                    amounts: Amounts(.extensions, 1))
                command.ttlMilliseconds = ttl
                return lane.check(command, answer: &answer)
            }
            return failure == nil
        }

        func take(_ count: Int, ttl: UInt32) {
            for _ in 0..<count {
                if !take(ttl: ttl) {
                    engine.runJournal()
                    #expect(take(ttl: ttl))
                }
            }
            engine.runJournal()
        }
    }

    /// No slice does more than it may, callers find room between any two, and all is done in as many slices as it takes.
    @Test func slicesLeaveRoomForCallers() throws {
        let bench = try Bench()
        let (count, limit) = (4_000, 1_024)
        bench.take(count, ttl: 5_000)
        bench.pass(6_000)
        var slices = 1
        var rounds = 0
        var rest = bench.lane.tick(limit: limit)
        var before = 0
        while rest != .nothing, slices < count {
            let expired = bench.lane.lane.expiredCount
            #expect(expired - before <= limit / Lane.expiryWork)
            before = expired
            #expect(bench.take(), "a caller is refused for what expires")
            if rest == .waitsForJournal {
                bench.engine.runJournal()
                rounds += 1
            }
            rest = bench.lane.workOff(limit: limit)
            slices += 1
        }
        #expect(bench.lane.lane.expiredCount == count)
        #expect(slices <= count / (limit / Lane.expiryWork) + rounds + 10)
        #expect(rounds > 0 && rounds < count / 20)
        bench.engine.close()
    }

    /// Callers who have filled the journal keep nothing from expiring.
    @Test func expiriesHaveRoomOfTheirOwn() throws {
        let bench = try Bench()
        bench.take(40, ttl: 5_000)
        while bench.take() {}
        bench.pass(6_000)
        #expect(bench.lane.tick() == .nothing)
        #expect(bench.lane.lane.expiredCount == 40)
        bench.engine.close()
    }

    /// What expired at once is forgotten at once: a transition each, and as much work.
    @Test func forgettingIsSlicedToo() throws {
        let bench = try Bench()
        let count = 500
        bench.take(count, ttl: 5_000)
        bench.pass(6_000)
        while bench.lane.tick() != .nothing { bench.engine.runJournal() }
        bench.engine.runJournal()
        bench.pass(901_000)
        var slices = 0
        while slices < 1_000, bench.lane.tick(limit: 1_024) != .nothing {
            slices += 1
            bench.engine.runJournal()
        }
        #expect(slices >= count / (1_024 / Lane.expiryWork))
        bench.engine.close()
    }

    /// A slice lasts as long as everything else did since the one before, within bounds.
    @Test func aSliceLastsAsLongAsTheOthersDid() throws {
        let bench = try Bench(hasJournal: false)
        bench.take(4_000, ttl: 5_000)
        bench.pass(6_000)
        var pace = OverduePace()
        var clock: UInt64 = 1_000_000
        /// A piece of work takes 10 µs: each look at the clock comes after one.
        func slice(isTick: Bool = false) -> (pieces: Int, next: UInt64?) {
            var looks = 0
            let next = pace.slice(bench.lane, isTick: isTick) {
                looks += 1
                if looks > 1 { clock += 10_000 }
                return clock
            }
            return (looks - 1, next)
        }
        let first = slice(isTick: true)
        #expect(first.pieces == 5 && first.next == OverduePace.turn)
        clock += 30_000
        #expect(slice().pieces == 5, "the shortest slice")
        clock += 200_000
        #expect(slice().pieces == 20, "as long as the others took")
        clock += 900_000
        #expect(slice().pieces == 50, "the longest slice")
        var slices = 0
        while slices < 100, slice().next != nil { slices += 1 }
        #expect(slices < 100 && bench.lane.lane.expiredCount == 4_000)
        bench.engine.close()
    }
}
