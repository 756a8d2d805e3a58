import Testing

@testable import GRPCServer

@Suite struct ConnectionLifecycleTests {
    private static let second: UInt64 = 1_000_000_000

    /// Every limit a number of seconds of its own.
    private static let limits = ConnectionLifecycle.Limits(
        preface: 5 * second, request: 30 * second, writeStall: 20 * second, idle: 300 * second,
        stranger: 60 * second, grace: 40 * second, evictionGrace: 7 * second, linger: 3 * second,
        keepaliveInterval: 100 * second, keepaliveTimeout: 15 * second, lingerBytes: 1_000)

    private static func life(endOfLife: UInt64 = .max, hasSettings: Bool = true)
        -> ConnectionLifecycle
    {
        var life = ConnectionLifecycle(opened: 10 * second, endOfLife: endOfLife, limits)
        if hasSettings { life.settingsArrived() }
        return life
    }

    /// The seconds after the opening, one by one, and the first at which something is to be done, with what it is.
    private static func first(
        _ life: inout ConnectionLifecycle, upTo seconds: UInt64 = 1_000,
        _ facts: (UInt64) -> ConnectionLifecycle.Facts = { _ in .init(isKnown: true) }
    ) -> (second: UInt64, actions: ConnectionLifecycle.Actions)? {
        for passed in 1...seconds {
            let actions = life.tick((10 + passed) * second, facts(passed))
            if !actions.isEmpty { return (passed, actions) }
        }
        return nil
    }

    // MARK: Each limit

    @Test func whoSendsNoSettingsIsClosed() {
        var life = Self.life(hasSettings: false)
        let found = Self.first(&life)
        #expect(found?.second == 6 && found?.actions == .close)
    }

    @Test func aStrangerIsToldToGo() {
        var life = Self.life()
        let found = Self.first(&life) { _ in .init(openStreams: 1) }
        // Its request began at some time: which, the session knows.
        #expect(found?.second == 21 && found?.actions == .resetIncomplete)
        var idle = Self.life()
        let told = Self.first(&idle) { _ in .init() }
        #expect(told?.second == 61 && told?.actions == .announceEnd)
    }

    @Test func aSilentPeerIsAskedForALifeSignAndGivenUp() {
        var life = Self.life()
        let asked = Self.first(&life)
        #expect(asked?.second == 101 && asked?.actions == .ping)
        #expect(life.tick((10 + 101 + 15) * Self.second, .init(isKnown: true)) == [])
        #expect(life.tick((10 + 101 + 16) * Self.second, .init(isKnown: true)) == .abort)
    }

    @Test func whoAnswersGoesOn() {
        var life = Self.life()
        let asked = Self.first(&life)
        #expect(asked?.actions == .ping)
        life.read(115 * Self.second)
        #expect(life.pingAcknowledged() == [])
        for passed in 106...205 as ClosedRange<UInt64> {
            #expect(life.tick((10 + passed) * Self.second, .init(isKnown: true)) == [])
        }
        #expect(life.tick(216 * Self.second, .init(isKnown: true)) == .ping)
    }

    /// Its answer could not be read.
    @Test func whoIsNotReadFromIsNotAsked() {
        var life = Self.life()
        let told = Self.first(&life) { _ in .init(isRead: false, isKnown: true) }
        #expect(told?.second == 301 && told?.actions == .announceEnd)
    }

    @Test func whoTakesNothingIsGivenUp() {
        var life = Self.life()
        let found = Self.first(&life) { passed in
            // It takes a little for ten seconds.
            .init(sentBytes: min(passed, 10), hasOutput: true, isKnown: true)
        }
        #expect(found?.second == 31 && found?.actions == .abort)
    }

    @Test func anIdleConnectionIsRetired() {
        var life = Self.life()
        for passed in 1...50 as ClosedRange<UInt64> {
            life.read((10 + passed) * Self.second)
            let facts = ConnectionLifecycle.Facts(finishedStreams: passed, isKnown: true)
            #expect(life.tick((10 + passed) * Self.second, facts) == [])
        }
        var retired: UInt64?
        for passed in 51...400 as ClosedRange<UInt64> where retired == nil {
            life.read((10 + passed) * Self.second)
            let facts = ConnectionLifecycle.Facts(finishedStreams: 50, isKnown: true)
            let actions = life.tick((10 + passed) * Self.second, facts)
            if actions.contains(.announceEnd) { retired = passed }
        }
        #expect(retired == 351)
    }

