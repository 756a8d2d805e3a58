package import Journal

/// What a follower needs of an engine's journal.
///
/// Thread safety: any thread. Good as long as the engine is open.
package struct JournalFeed: Sendable {
    package let disk: any Disk
    package let id: JournalID
    private let writer: JournalWriter

    init(_ journal: EngineJournal) {
        disk = journal.disk
        id = journal.writer.id
        writer = journal.writer
    }

    /// Where what is durable ends. One atomic load.
    package var durableEnd: JournalPlace { writer.durableEnd }

    /// Bytes of a segment that is made now.
    package var segmentBytes: Int { writer.configuration.segmentBytes }

    /// Keeps the segments from one on until the next call; nil: none. There is one follower.
    ///
    /// See `JournalWriter.removeSegments` for a follower that does not get on.
    package func keepSegments(from number: UInt64?) { writer.keepSegments(from: number) }
}

extension Engine {
    /// The journal for a follower; nil: nothing is kept.
    package var journalFeed: JournalFeed? { journal.map(JournalFeed.init) }
}
