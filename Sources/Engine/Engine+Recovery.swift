import CLinux
import Glibc
package import Journal
import Limits
import Reservations

/// What recovery found.
package struct RecoveryReport: Sendable, Equatable {
    /// The first segment that the checkpoint does not cover; nil: there was no checkpoint.
    package var checkpoint: UInt64?
    /// A newer checkpoint was damaged: why.
    package var passedOver: [String] = []
    package var records = 0
    /// Second copies of records.
    package var duplicates = 0
    /// Records that were never acknowledged.
    package var dropped = 0
    /// Bytes behind the journal's end that had not become durable; 0: none.
    package var tornBytes = 0
    package var tornAt = ""
    /// Bytes of segments read.
    package var bytes = 0
    /// The wall clock was taken for right though it was far from the time on record; nil: it was not far.
    package var acceptedClock: AcceptedClock?
    /// That generations are passed over is on record (`DurabilitySettings.lostGenerations`).
    package var keepsLostGenerations = false
}

extension Engine {
    /// Opens the journal in a directory, plays it back, expires what fell due meanwhile, and goes on writing.
    ///
    /// - Parameters:
    ///   - disk: the directory; locked until `close`.
    ///   - clock: wall and boot time.
    ///   - progressed: called with each part that is played back, on the calling thread.
    /// - Throws: what is wrong with the journal, with file, offset and what to do; the directory is unchanged then,
    ///   but for files half made.
    package static func open(
        configuration: EngineConfiguration, clock source: EngineClock.Source = .system,
        disk: any Disk, settings: DurabilitySettings, progressed: () -> Void = {}
    ) throws(EngineError) -> (engine: Engine, report: RecoveryReport) {
        var configuration = configuration
        configuration.capacity.ringWords = ringWords(configuration.capacity.lanes, settings)
        try AddressSpace.check(configuration.capacity, hasJournal: true)
        let clock = EngineClock(source)
        let wall = clock.now
        let found: [String]
        do throws(JournalError) {
            // Before the lock leaves something of its own.
            found = try disk.list()
            try disk.lock()
        } catch {
            throw EngineError(error)
        }
        do throws(EngineError) {
            let schedules = Schedules()
            let recovery = try Recovery(disk, newID: settings.newJournalID)
            if !recovery.exists { try expectNoJournal(found, settings) }
            let (table, lane) = try ReservationTable.withConfigurationLane(
                configuration.capacity, schedules, recovery.secret, now: wall)
            // Where life time goes on is known when all is read: the wall clock may be ahead of it.
            var replayer = Replayer(lane, schedules, now: .min / 2)
            try recovery.play(into: &replayer, progressed)
            passOverGenerations(of: table, replayer.settings)
            passOverLostGenerations(of: table, settings.lostGenerations)
            let start = try ClockStart(
                wall: wall, latest: replayer.statistics, configuration)
            clock.start(at: start.time, maximumAdvance: configuration.maximumClockAdvance)
            let journal = try recovery.go(on: table, settings, configuration.capacity)
            var control = Control(lane: lane)
            control.take(replayer)
            // SAFETY: nobody uses the lane from here on but under the engine's lock.
            nonisolated(unsafe) let handed = control
            let engine = Engine(configuration, clock, table, schedules, handed, journal)
            journal.start()
            let mustKeep = !settings.answersWait || settings.lostGenerations > 0
            let isKept = mustKeep && engine.keepPassedOver()
            if let accepted = start.accepted { try engine.note(accepted) }
            try engine.moveWindowsBack()
            engine.endHoldsLeft(waitForRoom: engine.waitForRoom)
            engine.beforeServing { $0.expireOverdue(now: $1, waitForRoom: $2) }
            var report = recovery.report(replayer.statistics)
            report.acceptedClock = start.accepted
            report.keepsLostGenerations = isKept
            return (engine, report)
        } catch {
            disk.unlock()
            throw error
        }
    }

    /// Refuses to begin a new journal where there was one.
    private static func expectNoJournal(
        _ names: [String], _ settings: DurabilitySettings
    ) throws(EngineError) {
        let left = settings.companions.filter(names.contains)
        guard names.contains(JournalFiles.lock), !left.isEmpty, !settings.acceptsEmptyJournal
        else { return }
        throw EngineError(
            .invalid,
            """
            the journal is missing: there is no segment and no checkpoint, but \
            \(left.joined(separator: " and ")) show that a service has run here. Restore the files, \
            or start once with --accept-empty-journal to begin with no data
            """)
    }