    @Test func anOldConnectionHasItsGrace() {
        var life = Self.life(endOfLife: 30 * Self.second)
        let busy = ConnectionLifecycle.Facts(openStreams: 1, isKnown: true)
        #expect(life.tick(29 * Self.second, busy) == [])
        #expect(life.tick(30 * Self.second, busy) == .announceEnd)
        #expect(life.pingAcknowledged() == .refuseStreams)
        #expect(life.leaving == .retired)
        #expect(life.tick(70 * Self.second, busy) == .resetIncomplete)
        #expect(life.tick(71 * Self.second, busy) == .abort)
    }

    /// As long as its calls need: the service's own stop bounds it.
    @Test func aDismissedConnectionIsNotGivenUp() {
        var life = Self.life()
        #expect(life.dismiss(20 * Self.second) == .announceEnd)
        #expect(life.dismiss(21 * Self.second) == [])
        #expect(life.tick(21 * Self.second, .init(isKnown: true)) == [])
        #expect(life.tick(22 * Self.second, .init(isKnown: true)) == .refuseStreams)
        #expect(life.pingAcknowledged() == [])
        for second in 23...500 as ClosedRange<UInt64> {
            let facts = ConnectionLifecycle.Facts(isKnown: true)
            #expect(life.tick(second * Self.second, facts) == [])
        }
        #expect(life.leaving == .dismissed)
    }

    /// It takes a little of what waits for it every second, and is never silent.
    @Test(arguments: [false, true]) func whosePlaceIsAnothersHasAShortTime(isLeaving: Bool) {
        var life = Self.life()
        if isLeaving {
            #expect(life.dismiss(19 * Self.second) == .announceEnd)
            #expect(life.pingAcknowledged() == .refuseStreams)
        }
        #expect(life.evict(20 * Self.second, isServed: true) == (isLeaving ? [] : .announceEnd))
        #expect(!life.lingers)
        for second in 21...28 as ClosedRange<UInt64> {
            life.read(second * Self.second)
            let actions = life.tick(
                second * Self.second,
                .init(openStreams: 1, sentBytes: second, hasOutput: true, isKnown: true))
            let isTold = second == 22 && !isLeaving
            #expect(actions == (second == 28 ? .abort : isTold ? .refuseStreams : []))
        }
        #expect(life.leaving == (isLeaving ? .dismissed : .evicted))
    }

    /// What it is told may stay in the system's buffers, for as long as the peer likes.
    @Test func whosePlaceIsAnothersAndIsNotServedIsGoneAtOnce() {
        var life = Self.life()
        #expect(life.evict(20 * Self.second, isServed: false) == .terminate)
        let isFirst = life.finish(20 * Self.second)
        #expect(isFirst && !life.lingers)
        #expect(life.tick(23 * Self.second, .init()) == [])
        #expect(life.tick(24 * Self.second, .init()) == .abort)
    }

    /// The same of a connection that was closing before.
    @Test func aClosingConnectionWhosePlaceIsAnothersIsGoneSoon() {
        var life = Self.life()
        let isFirst = life.finish(20 * Self.second)
        #expect(isFirst && life.evict(21 * Self.second, isServed: false) == [])
        #expect(life.tick(24 * Self.second, .init()) == [])
        #expect(life.tick(25 * Self.second, .init()) == .abort)
    }

    @Test func aClosingConnectionIsNotWaitedForForEver() {
        var life = Self.life()
        _ = life.finish(20 * Self.second)
        let found = Self.first(&life) { _ in .init(isKnown: true) }
        // 20 s from the second 10 on, in which it began to close.
        #expect(found?.second == 31 && found?.actions == .abort)
    }

    /// A shorter time that is left stays.
    @Test func theGraceOfARetiredConnectionIsNotProlonged() {
        var life = Self.life(endOfLife: 30 * Self.second)
        let busy = ConnectionLifecycle.Facts(openStreams: 1, isKnown: true)
        #expect(life.tick(30 * Self.second, busy) == .announceEnd)
        #expect(life.pingAcknowledged() == .refuseStreams)
        #expect(life.evict(68 * Self.second, isServed: true) == [])
        #expect(life.tick(70 * Self.second, busy) == .resetIncomplete)
        #expect(life.tick(71 * Self.second, busy) == .abort)
    }

    @Test func memoryIsGivenBackOnce() {
        var life = Self.life()
        life.read(12 * Self.second)
        let busy = ConnectionLifecycle.Facts(openStreams: 1, isKnown: true)
        let idle = ConnectionLifecycle.Facts(finishedStreams: 1, isKnown: true)
        #expect(life.tick(12 * Self.second, busy) == [])
        #expect(life.tick(14 * Self.second, idle) == [])
        #expect(life.tick(15 * Self.second, idle) == .trim)
        #expect(life.tick(16 * Self.second, idle) == [])
        life.keepsMemory()
        #expect(life.tick(17 * Self.second, idle) == .trim)
    }

