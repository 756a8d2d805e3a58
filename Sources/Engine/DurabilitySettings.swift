package import Journal

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
    /// Generations of reservation ids that nobody may get, above those on record: of a time whose records are lost. Once.
    package var lostGenerations: UInt64 = 0
    /// Of a journal that does not exist yet; nil: a random one. A simulator sets it, for its runs to repeat.
    package var newJournalID: JournalID?

    package init() {}
}