    /// Plays what a directory holds back into a table of its own, and lets go of it. The directory is unchanged.
    ///
    /// - Parameter disk: locked by the caller.
    package static func verify(disk: any Disk) throws(EngineError) -> RecoveryReport {
        let recovery = try Recovery(disk, removesTemporaries: false)
        let schedules = Schedules()
        var capacity = TableCapacity()
        capacity.tenants = 16_000_000
        capacity.profiles = 16_000_000
        capacity.reservations = 4_000_000_000
        // As many as the files can hold: the index of keys is met at random, so all of it is soon in memory.
        capacity.keys = min(100_000_000, max(1_024, try fileBytes(disk) / leastKeyBytes))
        capacity.lanes = 1
        let (_, lane) = try ReservationTable.withConfigurationLane(
            capacity, schedules, recovery.secret, now: 0)
        var replayer = Replayer(lane, schedules, now: .min / 2)
        try recovery.play(into: &replayer)
        return recovery.report(replayer.statistics)
    }

    /// A record or checkpoint entry with a key has nine words at the least.
    private static let leastKeyBytes = 64

    private static func fileBytes(_ disk: any Disk) throws(EngineError) -> Int {
        do throws(JournalError) {
            let names =
                try disk.segmentNumbers().map(JournalFiles.segment)
                + disk.checkpointNumbers().map(JournalFiles.checkpoint)
            var bytes = 0
            for name in names {
                let file = try disk.open(name, isWritable: false)
                defer { disk.close(file) }
                bytes += try disk.size(of: file)
            }
            return bytes
        } catch {
            throw EngineError(error)
        }
    }

    /// A megabyte for each lane, unless all together would fill more than an eighth of a segment: then a new segment has
    /// room for what they can bring long before the next one must be there. What does not fit a ring until the next
    /// round is refused with UNAVAILABLE.
    private static func ringWords(_ lanes: Int, _ settings: DurabilitySettings) -> Int {
        var words = 1 << 17
        while words > leastRingWords && words * 8 * lanes * 8 > settings.journal.segmentBytes {
            words /= 2
        }
        return words
    }

    private static let leastRingWords = 4 * RecordWords.most

    /// Bytes that a segment must have at the least for so many lanes: for what they may bring before they are shut out, a
    /// round with all rings full, another one, and what each lane has begun by then.
    package static func leastSegmentBytes(lanes: Int) -> Int {
        leastRingWords * 8 * lanes / 2 * 5 + 4_096
    }

    /// What finds no room, because the disk is full or the journal has failed, is left to the lanes, which adopt it, or to
    /// the next start.
    private func waitForRoom() -> Bool {
        runRound()
        // The next segment takes a while.
        if journal?.writer.isOpen == false { usleep(1_000) }
        return journalStatus?.trouble == nil
    }

    /// Does work on the table before anybody serves from it.
    private func beforeServing(_ work: (Lane, Int64, () -> Bool) -> Void) {
        let time = clock.time
        control.withLock { control in
            work(control.lane, control.begin(time, by: 0), waitForRoom)
        }
        runRound()
    }

    /// Moves windows that begin later than engine time, and what a start before this one has left of that.
    private func moveWindowsBack() throws(EngineError) {
        // There are none but where a clock was taken for right on an operator's word.
        guard setting(AcceptedClock.setting) != nil else { return }
        let deadline = linux_monotonic_nanoseconds() + Self.patienceAtStart
        while true {
            var isDone = false
            beforeServing { isDone = $0.moveWindowsBack(now: $1, waitForRoom: $2) }
            if isDone { return }
            // The threads of a full journal make room, if there is any to be made; what is left goes on where it was.
            if journal?.thread != nil, linux_monotonic_nanoseconds() < deadline {
                usleep(10_000)
                continue
            }
            throw EngineError(
                .system,
                """
                the journal has no room to move open holds to the current windows; \
                free disk space or raise --journal-maximum, and start again
                """)
        }
    }

    /// How long a start waits for room in the journal, nanoseconds.
    private static let patienceAtStart: Int64 = 60_000_000_000

    #if STEP_POINTS
        /// A test's hook: plays records back into an engine that has no journal. Returns what was played.
        @discardableResult
        func recover(
            now: Int64, _ play: (inout Replayer) throws(EngineError) -> Void
        ) throws(EngineError) -> Replayer.Statistics {
            try control.withLock { control throws(EngineError) in
                var replayer = Replayer(control.lane, schedules, now: now)
                try play(&replayer)
                control.take(replayer)
                return replayer.statistics
            }
        }
    #endif

    // MARK: Durability

