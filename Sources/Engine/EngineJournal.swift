package import Journal
import Limits
import Reservations
import Synchronization

/// When an answer may leave, and what the journal may take up.
package struct DurabilitySettings: Sendable {
    package var journal = JournalConfiguration()
    /// Answers wait until what they reflect is on disk.
    package var answersWait = true
    /// How long the disk may make no progress before calls are refused that find no room in the journal; until then they
    /// wait for it. Milliseconds.
    package var stallMilliseconds: Int64 = 5_000
    /// Journal that is written before the next checkpoint is made, bytes.
    package var checkpointBytes = 256 << 20
    /// How long segments are kept that nobody needs any more, milliseconds.
    package var retention: Int64 = 3_600_000
    /// Whether threads do rounds, segments and checkpoints; else the owner does (a simulator).
    package var hasThreads = true
    /// A new journal is begun though the directory says that there was one.
    package var acceptsEmptyJournal = false
    /// What other files the directory holds once a service has run on it: without a journal they say that it was lost.
    package var companions: [String] = []
    /// Somebody will follow the journal, and says what it needs soon after the start: until then nothing is removed that
    /// need not be.
    package var awaitsFollower = false
    /// Of a journal that does not exist yet; nil: a random one. A simulator sets it, for its runs to repeat.
    package var newJournalID: JournalID?

    package init() {}
}

/// The journal of an engine: the writer, who waits for it, and the checkpoints.
final class EngineJournal: Sendable {
    let disk: any Disk
    let settings: DurabilitySettings
    let writer: JournalWriter
    let thread: JournalThread?
    let rounds: DurableRounds
    let checkpointer: Checkpointer
    var answersWait: Bool {
        #if STEP_POINTS
            if InjectedBug.planted == .earlyAcknowledgement { return false }
        #endif
        return settings.answersWait
    }

    init(
        _ disk: any Disk, _ settings: DurabilitySettings, _ writer: JournalWriter,
        _ checkpointer: Checkpointer
    ) {
        self.disk = disk
        self.settings = settings
        self.writer = writer
        self.checkpointer = checkpointer
        let thread = settings.hasThreads ? JournalThread(writer) : nil
        self.thread = thread
        let rounds = DurableRounds(writer) { thread?.wake() }
        self.rounds = rounds
        // Weak: they know the writer, who would keep both for ever.
        writer.onRound = { [weak rounds] in rounds?.roundDone() }
        writer.onFailure { [weak rounds] _ in rounds?.failed() }
    }

    func start() {
        // Where a process before this one left a segment nearly full, nothing is let in before the next one is there.
        if !writer.isOpen { writer.prepareNext() }
        thread?.start()
        if settings.hasThreads { checkpointer.start() }
    }

    func close() {
        checkpointer.stop()
        if let thread { thread.stop() } else { writer.close() }
        disk.unlock()
    }
}

extension EngineError {
    init(_ error: JournalError) {
        let code: Code =
            switch error.code {
            case .noSpace: .full
            case .system: .system
            case .interrupted: .interrupted
            default: .invalid
            }
        self.init(code, "\(error)")
    }
}
