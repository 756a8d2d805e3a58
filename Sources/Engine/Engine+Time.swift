import BillingCalendar
import JSON
import Journal
import Limits
import Notation
import Reservations
import Synchronization

/// Where the engine's times begin at a start (semantics §2).
struct ClockStart {
    /// How far the wall clock may be from the instant that an operator vouches for, milliseconds.
    static let tolerance: Int64 = 86_400_000
    /// Where windows can be told: from 1970-03-01, since a cycle begins up to a month earlier, to the end of 2105.
    static let believable: ClosedRange<Int64> = 5_097_600_000...4_291_747_199_000

    let time: EngineTime
    let accepted: AcceptedClock?

    /// - Throws: that nobody could tell windows at that time.
    static func check(_ wall: Int64) throws(EngineError) {
        guard !believable.contains(wall) else { return }
        throw EngineError(
            .invalid,
            """
            the wall clock is at \(Instant.wholeSeconds(wall)), outside \
            \(Instant.wholeSeconds(believable.lowerBound)) to \
            \(Instant.wholeSeconds(believable.upperBound)): correct the clock
            """)
    }

    /// - Parameter latest: what is on record.
    /// - Throws: that the wall clock is further from the time on record than is believed without an operator's word.
    init(
        wall: Int64, latest: Replayer.Statistics, _ configuration: EngineConfiguration
    ) throws(EngineError) {
        try Self.check(wall)
        // What has elapsed since, by the wall clock, as far as that is certain. Of a step that engine time has followed lives
        // know nothing: the wall clock stood there before.
        let lives = latest.life + max(0, wall - max(latest.time, latest.life))
        let distance = latest.time == 0 ? 0 : wall - latest.time
        let vouched = configuration.acceptedClock.map { abs(wall - $0) <= Self.tolerance }
        if vouched == true, distance < 0 || distance > configuration.maximumClockAdvance {
            time = EngineTime(windows: wall, lives: lives)
            accepted = AcceptedClock(latest: latest.time, wall: wall)
            return
        }
        guard abs(distance) <= configuration.maximumClockAdvance else {
            let hint =
                vouched == false
                ? "; the time given with --accept-clock is more than a day from the wall clock"
                : ""
            throw EngineError(
                .invalid,
                """
                the wall clock is at \(Instant.wholeSeconds(wall)), and the latest recorded time is \
                \(Instant.wholeSeconds(latest.time)): further apart than --max-clock-advance allows. Correct \
                the clock, or if it is right, start once with --accept-clock \
                \(Instant.wholeSeconds(wall))\(hint)
                """)
        }
        time = EngineTime(windows: max(wall, latest.time), lives: lives)
        accepted = nil
    }
}

extension Engine {
    /// Engine time for an answer that shows windows without asking a lane. When this returns, each window that had
    /// begun by then is on disk: no restart closes it again.
    ///
    /// - Throws: the journal has failed, or has no room.
    package func timeOfWindows() async throws(EngineError) -> Int64 {
        let time = clock.time
        guard journal != nil else { return time.windows }
        // ORDERING: acquire, release: who finds the mark knows it on disk.
        guard shownUntil.load(ordering: .acquiring) < time.windows - time.windows % Record.quarter
        else { return time.windows }
        let isRecorded = control.withLock { control in
            control.lane.recordTime(now: control.begin(time, by: 0))
        }
        guard isRecorded else { throw EngineError(TableError.busy) }
        try await durable()
        shownUntil.store(time.windows, ordering: .releasing)
        return time.windows
    }

    /// Says in the audit log that a start went by a wall clock that an operator vouched for. Until it is on disk, the
    /// next start asks again.
    func note(_ clock: AcceptedClock) throws(EngineError) {
        let value: JSON = [
            "time_on_record": .string(Instant.wholeSeconds(clock.latest)),
            "wall_clock": .string(Instant.wholeSeconds(clock.wall)),
        ]
        try waitingForRoom(atMost: 60_000) { () throws(EngineError) in
            try setSetting(AcceptedClock.setting, value.text)
        }
        try awaitDurable()
    }
}
