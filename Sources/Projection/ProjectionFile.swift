import CLinux
import Foundation
import GRDB
import Glibc
package import Journal
import Limits

/// `projection.sqlite`: opened, made anew, and found out how far it goes.
package struct ProjectionFile {
    let path: String

    /// Called with each SQL statement; for tests.
    private let trace: (@Sendable (String) -> Void)?

    package init(path: String) { self.init(path: path, trace: nil) }

    init(path: String, trace: (@Sendable (String) -> Void)?) {
        self.path = path
        self.trace = trace
    }

    /// Opens the file, or makes it. What cannot be used as it stands is never thrown away: a file of an earlier version
    /// keeps its history, a damaged one hands over what can be read, and whatever is not taken over whole stays beside
    /// it under another name.
    ///
    /// - Returns: the pool, and what had to be done; nil: nothing that anybody need know.
    /// - Complexity: O(1); of an earlier version or a damaged file O(rows).
    func open(_ journal: JournalExtent) throws -> (pool: DatabasePool, notice: String?) {
        try endReplacing()
        guard exists(path) else { return (try make(journal), nil) }
        do {
            let pool = try openPool()
            switch try pool.read({ try ProjectionSchema.version(of: $0) }) {
            case ProjectionSchema.version?:
                if try pool.read({ try ProjectionSchema.isComplete($0) }) { return (pool, nil) }
                try pool.write {
                    try ProjectionSchema.migrate($0, from: ProjectionSchema.version, journal)
                }
                return (
                    pool,
                    """
                    \(path) is from before limits or resources were added: lists are rebuilt, \
                    the history is kept
                    """
                )
            case nil:
                try pool.write { try Self.make($0, journal) }
                return (pool, nil)
            case let version? where (1..<ProjectionSchema.version).contains(version):
                try pool.write { try ProjectionSchema.migrate($0, from: version, journal) }
                return (
                    pool,
                    """
                    \(path) was upgraded from version \(version) to \(ProjectionSchema.version): lists \
                    are rebuilt, the history is kept
                    """
                )
            case let version?:
                try pool.close()
                return try putAside(
                    journal, "version-\(version)", "its version \(version) is of another release"
                )
            }
        } catch let error as DatabaseError where error.isDamage {
            return try replace(journal, ProjectionError.reason(of: error))
        } catch let error as ProjectionError where error.code == .otherJournal {
            return try putAside(journal, "other-journal", "it belongs to another journal")
        }
    }

    /// Makes the state anew, and keeps the history.
    func makeStateAnew(_ pool: DatabasePool, _ journal: JournalExtent) throws {
        try pool.write { try ProjectionSchema.makeStateAnew($0, journal) }
    }

    /// Makes a new file with the history of a damaged one, as far as that can be read; if any of it cannot, the damaged
    /// file stays beside the new one. Who has the former file open keeps reading that one.
    ///
    /// - Parameter goOn: throws if the service stops.
    func replace(
        _ journal: JournalExtent, _ reason: String, _ goOn: () throws -> Void = {}
    ) throws -> (pool: DatabasePool, notice: String?) {
        let new = path + Self.replacement
        try remove(new)
        try Self.hide(new)
        let queue = try DatabaseQueue(path: new)
        let salvage = try queue.write { db in
            try ProjectionSchema.make(db)
            return try Salvage.carry(from: path, to: db, journal, goOn)
        }
        try queue.close()
        var kept = "all of its history was recovered"
        if salvage.isWhole {
            try remove(path)
        } else {
            let name = try moveAside("damaged")
            kept = "\(salvage.rows) rows of its history were recovered, and it is kept as \(name)"
        }
        try FileManager.default.moveItem(atPath: new, toPath: path)
        return (try openPool(), "\(path) was damaged (\(reason)): \(kept)")
    }

    /// Keeps the file under another name, and begins with an empty one.
    func putAside(
        _ journal: JournalExtent, _ kind: String, _ reason: String
    ) throws -> (pool: DatabasePool, notice: String?) {
        let name = try moveAside(kind)
        return (
            try make(journal),
            "\(path) was replaced, and the old file is kept as \(name): \(reason)"
        )
    }

    // MARK: Names

    /// Behind the name of a file that is to take the place of a damaged one.
    private static let replacement = ".new"
    /// Files of a kind that are kept aside.
    private static let mostAside = 9

    private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: name) }

    private func moveAside(_ kind: String) throws -> String {
        let names = (1...Self.mostAside).map { "\(path).\(kind)-\($0)" }
        guard let name = names.first(where: { !exists($0) }) else {
            throw ProjectionError(
                .unusable,
                "\(Self.mostAside) files like \(names[0]) exist already: check and remove them"
            )
        }
        try Self.hide(path)
        try FileManager.default.moveItem(atPath: path, toPath: name)
        if exists(path + "-wal") {
            try FileManager.default.moveItem(atPath: path + "-wal", toPath: name + "-wal")
        }
        try remove(path)
        return name
    }

    /// A replacement is whole as soon as its tables are there.
    private func endReplacing() throws {
        let new = path + Self.replacement
        guard exists(new) else { return }
        if !exists(path) {
            let queue = try DatabaseQueue(path: new)
            let isWhole =
                try queue.read { try ProjectionSchema.version(of: $0) } == ProjectionSchema.version
            try queue.close()
            if isWhole { return try FileManager.default.moveItem(atPath: new, toPath: path) }
        }
        try remove(new)
    }

    private func remove(_ name: String) throws {
        for suffix in ["", "-wal", "-shm", "-journal"] where exists(name + suffix) {
            try FileManager.default.removeItem(atPath: name + suffix)
        }
    }

    // MARK: Pools

    /// Has nobody else read or write a file, whatever the process's mask; what SQLite puts beside it has the same mode.
    private static func hide(_ path: String) throws {
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        // What is wrong SQLite says better.
        guard file >= 0 else { return }
        _ = fchmod(file, 0o600)
        close(file)
        for suffix in ["-wal", "-shm"] { _ = chmod(path + suffix, 0o600) }
    }

    private func openPool() throws -> DatabasePool {
        try Self.hide(path)
        return try DatabasePool(path: path, configuration: configuration)
    }

    private func make(_ journal: JournalExtent) throws -> DatabasePool {
        try remove(path)
        let pool = try openPool()
        try pool.write { try Self.make($0, journal) }
        return pool
    }

    private static func make(_ db: Database, _ journal: JournalExtent) throws {
        try ProjectionSchema.make(db)
        try HistoryWatermark.nothing(journal).write(db)
    }

    /// Has everything that is committed reach the disk: commits themselves need not.
    static func sync(_ pool: DatabasePool) throws {
        try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            defer { try? db.execute(sql: "PRAGMA synchronous = NORMAL") }
            try db.run(.sync)
        }
    }

    /// Bytes of the log of changes.
    var walBytes: Int {
        var status = stat()
        return stat(path + "-wal", &status) == 0 ? Int(status.st_size) : 0
    }

    /// Has the log of changes begin anew. SQLite does so by itself only at a moment at which nobody reads: here those who
    /// read come to their end, and whoever wants to read meanwhile waits for that.
    ///
    /// - Throws: the disk is full.
    static func truncate(_ pool: DatabasePool) throws {
        try pool.barrierWriteWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
    }

    /// Has the state begin anew if the file goes further than a journal that was cut, and keeps the history: it was
    /// shown. The projection itself may not notice: as soon as the journal is as long again, there is something where
    /// the file ends. A file that cannot be read stays as it is; the projection sees to it.
    ///
    /// Nobody else may have the file open.
    /// - Returns: whether it went further.
    package func forget(behind end: JournalPlace) throws -> Bool {
        guard exists(path) else { return false }
        do {
            let queue = try DatabaseQueue(path: path)
            defer { try? queue.close() }
            return try queue.write { db in
                guard let known = try ProjectionWriter.position(db),
                    known.position.place > end
                        || (known.position.place == end && known.records > 0),
                    let version = try ProjectionSchema.version(of: db),
                    version <= ProjectionSchema.version
                else { return false }
                let journal = JournalExtent(id: known.journal, isWhole: false, end: end)
                if version < ProjectionSchema.version {
                    try ProjectionSchema.migrate(db, from: version, journal)
                } else {
                    try ProjectionSchema.makeStateAnew(db, journal)
                }
                return true
            }
        } catch let error as DatabaseError where error.isDamage {
            return false
        } catch is ProjectionError {
            return false
        }
    }

    /// Readers at a time, each on its own connection.
    private static let readers = 4
    /// For so long they and the writer wait for each other.
    private static let busySeconds = 5

    private var configuration: Configuration {
        let trace = trace
        var configuration = Configuration()
        configuration.maximumReaderCount = Self.readers
        configuration.busyMode = .timeout(TimeInterval(Self.busySeconds))
        configuration.prepareDatabase { db in
            if let trace {
                db.trace { event in
                    if case .statement(let statement) = event { trace(statement.sql) }
                }
            }
            // Position and content are one transaction, and the journal is the truth: what a crash takes of the last
            // transactions is read again.
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            try db.execute(sql: "PRAGMA cache_size = -16000")
            if !db.configuration.readonly {
                try db.execute(sql: "PRAGMA journal_size_limit = 67108864")
                try db.execute(sql: "PRAGMA wal_autocheckpoint = 4000")
            }
        }
        return configuration
    }
}

