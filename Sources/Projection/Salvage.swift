import Foundation
import GRDB
import Journal

/// What can be read of the history of a damaged file.
struct Salvage {
    /// Every row could be read, and how far they go.
    private(set) var isWhole = true
    private(set) var rows = 0

    /// Carries the history over into a new file, whose tables are made, and says there how far it goes.
    ///
    /// What could not be read the journal may give back: if it still begins with its first segment, it tells the audit
    /// log and daily usage again. Else what could be read is what there is.
    ///
    /// - Throws: that the new file cannot be written.
    /// - Complexity: O(rows).
    static func carry(
        from path: String, to db: Database, _ journal: JournalExtent, _ goOn: () throws -> Void
    ) throws -> Salvage {
        var salvage = Salvage()
        var told: HistoryWatermark?
        var configuration = Configuration()
        configuration.readonly = true
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }
            do {
                told = try queue.read { try HistoryWatermark.keeping($0, journal) }
            } catch let error as ProjectionError where error.code == .otherJournal {
                throw error
            } catch {
                // No place is known: `isWhole` is false.
            }
            try queue.read { old in
                for (table, order) in ProjectionSchema.historyTables {
                    try salvage.carry(table, order, from: old, to: db, goOn)
                }
            }
        } catch let error as WriteError {
            throw error.cause
        } catch {
            salvage.isWhole = false
        }
        if told == nil { salvage.isWhole = false }
        try ProjectionSchema.fillPlaces(db)
        try UsageSums.makeAnew(db)
        var result = told ?? .nothing(journal)
        if !salvage.isWhole {
            if journal.isWhole {
                for table in ProjectionSchema.toldAgain {
                    try db.execute(sql: "DELETE FROM \(table)")
                }
                result = .nothing(journal)
            } else if told == nil {
                // Rather a gap than anything twice.
                result.history = journal.end
            }
        }
        try result.write(db)
        return salvage
    }

    /// Of the new file, rather than of the damaged one.
    private struct WriteError: Error { var cause: any Error }

    private mutating func carry(
        _ table: String, _ order: String, from old: Database, to new: Database,
        _ goOn: () throws -> Void
    ) throws {
        let wanted = try Self.writing { try new.columns(in: table) }
        guard let found = try? Set(old.columns(in: table).map(\.name)) else {
            isWhole = false
            return
        }
        let columns = wanted.filter { found.contains($0.name) }
        let names = columns.map(\.name).joined(separator: ", ")
        let places = columns.map { _ in "?" }.joined(separator: ", ")
        let insert = try Self.writing {
            try new.makeStatement(
                sql: "INSERT OR IGNORE INTO \(table) (\(names)) VALUES (\(places))")
        }
        // From both ends up to what cannot be read.
        // Of a file of an earlier version the last columns may be missing.
        let order = order.components(separatedBy: ", ").filter(found.contains)
        for direction in [", ", " DESC, "] {
            let by = order.joined(separator: direction) + direction.dropLast(2)
            do {
                let cursor = try Row.fetchCursor(
                    old, sql: "SELECT \(names) FROM \(table) ORDER BY \(by)")
                while let row = try cursor.next() {
                    try Self.writing { try goOn() }
                    guard let values = Self.values(row, columns) else {
                        isWhole = false
                        continue
                    }
                    let isNew = try Self.writing {
                        try insert.execute(arguments: values)
                        return new.changesCount > 0
                    }
                    if isNew { rows += 1 } else { isWhole = false }
                }
                return
            } catch let error as WriteError {
                throw error
            } catch {
                isWhole = false
            }
        }
    }

    private static func writing<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch { throw WriteError(cause: error) }
    }

    /// The row's values, if they are of the types of their columns; nil: they make no sense.
    private static func values(_ row: Row, _ columns: [ColumnInfo]) -> StatementArguments? {
        var values: [DatabaseValue] = []
        for (index, column) in columns.enumerated() {
            let value: DatabaseValue = row[index]
            switch (column.type, value.storage) {
            case (_, .null), ("INTEGER", .int64), ("TEXT", .string), ("BLOB", .blob):
                values.append(value)
            case ("INTEGER", .double(let number)):
                // A sum that once left its range.
                values.append(Int64(saturating: number).databaseValue)
            default: return nil
            }
        }
        return StatementArguments(values)
    }
}

extension Int64 {
    /// The nearest; 0 for no number.
    init(saturating number: Double) {
        self = Int64(exactly: number.rounded()) ?? (number > 0 ? .max : number < 0 ? .min : 0)
    }

    /// The sum, or the nearest that there is.
    func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? (other > 0 ? .max : .min) : sum
    }
}
