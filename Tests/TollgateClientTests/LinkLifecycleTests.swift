import NIOCore
import Testing

@testable import TollgateClient

@Suite("One connection of a client, from its opening to its end")
struct LinkLifecycleTests {
    private static func at(_ milliseconds: UInt64) -> NIODeadline {
        .uptimeNanoseconds(milliseconds * 1_000_000)
    }

    private static func link(interval: TimeAmount? = .seconds(30)) -> LinkLifecycle {
        LinkLifecycle(keepalive: Keepalive(interval: interval, timeout: .seconds(20)))
    }

    // MARK: Each rule

    @Test func aDeadlineAsksWhetherAnybodyIsThere() {
        var link = Self.link()
        link.began(at: Self.at(1_000))
        #expect(link.expired(at: Self.at(1_040)) == .ping)
        link.ended()
        // Once is enough.
        #expect(link.expired(at: Self.at(1_045)) == [])
        #expect(link.timerToSet() == Self.at(6_040))
        #expect(link.timerWentOff(at: Self.at(6_040)) == [.close, .avoid])
        #expect(link.end == .silent && link.isOpen == false)
        link.gone()
        #expect(link.phase == .closed(.silent))
    }

    @Test func whoHasSaidNothingForLongIsAvoided() {
        var link = Self.link()
        link.began(at: Self.at(1_000))
        #expect(link.expired(at: Self.at(1_050)) == [.avoid, .ping])
    }

    /// Others were answered meanwhile: the deadline was short, or this call is slow.
    @Test func whoHasAnsweredOthersIsNotAvoided() {
        var link = Self.link()
        link.began(at: Self.at(1_000))
        link.heard(at: Self.at(1_980))
        link.began(at: Self.at(1_990))
        #expect(link.expired(at: Self.at(2_000)) == .ping)
    }

    /// Streams that were given up need no answer; the time without one does not count.
    @Test func aCancelledCallIsNotHeldAgainstThePeer() {
        var link = Self.link()
        link.began(at: Self.at(1_000))
        link.ended()
        link.began(at: Self.at(90_000))
        #expect(link.expired(at: Self.at(90_010)) == .ping)
    }

    @Test func shortDeadlinesAddUp() {
        var link = Self.link()
        link.began(at: Self.at(1_000))
        #expect(link.expired(at: Self.at(1_020)) == .ping)
        link.ended()
        link.began(at: Self.at(1_030))
        #expect(link.expired(at: Self.at(1_050)) == .avoid)
    }

    @Test func theFirstAnswerIsTold() {
        var link = Self.link()
        #expect(link.answered() == true)
        #expect(link.answered() == false)
        link.began(at: Self.at(1_000))
        #expect(link.expired(at: Self.at(2_000)).contains(.avoid))
        #expect(link.answered() == true)
    }

    @Test func theTimerIsSetOnceAndSooner() {
        var link = Self.link()
        #expect(link.timerToSet() == nil)
        link.began(at: Self.at(1_000))
        #expect(link.timerToSet() == Self.at(31_000))
        link.heard(at: Self.at(2_000))
        #expect(link.timerToSet() == nil)
        #expect(link.timerWentOff(at: Self.at(31_000)) == [])
        #expect(link.timerToSet() == Self.at(32_000))
        #expect(link.timerWentOff(at: Self.at(32_000)) == .ping)
        #expect(link.timerToSet() == Self.at(52_000))
    }

    @Test func itClosesOnceAndKeepsItsFirstReason() {
        var link = Self.link()
        #expect(link.close(.lost) == .close)
        #expect(link.close(.ended) == [])
        #expect(link.end == .lost && link.timerToSet() == nil)
        link.gone()
        #expect(link.phase == .closed(.lost))
        var other = Self.link()
        other.gone()
        #expect(other.end == .lost && other.close(.ended) == [])
    }

    // MARK: Every order

