import Foundation
import GRDB
package import Journal
import Limits

/// `projection.sqlite`: opened, made anew, and found out how far it goes.
package struct ProjectionFile {
    let path: String

    package init(path: String) { self.path = path }

    /// Opens the file; makes it if it is missing, cannot be read, or is of another version.
    ///
    /// - Returns: the pool, and why the file was made anew; nil: it was not.
    func open() throws -> (pool: DatabasePool, reason: String?) {
        guard FileManager.default.fileExists(atPath: path) else {
            return (try makeAnew(), "it was missing")
        }
        do {
            let pool = try DatabasePool(path: path, configuration: Self.configuration)
            let version = try pool.read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
            if version == Schema.version { return (pool, nil) }
            return (try makeAnew(), "it was of version \(version), and this is \(Schema.version)")
        } catch let error as DatabaseError where error.isDamage {
            return (try makeAnew(), "it could not be read: \(error)")
        }
    }

    /// Takes the place of whatever is there. Who has the former file open keeps reading that one.
    func makeAnew() throws -> DatabasePool {
        try remove()
        let pool = try DatabasePool(path: path, configuration: Self.configuration)
        try pool.write { try Schema.make($0) }
        return pool
    }

    private func remove() throws {
        for suffix in ["", "-wal", "-shm"] {
            let name = path + suffix
            if FileManager.default.fileExists(atPath: name) {
                try FileManager.default.removeItem(atPath: name)
            }
        }
    }

    /// Removes the file if it goes further than a journal that was cut, or if it cannot be read. The projection itself
    /// may not notice: as soon as the journal is as long again, there is something where the file ends.
    ///
    /// Nobody else may have the file open.
    /// - Returns: whether there is none any more.
    package func discard(ifBehind end: JournalPlace) throws -> Bool {
        guard FileManager.default.fileExists(atPath: path) else { return false }
        do {
            let queue = try DatabaseQueue(path: path)
            defer { try? queue.close() }
            guard let known = try queue.read({ try Folder.position($0) }) else { return false }
            if known.position.place <= end { return false }
        } catch is DatabaseError {
            // Whatever it is, it would be made anew.
        } catch is ProjectionError {
            // The same.
        }
        try remove()
        return true
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
