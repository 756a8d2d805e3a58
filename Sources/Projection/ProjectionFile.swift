import Foundation
import GRDB
package import Journal
import Limits

/// `projection.sqlite`: opened, made anew, and found out how far it goes.
package struct ProjectionFile {
    let path: String

    package init(path: String) { self.path = path }

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
            switch try pool.read({ try Schema.version(of: $0) }) {
            case Schema.version?: return (pool, nil)
            case nil:
                try pool.write { try Self.make($0, journal) }
                return (pool, nil)
            case let version? where (1..<Schema.version).contains(version):
                try pool.write { try Schema.migrate($0, from: version, journal) }
                return (
                    pool,
                    """
                    \(path) was of version \(version), and is of version \(Schema.version) now: lists \
                    are made anew, and what happened before is kept
                    """
                )
            case let version?:
                try pool.close()
                return try putAside(
                    journal, "version-\(version)", "it is of version \(version), of another release"
                )
            }
        } catch let error as DatabaseError where error.isDamage {
            return try replace(journal, "\(error)")
        } catch let error as ProjectionError where error.code == .otherJournal {
            return try putAside(journal, "other-journal", "it is another journal's")
        }
    }

    /// Makes the state anew, and keeps the history.
    func makeStateAnew(_ pool: DatabasePool, _ journal: JournalExtent) throws {
        try pool.write { try Schema.makeStateAnew($0, journal) }
    }

    /// Makes a new file with the history of a damaged one, as far as that can be read; if any of it cannot, the damaged
    /// file stays beside the new one. Who has the former file open keeps reading that one.
    func replace(
        _ journal: JournalExtent, _ reason: String
    ) throws -> (pool: DatabasePool, notice: String?) {
        let new = path + Self.replacement
        try remove(new)
        let queue = try DatabaseQueue(path: new)
        let salvage = try queue.write { db in
            try Schema.make(db)
            return try Salvage.carry(from: path, to: db, journal)
        }
        try queue.close()
        var kept = "all of its history was taken over"
        if salvage.isWhole {
            try remove(path)
        } else {
            let name = try moveAside("damaged")
            kept = "\(salvage.rows) rows of its history were taken over, and it is kept as \(name)"
        }
        try FileManager.default.moveItem(atPath: new, toPath: path)
        return (try openPool(), "\(path) was damaged (\(reason)): \(kept)")
    }

    /// Keeps the file under another name, and begins with an empty one.
    func putAside(
        _ journal: JournalExtent, _ kind: String, _ reason: String
    ) throws -> (pool: DatabasePool, notice: String?) {
        let name = try moveAside(kind)
        return (try make(journal), "\(path) is made anew, and kept as \(name): \(reason)")
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
                "\(Self.mostAside) files like \(names[0]) are kept already: look at them, and remove them"
            )
        }
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
            let isWhole = try queue.read { try Schema.version(of: $0) } == Schema.version
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

    private func openPool() throws -> DatabasePool {
        try DatabasePool(path: path, configuration: Self.configuration)
    }

    private func make(_ journal: JournalExtent) throws -> DatabasePool {
        try remove(path)
        let pool = try openPool()
        try pool.write { try Self.make($0, journal) }
        return pool
    }

    private static func make(_ db: Database, _ journal: JournalExtent) throws {
        try Schema.make(db)
        try Told.nothing(journal).write(db)
    }

    /// Has everything that is committed reach the disk: commits themselves need not.
    static func sync(_ pool: DatabasePool) throws {
        try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            defer { try? db.execute(sql: "PRAGMA synchronous = NORMAL") }
            try db.execute(sql: "UPDATE position SET syncs = syncs + 1")
        }
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
                guard let known = try Folder.position(db), known.position.place > end,
                    let version = try Schema.version(of: db), version <= Schema.version
                else { return false }
                let journal = JournalExtent(id: known.journal, isWhole: false, end: end)
                if version < Schema.version {
                    try Schema.migrate(db, from: version, journal)
                } else {
                    try Schema.makeStateAnew(db, journal)
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

    private static var configuration: Configuration {
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { db in
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
            throw ProjectionError(.unusable, "a row of the file makes no sense (\(column))")
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

    /// A value that may be missing.
    func optional<T: DatabaseValueConvertible>(_ column: String) -> T? {
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
}

extension Folder {
    /// What a file says about how far it goes; nil: nothing was taken up yet.
    static func position(_ db: Database) throws -> (journal: JournalID, position: JournalPosition)?
    {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM position") else { return nil }
        func word(_ name: String) throws -> UInt64 { UInt64(bitPattern: try row.value(name)) }
        return (
            JournalID(low: try word("journal_low"), high: try word("journal_high")),
            JournalPosition(
                place: JournalPlace(segment: try word("segment"), offset: try row.value("offset")),
                sequence: try word("sequence"))
        )
    }

    /// Takes everything over that the file holds. O(rows of tenants and profiles).
    func load(_ db: Database) throws {
        told = try Told.read(db)
        time = try Int64.fetchOne(db, sql: "SELECT time FROM position") ?? 0
        lastAudit = try Int64.fetchOne(db, sql: "SELECT MAX(id) FROM audit") ?? 0
        auditCount = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM audit") ?? 0
        eventCount = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM event") ?? 0
        let tenants = try Row.fetchCursor(
            db, sql: "SELECT number, state FROM tenant_state ORDER BY number")
        while let row = try tenants.next() {
            guard let state = TenantState(blob: try row.value("state")),
                fold.restore(state, tenant: try row.value("number"))
            else {
                throw ProjectionError(.unusable, "a tenant's row makes no sense")
            }
        }
        let profiles = try Row.fetchCursor(
            db, sql: "SELECT number, tenant, state FROM profile_state ORDER BY number")
        while let row = try profiles.next() {
            guard let state = ProfileState(blob: try row.value("state")),
                fold.restore(
                    StateFold.Profile(state: state, tenant: try row.value("tenant")),
                    profile: try row.value("number"))
            else { throw ProjectionError(.unusable, "a messaging profile's row makes no sense") }
        }
        for row in try Row.fetchAll(db, sql: "SELECT name, value FROM setting") {
            services.set(try row.value("name"), try row.value("value"))
        }
        for words in try Data.fetchAll(db, sql: "SELECT words FROM waiting ORDER BY id") {
            guard words.count.isMultiple(of: 8) else { continue }
            let aligned = words.withUnsafeBytes { bytes in
                (0..<bytes.count / 8).map {
                    bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)
                }
            }
            aligned.withUnsafeBufferPointer(wait)
        }
    }
}