extension Row {
    /// A value that must be there and of that type; in a damaged file anything may be.
    func value<T: DatabaseValueConvertible>(_ column: String) throws -> T {
        let stored: DatabaseValue = self[column]
        guard let value = T.fromDatabaseValue(stored) else {
            throw ProjectionError(.unusable, "a row of the file is invalid (\(column))")
        }
        return value
    }

    /// A number; one that does not fit is the nearest that does.
    func saturated(_ column: String) -> Int64 {
        let stored: DatabaseValue = self[column]
        return switch stored.storage {
        case .int64(let number): number
        case .double(let number): Int64(saturating: number)
        default: 0
        }
    }

    /// A value that may be missing, with its column too: in a file of an earlier version.
    func optional<T: DatabaseValueConvertible>(_ column: String) -> T? {
        guard hasColumn(column) else { return nil }
        let stored: DatabaseValue = self[column]
        return T.fromDatabaseValue(stored)
    }
}

extension DatabaseError {
    /// The file is no good, rather than the disk or the moment: it is damaged, or its tables are not those of the schema.
    var isDamage: Bool {
        [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT, .SQLITE_ERROR, .SQLITE_CONSTRAINT]
            .contains(resultCode.primaryResultCode)
    }

    /// The file, or one of those beside it, cannot be opened.
    var isOfOpening: Bool { resultCode.primaryResultCode == .SQLITE_CANTOPEN }
}

extension ProjectionWriter {
    /// No segment is longer (`JournalPlace.packed`).
    private static let mostOffset = 32 << 30

    /// What a file says about how far it goes; nil: nothing was taken up yet.
    ///
    /// - Returns: and how many records of the frame that begins there were.
    static func position(
        _ db: Database
    ) throws -> (journal: JournalID, position: JournalPosition, records: Int)? {
        guard let row = try db.row(.position) else { return nil }
        func word(_ name: String) throws -> UInt64 { UInt64(bitPattern: try row.value(name)) }
        let (segment, offset) = (try word("segment"), try row.value("offset") as Int)
        guard (1...UInt64(UInt32.max)).contains(segment), (0...mostOffset).contains(offset),
            offset.isMultiple(of: 8)
        else {
            throw ProjectionError(
                .unusable, "the row with the file's position is invalid")
        }
        return (
            JournalID(low: try word("journal_low"), high: try word("journal_high")),
            JournalPosition(
                place: JournalPlace(segment: segment, offset: offset),
                sequence: try word("sequence")),
            // Missing in files of earlier versions.
            row.optional("records") ?? 0
        )
    }
}