    /// Blocks until everything that was done so far is on disk.
    package func awaitDurable() throws(EngineError) {
        guard let journal else { return }
        if journal.thread == nil { runJournal() }
        guard journal.thread == nil ? !hasFailed : journal.rounds.wait() else {
            throw EngineError(.system, "the journal has failed: nothing more can be recorded")
        }
    }

    /// As `awaitDurable`, without blocking the thread.
    package func durable() async throws(EngineError) {
        guard let journal else { return }
        guard journal.thread != nil else { return try awaitDurable() }
        guard await journal.rounds.done() else {
            throw EngineError(.system, "the journal has failed: nothing more can be recorded")
        }
    }

    /// Returns when a round is done, or none will be any more.
    private func runRound() {
        guard let journal else { return }
        if journal.thread == nil {
            runJournal()
        } else {
            _ = journal.rounds.wait()
        }
    }

    /// Does a round of the journal, and prepares what the next one may need; for engines without threads.
    package func runJournal() {
        journal?.writer.prepareNext()
        journal?.writer.round()
        journal?.writer.prepareNext()
    }

    #if STEP_POINTS
        /// A test's hook: called between the steps of a round.
        package var onWriterStep: ((WriterStep) -> Void)? {
            get { journal?.writer.onStep }
            set { journal?.writer.onStep = newValue }
        }
    #endif

    /// How often the journal's thread has gone round; nil: it waits for the disk, or there is none. Any thread.
    package var journalTurns: UInt64? { journal?.thread?.turns }

    /// Makes a checkpoint now. False: nothing was sealed since the last one.
    @discardableResult
    package func makeCheckpoint() throws(EngineError) -> Bool {
        try journal?.checkpointer.make() ?? false
    }

    /// How the journal fares; nil: there is none.
    package var journalStatus: JournalStatus? { journal?.writer.currentStatus }

    /// Why nothing can be put on record at the moment, so that every change is refused; nil: it can.
    package var refusal: String? {
        guard let journal, !journal.writer.isOpen,
            let trouble = journal.writer.currentStatus.trouble
        else { return nil }
        guard let checkpoint = checkpointTrouble else { return "\(trouble)" }
        return "\(trouble); the last checkpoint failed: \(checkpoint)"
    }

    /// Why the last attempt at a checkpoint came to nothing; nil: it did not. Without checkpoints the journal fills up.
    package var checkpointTrouble: String? { journal?.checkpointer.trouble }

    /// Whether the journal has failed: nothing more is acknowledged.
    package var hasFailed: Bool { journal?.writer.hasFailed ?? false }

    /// Has a failure of the journal reported, once, and at once if there was one already: from then on nothing is
    /// acknowledged, and the process had better end. Any thread.
    package func onJournalFailure(_ report: @escaping @Sendable (JournalError) -> Void) {
        journal?.writer.onFailure(report)
    }

    /// Ends the journal in good order. Nobody may call any lane any more.
    package func close() {
        // Without room a later start goes on from the time of the last record.
        recordTime()
        journal?.close()
    }

    /// Puts the time on record if there is room: what `durable` waits for then is a write, also where nobody calls.
    package func recordTime() {
        let time = clock.time
        control.withLock { control in
            _ = control.lane.recordTime(now: control.begin(time, by: 0))
        }
    }
}

extension Engine.Control {
    /// Takes over the settings that were played back.
    fileprivate mutating func take(_ replayer: borrowing Replayer) {
        tenants = replayer.tenants
        profiles = replayer.profiles
        settings = replayer.settings
        settingsVersion = replayer.settingsVersion
    }
}

extension Recovery {
    /// A writer behind what was found.
    func go(
        on table: ReservationTable, _ settings: DurabilitySettings, _ capacity: TableCapacity
    ) throws(EngineError) -> EngineJournal {
        do throws(JournalError) {
            let writer = try JournalWriter(
                disk, id: id, settings.journal, rings: table.rings, after: found.end)
            if settings.awaitsFollower { writer.keepSegments(from: 0) }
            let checkpointer = Checkpointer(
                disk, id, writer, settings, capacity, last: checkpoint ?? 1)
            return EngineJournal(disk, settings, writer, checkpointer)
        } catch {
            throw EngineError(error)
        }
    }

    func report(_ statistics: Replayer.Statistics) -> RecoveryReport {
        var report = RecoveryReport()
        report.checkpoint = checkpoint
        report.passedOver = passedOver
        report.records = statistics.records
        report.duplicates = statistics.duplicates
        report.dropped = statistics.dropped
        if let end = found.end {
            report.tornBytes = end.tornEnd - end.offset
            report.tornAt = "\(JournalFiles.segment(end.segment)), offset \(end.offset)"
            report.bytes = end.bytes
        }
        return report
    }
}
