import Journal
import Limits
import Reservations
import Synchronization

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
