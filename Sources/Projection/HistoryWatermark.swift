import GRDB
import Journal

/// How much of a journal's history a file holds, or may have sent, whose state begins anew.
///
/// **The rule.** What lies in front of `history` takes effect again, but is not told again: no line, no count, no event,
/// no delivery. What lies in front of `deliveries` may have been sent by a file that is gone: only events as young as
/// attempts go on for are sent, once the state stands at that place, when it is known who still wants them.
struct HistoryWatermark: Equatable {
    var journal: JournalID
    var history: JournalPlace
    var deliveries: JournalPlace
    /// Of the frame that begins at `history`: records that are told too.
    var records = 0

    private static let beginning = JournalPlace(segment: 0, offset: 0)

    /// Of a file that nothing is known of.
    static func nothing(_ journal: JournalExtent) -> HistoryWatermark {
        HistoryWatermark(journal: journal.id, history: beginning, deliveries: journal.end)
    }

    /// Of a file whose state begins anew while its history stays.
    ///
    /// - Throws: `ProjectionError.otherJournal`, or that the file cannot be read.
    static func keeping(_ db: Database, _ journal: JournalExtent) throws -> HistoryWatermark {
        let known = try ProjectionWriter.position(db)
        // Files of the first versions have no such table.
        var told =
            (try hasTable(db) ? read(db) : nil)
            ?? HistoryWatermark(journal: journal.id, history: beginning, deliveries: beginning)
        guard told.journal == journal.id, known.map({ $0.journal == journal.id }) ?? true else {
            throw ProjectionError(.otherJournal, "the file belongs to another journal")
        }
        if let known, known.position.place >= told.history {
            told.records = max(
                known.records, known.position.place == told.history ? told.records : 0)
            told.history = known.position.place
        }
        told.cut(at: journal.end)
        return told
    }

    /// The journal ends there: what it will hold behind that is new.
    mutating func cut(at end: JournalPlace) {
        if history >= end { records = 0 }
        history = min(history, end)
        deliveries = min(deliveries, end)
    }

    private static func hasTable(_ db: Database) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'told')
                """) ?? false
    }

    /// nil: the file's state has not begun anew so far.
    static func read(_ db: Database) throws -> HistoryWatermark? {
        guard let row = try db.row(.told) else { return nil }
        func word(_ name: String) throws -> UInt64 { UInt64(bitPattern: try row.value(name)) }
        return HistoryWatermark(
            journal: JournalID(low: try word("journal_low"), high: try word("journal_high")),
            history: JournalPlace(packed: try word("history")),
            deliveries: JournalPlace(packed: try word("deliveries")),
            records: row.optional("records") ?? 0)
    }

    func write(_ db: Database) throws {
        try db.execute(
            sql: """
                INSERT OR REPLACE INTO told
                (id, journal_low, journal_high, history, deliveries, records)
                VALUES (1, ?, ?, ?, ?, ?)
                """,
            arguments: StatementArguments(
                [
                    journal.low, journal.high, history.packed, deliveries.packed,
                    UInt64(max(0, records)),
                ].map { Int64(bitPattern: $0) }))
    }
}

/// What of a journal matters to a file that begins anew.
struct JournalExtent {
    var id: JournalID
    /// It still begins with its first segment.
    var isWhole: Bool
    /// Of what is durable.
    var end: JournalPlace
}
