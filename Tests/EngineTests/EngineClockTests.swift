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

    private let machine = MachineClocks(start)
    private let clock: EngineClock

    init() { clock = EngineClock(machine.source) }

    @Test func twoClocksThatGoAlike() {
        #expect(clock.now == Self.start)
        machine.pass(1_500)
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + 1_500)
    }

    /// What a line that is laid above another one adds.
    private static let margin: Int64 = 25

    @Test(arguments: [1, 999, 1_000])
    func aheadByUpToASecondIsFollowedAtOnce(lead: Int64) {
        machine.leap(lead)
        #expect(clock.now == Self.start, "nobody has looked yet")
        #expect(clock.follow() == .steady)
        #expect(clock.now == Self.start + lead)
    }

    @Test(arguments: [1_001, hour, 20 * hour, day, 31 * day])
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

    @Test func beyondTheMaximumIsNeverBelieved() {
        let lead = EngineClock.defaultMaximumAdvance + 1
        machine.leap(lead)
        for second in 0..<200 {
            #expect(clock.follow() == .refused(lead: lead))
            #expect(clock.now == Self.start + Int64(second) * 1_000)
            machine.pass(1_000)
        }
        machine.leap(-lead)
        #expect(clock.follow() == .steady)
        #expect(clock.now == machine.wallNow)
    }

    @Test func aMillisecondLessThanAMinuteIsNotEnough() {
        machine.leap(2 * Self.hour)
        #expect(clock.follow() == .doubted(lead: 2 * Self.hour))
        machine.pass(59_999)
        #expect(clock.follow() == .doubted(lead: 2 * Self.hour))
        machine.pass(1)
        #expect(clock.follow() == .believed(lead: 2 * Self.hour))
    }

    /// Each leap stands for a minute of its own: 20 hours ahead for 2 s leave nothing behind.
    @Test func aLeapThatIsTakenBackIsForgotten() {
        for _ in 0..<40 {
            machine.leap(20 * Self.hour)
            #expect(clock.follow() == .doubted(lead: 20 * Self.hour))
            machine.pass(2_000)
            #expect(clock.follow() == .doubted(lead: 20 * Self.hour))
            machine.leap(-20 * Self.hour)
            #expect(clock.follow() == .steady)
        }
        #expect(clock.now == machine.wallNow && clock.now == Self.start + 80_000)
    }

    @Test func aLeapFromADoubtedTimeIsDoubtedAnew() {
        machine.leap(2 * Self.day)
        #expect(clock.follow() == .doubted(lead: 2 * Self.day))
        machine.pass(59_000)
        machine.leap(20 * Self.day)
        #expect(clock.follow() == .doubted(lead: 22 * Self.day))
        machine.pass(59_999)
        #expect(clock.follow() == .doubted(lead: 22 * Self.day), "it has stood for 59.999 s")
        machine.pass(1)
        #expect(clock.follow() == .believed(lead: 22 * Self.day))
    }

    /// A clock that is set by less than a second meanwhile is the same clock.
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

    /// It goes on at half speed until the wall clock has caught up, and at full speed from then on; lives go on as ever.
    @Test(arguments: [2, 1_000, hour, day, 400 * day])
    func aWallClockThatIsSetBackIsWaitedForAtHalfSpeed(lag: Int64) {
        machine.leap(-lag)
        _ = clock.follow()
        let first = clock.now
        #expect(first >= Self.start && first <= Self.start + Self.margin)
        let step = max(2, lag / 64 * 2)
        var steps: Int64 = 0
        while clock.now > machine.wallNow {
            let ahead = clock.ahead
            #expect(clock.follow() == (ahead > 1 ? .slowed(ahead: ahead) : .steady))
            let before = clock.now
            machine.pass(step)
            steps += 1
            #expect(clock.now == max(before + step / 2, machine.wallNow))
        }
        #expect(steps * step >= 2 * lag && steps * step <= 2 * lag + 2 * Self.margin + step)
        #expect(clock.follow() == .steady)
        machine.pass(1_000)
        #expect(clock.now == machine.wallNow)
        #expect(clock.life == Self.start + steps * step + 1_000, "what elapses is not touched")
    }

    /// While engine time waits for the wall clock, a reset takes longer to come than the clock's face says.
    @Test func whatElapsesUntilAnInstant() {
        #expect(clock.elapses(until: Self.start + 10_000) == 10_000)
        #expect(clock.elapses(until: Self.start - 1) == 0)
        machine.leap(-Self.hour)
        _ = clock.follow()
        for left in [Self.hour / 2, Self.hour, 5 * Self.hour] {
            let instant = clock.now + left
            let elapses = clock.elapses(until: instant)
            let boot = machine.boot.load(ordering: .relaxed)
            machine.boot.store(boot + elapses - 2, ordering: .relaxed)
            #expect(clock.now < instant)
            machine.boot.store(boot + elapses + 1, ordering: .relaxed)
            #expect(clock.now >= instant)
            machine.boot.store(boot, ordering: .relaxed)
        }
    }

    @Test func aWallClockThatStandsHoldsNothingUp() {
        for _ in 1...100 {
            let before = clock.now
            machine.boot.wrappingAdd(1_000, ordering: .relaxed)
            #expect(clock.now >= before + 500)
            _ = clock.follow()
        }
    }

    @Test func itStartsNoEarlierThanTimeWasUsed() {
        #expect(EngineClock(machine.source, highWater: Self.start + 5).now == Self.start + 5)
        #expect(EngineClock(machine.source, highWater: Self.start - 5).now == Self.start)
        clock.start(at: EngineTime(windows: Self.start + Self.day, lives: Self.start + 7))
        #expect(clock.time == EngineTime(windows: Self.start + Self.day, lives: Self.start + 7))
        machine.pass(2_000)
        #expect(clock.follow() == .slowed(ahead: Self.day - 1_000))
        #expect(clock.now == Self.start + Self.day + 1_000)
        #expect(clock.life == Self.start + 2_007)
    }

    /// Whatever the wall clock does, engine time goes on at half the speed of the boot clock at least, and life time
    /// exactly with it.
    @Test(arguments: 1...50) func itNeverGoesBack(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let before = clock.time
            let passed = Int64.random(in: 0...30_000, using: &random)
            machine.pass(passed)
            if Int.random(in: 0..<4, using: &random) == 0 {
                let bound = [1_000, Self.hour, Self.day, 30 * Self.day][
                    Int.random(in: 0..<4, using: &random)]
                machine.leap(Int64.random(in: -bound...bound, using: &random))
            }
            let now = clock.time
            #expect(now.lives == before.lives + passed)
            #expect(now.windows >= before.windows + passed / 2)
            #expect(now.windows <= before.windows + passed)
            let found = clock.follow()
            #expect(clock.now >= now.windows)
            switch found {
            case .steady: #expect(abs(clock.ahead) <= 1)
            case .slowed(let ahead): #expect(ahead == clock.ahead && ahead > 1)
            case .doubted(let lead):
                #expect(lead > 1_000 && clock.now == now.windows)
            case .refused(let lead):
                #expect(lead > EngineClock.defaultMaximumAdvance && clock.now == now.windows)
            case .believed: #expect(clock.ahead >= 0)
            }
        }
    }
}
