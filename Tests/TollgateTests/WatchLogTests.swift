import GRPCServer
import Logging
import Synchronization
import Testing

@testable import Engine
@testable import tollgate

/// What the log says of states that last: a line when one begins and a line when it is over.
@Suite struct WatchLogTests {
    /// Lines that were logged since the last look: "error: text".
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])

        var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

        func take() -> [String] {
            lines.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }

        private struct Handler: LogHandler {
            let log: Log
            var metadata: Logger.Metadata = [:]
            var logLevel = Logger.Level.trace

            subscript(metadataKey key: String) -> Logger.Metadata.Value? {
                get { metadata[key] }
                set { metadata[key] = newValue }
            }

            func log(event: LogEvent) {
                let reason = event.metadata?["reason"].map { " (\($0))" } ?? ""
                log.lines.withLock { $0.append("\(event.level): \(event.message)\(reason)") }
            }
        }
    }

    /// What a test changes while it is watched.
    private final class Machine: Sendable {
        let reason = Mutex<String?>(nil)
        let boot = Atomic<Int64>(5_000)
        let wall = Atomic<Int64>(1_700_000_000_000)

        var source: EngineClock.Source {
            EngineClock.Source(
                boot: { self.boot.load(ordering: .relaxed) },
                wall: { self.wall.load(ordering: .relaxed) })
        }

        func pass(_ milliseconds: Int64) {
            boot.add(milliseconds, ordering: .relaxed)
            wall.add(milliseconds, ordering: .relaxed)
        }

        func leap(_ milliseconds: Int64) { wall.add(milliseconds, ordering: .relaxed) }
    }

    private let log = Log()
    private let machine = Machine()
    private let watch: Watch

    init() throws {
        let machine = machine
        let engine = try Engine(clock: EngineClock(machine.source))
        let condition = Watch.Condition(
            begins: "it began", ends: "it is over", reason: { machine.reason.withLock { $0 } })
        watch = Watch(engine, [condition], WatchScarcity(), log.logger)
    }

    /// Some looks, a second apart; what they said.
    private func looks(_ count: Int = 5) -> [String] {
        for _ in 0..<count {
            watch.look()
            machine.pass(1_000)
        }
        return log.take()
    }

    @Test func aLineAtEachEdge() {
        #expect(looks() == [])
        for _ in 0..<2 {
            machine.reason.withLock { $0 = "a reason" }
            #expect(looks() == ["error: it began (a reason)"])
            machine.reason.withLock { $0 = "another reason" }
            #expect(looks() == [])
            machine.reason.withLock { $0 = nil }
            #expect(looks() == ["notice: it is over"])
        }
    }

    @Test func aWallClockThatWasSetBack() {
        #expect(looks() == [])
        machine.leap(-60_000)
        let said = looks()
        #expect(said.count == 1 && said[0].hasPrefix("error: the wall clock was set back"))
        // At half speed a minute takes two, the last of it a second apart and less.
        #expect(looks(150) == ["notice: engine time matches the wall clock again"])
    }

    @Test func aWallClockThatLeapt() {
        machine.leap(900)
        #expect(looks() == [], "followed at once")
        machine.leap(3_600_000)
        #expect(looks() == ["error: the wall clock jumped ahead; trusted if it stays so for 60 s"])
        machine.leap(-3_600_000)
        #expect(looks() == ["notice: engine time matches the wall clock again"])
        machine.leap(3_600_000)
        #expect(looks().count == 1)
        #expect(looks(100) == ["notice: following the wall clock"])
        machine.leap(40 * 86_400_000)
        let said = looks(100)
        #expect(said.count == 1 && said[0].contains("--accept-clock"))
        machine.leap(-40 * 86_400_000)
        #expect(looks() == ["notice: engine time matches the wall clock again"])
    }

    @Test func whatIsScarceIsSaidOnce() {
        let scarcity = ScarcityLog()
        func looks(
            reservations: Bool = false, keys: Bool = false, watches: Bool = false
        ) -> [String] {
            let found = Occupancy(
                reservations: 1, keys: 2, amended: 3, charged: 4, refusedOverShare: 5,
                reservationsAreScarce: reservations, keysAreScarce: keys)
            for _ in 0..<3 { scarcity.look(found, watchesAreScarce: watches, log.logger) }
            return log.take()
        }
        func begins(_ what: String) -> String {
            "warning: three quarters of the \(what) are in use: per-tenant shares apply"
        }
        func ends(_ what: String) -> String {
            "notice: less than three quarters of the \(what) are in use again: per-tenant shares no longer apply"
        }
        #expect(looks() == [])
        #expect(looks(reservations: true) == [begins("reservations")])
        #expect(looks(reservations: true, keys: true) == [begins("idempotency keys")])
        #expect(looks(keys: true) == [ends("reservations")])
        #expect(looks() == [ends("idempotency keys")])
        #expect(looks(watches: true) == [begins("watches of an event loop")])
        #expect(looks() == [ends("watches of an event loop")])
    }
}
