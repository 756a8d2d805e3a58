import Synchronization
import TestKit
import Testing

@testable import Engine

/// Engine time and a wall clock that does as it likes (semantics §2).
@Suite struct EngineClockTests {
    private static let hour: Int64 = 3_600_000
    private static let day = 24 * hour
    /// 2026-03-10T12:00:00Z, Unix milliseconds.
    private static let start: Int64 = 1_773_144_000_000

    /// The machine's two clocks, in the test's hand.
    private final class Machine: Sendable {
        let boot = Atomic<Int64>(5_000)
        let wall = Atomic<Int64>(EngineClockTests.start)

        var source: EngineClock.Source {
            EngineClock.Source(
                boot: { self.boot.load(ordering: .relaxed) },
                wall: { self.wall.load(ordering: .relaxed) })
        }

        var wallNow: Int64 { wall.load(ordering: .relaxed) }

        /// Lets time pass on both clocks.
        func pass(_ milliseconds: Int64) {
            boot.wrappingAdd(milliseconds, ordering: .relaxed)
            wall.wrappingAdd(milliseconds, ordering: .relaxed)
        }

        /// Sets the wall clock forwards, or back.
        func leap(_ milliseconds: Int64) { wall.wrappingAdd(milliseconds, ordering: .relaxed) }
    }

    private let machine = Machine()
    private let clock: EngineClock

    init() { clock = EngineClock(machine.source) }

    @Test func twoClocksThatGoAlike() {
        #expect(clock.now == Self.start)
        machine.pass(1_500)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + 1_500)
    }

    @Test(arguments: [1, 1_000, hour, day])
    func aheadByUpToADayIsFollowedAtOnce(lead: Int64) {
        machine.leap(lead)
        #expect(clock.now == Self.start, "nobody has looked yet")
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + lead)
    }

    @Test(arguments: [day + 1, 10 * day, 4_000 * day])
    func aheadByMoreIsBelievedWhenItHasStoodForAMinute(lead: Int64) {
        machine.leap(lead)
        for second in 0..<60 {
            #expect(clock.follow() == .doubted(lead: lead))
            #expect(clock.now == Self.start + Int64(second) * 1_000)
            machine.pass(1_000)
        }
        #expect(clock.now == Self.start + 60_000)
        #expect(clock.follow() == .believed(lead: lead))
        #expect(clock.now == machine.wallNow)
        #expect(clock.follow() == .steady)
    }

    @Test func aMillisecondLessThanAMinuteIsNotEnough() {
        machine.leap(2 * Self.day)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(59_999)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(1)
        #expect(clock.follow() == .believed(lead: 2 * Self.day))
    }

    /// Each leap stands for a minute of its own.
    @Test func aLeapThatIsTakenBackIsForgotten() {
        machine.leap(2 * Self.day)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(59_000)
        machine.leap(-2 * Self.day)
        #expect(clock.follow() == .steady)
        machine.pass(1_000)
        machine.leap(2 * Self.day)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(59_999)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        #expect(clock.now == Self.start + 119_999)
    }

    @Test func aLeapFromADoubtedTimeIsDoubtedAnew() {
        machine.leap(2 * Self.day)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(59_000)
        machine.leap(300 * Self.day)
        #expect(clock.follow() == .doubted(lead: 302 * Self.day))
        machine.pass(59_999)
        #expect(clock.follow() == .doubted(lead: 302 * Self.day), "it has stood for 59.999 s")
        machine.pass(1)
        #expect(clock.follow() == .believed(lead: 302 * Self.day))
    }

    /// A clock that is set by seconds meanwhile is the same clock.
    @Test func aDoubtedTimeMayBeSetRight() {
        machine.leap(2 * Self.day)
        _ = clock.follow()
        for _ in 0..<60 {
            machine.pass(1_000)
            machine.leap(-7)
            _ = clock.follow()
        }
        #expect(clock.now == machine.wallNow)
    }

    @Test(arguments: [1, hour, day, 400 * day])
    func backIsNotFollowed(lag: Int64) {
        machine.leap(-lag)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start)
        machine.pass(1_000)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + 1_000, "it goes on by the boot clock")
        machine.leap(lag)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + 1_000, "it was no leap to be right again")
    }

    @Test func aWallClockThatStandsHoldsNothingUp() {
        for second in 1...100 {
            machine.boot.wrappingAdd(1_000, ordering: .relaxed)
            #expect(clock.follow() == .steady)
            #expect(clock.now == Self.start + Int64(second) * 1_000)
        }
        // It catches up, and is not ahead.
        machine.leap(100_000)
        #expect(clock.follow() == .steady)
        #expect(clock.now == machine.wallNow)
    }

    @Test func itStartsNoEarlierThanTimeWasUsed() {
        #expect(EngineClock(machine.source, highWater: Self.start + 5).now == Self.start + 5)
        #expect(EngineClock(machine.source, highWater: Self.start - 5).now == Self.start)
        clock.start(noEarlierThan: Self.start - 1)
        #expect(clock.now == Self.start)
        clock.start(noEarlierThan: Self.start + Self.day)
        #expect(clock.now == Self.start + Self.day)
        machine.pass(1)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + Self.day + 1)
    }

    /// Whatever the wall clock does, engine time goes on by the boot clock at least, and further only to the wall
    /// clock's own time.
    @Test(arguments: 1...50) func itNeverGoesBack(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let before = clock.now
            let passed = Int64.random(in: 0...30_000, using: &random)
            machine.pass(passed)
            if Int.random(in: 0..<4, using: &random) == 0 {
                let bound = [1_000, Self.hour, Self.day, 30 * Self.day][
                    Int.random(in: 0..<4, using: &random)]
                machine.leap(Int64.random(in: -bound...bound, using: &random))
            }
            #expect(clock.now == before + passed)
            let lead = machine.wallNow - clock.now
            let found = clock.follow()
            switch found {
            case .steady:
                #expect(lead <= Self.day)
                #expect(clock.now == before + passed + max(0, lead))
            case .doubted(let told):
                #expect(told == lead && lead > Self.day)
                #expect(clock.now == before + passed)
            case .believed(let told):
                #expect(told == lead && lead > Self.day)
                #expect(clock.now == machine.wallNow)
            }
        }
    }
}