    @Test func whoGoesOnSendingIsHungUpOn() {
        var life = Self.life()
        let isFirst = life.finish(20 * Self.second)
        let isSecond = life.finish(20 * Self.second)
        #expect(isFirst && !isSecond && life.isClosing && life.lingers)
        #expect(life.discard(600) == [])
        #expect(life.discard(400) == [])
        #expect(life.discard(1) == .close)
    }

    // MARK: Every order

    private enum Happening: CaseIterable {
        case read, settings, acknowledged, dismissed, finished, evictedServed, evictedIdle,
            idleSecond, busySecond, stalledSecond, strangersMinute, longSilence

        /// Whether the owner looks at the time.
        var isTick: Bool {
            switch self {
            case .idleSecond, .busySecond, .stalledSecond, .strangersMinute, .longSilence: true
            default: false
            }
        }
    }

    /// What has been asked of the owner so far.
    private struct Told {
        var hasSettings = false
        var announced = 0
        var refused = 0
        var isClosing = false
        /// When nothing of it may be left.
        var goneBy = UInt64.max
    }

    /// Whatever happens in whatever order: the end is announced once, streams are refused once and behind it, nothing is
    /// asked of who was told to go, and nothing of who is closing but that it goes. Whose place is another's is gone in time.
    @Test func everyOrderOfWhatHappens() {
        var orders = 0
        Self.goOn(Self.life(hasSettings: false), Told(), now: 10 * Self.second, steps: 6, &orders)
        #expect(orders == 3_257_436)
    }

    private static func goOn(
        _ life: ConnectionLifecycle, _ told: Told, now: UInt64, steps: Int, _ orders: inout Int
    ) {
        guard steps > 0 else { return }
        for happening in Happening.allCases {
            orders += 1
            var (next, told, now) = (life, told, now)
            let actions = apply(happening, to: &next, &told, &now)
            check(actions, next, &told, happening, now)
            goOn(next, told, now: now, steps: steps - 1, &orders)
        }
    }

    private static func apply(
        _ happening: Happening, to life: inout ConnectionLifecycle, _ told: inout Told,
        _ now: inout UInt64
    ) -> ConnectionLifecycle.Actions {
        switch happening {
        case .read:
            life.read(now)
            return []
        case .settings:
            told.hasSettings = true
            life.settingsArrived()
            return []
        case .acknowledged: return life.pingAcknowledged()
        case .dismissed: return life.dismiss(now)
        case .finished:
            told.isClosing = true
            _ = life.finish(now)
            return []
        case .evictedServed:
            told.goneBy = min(told.goneBy, now + limits.evictionGrace)
            return life.evict(now, isServed: true)
        case .evictedIdle:
            told.goneBy = min(told.goneBy, now + limits.linger)
            return life.evict(now, isServed: false)
        case .idleSecond:
            now += second
            return life.tick(now, .init(isKnown: true))
        case .busySecond:
            now += second
            return life.tick(now, .init(openStreams: 1, isKnown: true))
        case .stalledSecond:
            now += 11 * second
            return life.tick(now, .init(openStreams: 1, hasOutput: true, isKnown: true))
        case .strangersMinute:
            now += 61 * second
            return life.tick(now, .init())
        case .longSilence:
            now += 101 * second
            return life.tick(now, .init(isKnown: true))
        }
    }

    private static func check(
        _ actions: ConnectionLifecycle.Actions, _ life: ConnectionLifecycle, _ told: inout Told,
        _ happening: Happening, _ now: UInt64
    ) {
        let wasTold = told.announced > 0
        if actions.contains(.announceEnd) { told.announced += 1 }
        if actions.contains(.refuseStreams) { told.refused += 1 }
        let isLegal =
            told.announced <= 1 && told.refused <= told.announced
            && !(actions.contains(.ping) && wasTold)
            && !(told.isClosing
                && !actions.isDisjoint(with: [.announceEnd, .refuseStreams, .ping]))
            && (life.leaving != nil) == (told.refused == 1 && !told.isClosing)
            // Who may still be opening is closed, nobody else is.
            && (!actions.contains(.close) || !told.hasSettings)
            && !(actions.contains(.close) && actions != .close)
            && !(actions.contains(.abort) && actions != .abort)
            && (actions.contains(.terminate)
                ? actions == .terminate && happening == .evictedIdle && !told.isClosing
                : happening != .evictedIdle || told.isClosing)
            && !(happening.isTick && now > told.goneBy
                && actions.isDisjoint(with: [.close, .abort]))
            && !(actions.contains(.announceEnd) && actions.contains(.refuseStreams))
        if !isLegal { Issue.record("\(happening): \(actions.rawValue) in \(life.phase)") }
    }
}