    private enum Happening: CaseIterable {
        case began, ended, heard, shortDeadline, longDeadline, timer, closed, gone
    }

    /// What has happened to the link, and been asked of its owner.
    private struct World {
        var link = LinkLifecycleTests.link()
        var now: UInt64 = 1_000
        var open = 0
        var heard: UInt64 = 1_000
        /// When the PING was sent that is not answered.
        var asked: UInt64?
        var timer: NIODeadline?
        var closes = 0
        var isGone = false
        var faults: [String] = []

        mutating func expect(_ holds: Bool, _ rule: @autoclosure () -> String) {
            if holds == false { faults.append(rule()) }
        }

        mutating func happens(_ happening: Happening) -> Bool {
            var actions: LinkLifecycle.Actions = []
            switch happening {
            case .began:
                guard link.isOpen, open < 2 else { return false }
                open += 1
                link.began(at: at(now))
            case .ended:
                guard open > 0 else { return false }
                open -= 1
                link.ended()
            case .heard:
                guard isGone == false else { return false }
                now += 5
                heard = now
                asked = nil
                link.heard(at: at(now))
                expect(link.isOpen == (closes == 0), "a read opens or closes nothing")
            case .shortDeadline, .longDeadline:
                guard open > 0 else { return false }
                now += happening == .shortDeadline ? 10 : 200
                actions = link.expired(at: at(now))
                open -= 1
                link.ended()
                if actions.contains(.avoid) {
                    expect(now >= heard + 50, "avoided although it spoke just now")
                }
            case .timer:
                guard let timer else { return false }
                self.timer = nil
                now = max(now, timer.uptimeNanoseconds / 1_000_000)
                actions = link.timerWentOff(at: at(now))
                if actions.contains(.close) {
                    expect(
                        asked.map { now >= $0 + 5_000 } ?? false, "given up unasked, or too soon")
                    expect(actions.contains(.avoid) && link.end == .silent, "given up for nothing")
                }
            case .closed: actions = link.close(.ended)
            case .gone:
                guard isGone == false else { return false }
                isGone = true
                timer = nil
                link.gone()
            }
            if actions.contains(.ping) {
                expect(asked == nil, "asked twice")
                asked = now
            }
            if actions.contains(.close) { closes += 1 }
            if let due = link.timerToSet() {
                expect(timer.map { due < $0 } ?? true, "a timer that is later")
                timer = due
            }
            check(actions)
            return true
        }

        mutating func check(_ actions: LinkLifecycle.Actions) {
            expect(link.openStreams == open, "streams are miscounted")
            expect(closes <= 1, "closed twice")
            expect((closes == 0 && isGone == false) == link.isOpen, "not as it was told")
            expect(link.isOpen || actions.isDisjoint(with: .ping), "asks who is going")
            // Who is busy or has been asked is looked at in time.
            if link.isOpen, open > 0 || asked != nil {
                expect(timer != nil, "nobody looks")
            }
        }

        func at(_ milliseconds: UInt64) -> NIODeadline { LinkLifecycleTests.at(milliseconds) }
    }

    /// Whatever happens in whatever order: a peer is asked once at a time, given up only when it was asked and left the time
    /// that it had, and avoided only when it is silent; the link closes once; whoever is busy is looked at.
    @Test func everyOrderOfWhatHappens() {
        var orders = 0
        var faults: Set<String> = []
        func goOn(_ world: World, _ path: [Happening]) {
            guard path.count < 8 else { return }
            for happening in Happening.allCases {
                var next = world
                guard next.happens(happening) else { continue }
                orders += 1
                if next.faults.isEmpty == false {
                    if faults.count < 5 { faults.insert("\(next.faults): \(path + [happening])") }
                } else {
                    goOn(next, path + [happening])
                }
            }
        }
        goOn(World(), [])
        #expect(faults.isEmpty, "\(faults)")
        #expect(orders > 100_000, "\(orders)")
    }
}
