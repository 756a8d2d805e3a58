import Access
import Events
import GRDB
import Limits
import Synchronization
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// What runs by itself finds its rows however many there are.
@Suite struct StatementTests {
    /// A database with the tables, and what SQLite knows of their sizes.
    private static func database(rows: Int?) throws -> DatabaseQueue {
        let queue = try DatabaseQueue()
        try queue.write { db in
            try ProjectionSchema.make(db)
            guard let rows else { return }
            try db.execute(sql: "ANALYZE")
            try db.execute(sql: "DELETE FROM sqlite_stat1")
            let indices = try Row.fetchAll(
                db, sql: "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'")
            for index in indices {
                let name: String = try index.value("name")
                let columns = try db.columnCount(ofIndex: name)
                // Each further column tells ten times as many apart; a whole unique key tells all.
                let isUnique = name.hasPrefix("sqlite_autoindex")
                let counts = (1...columns).map { column in
                    column == columns && isUnique ? 1 : max(10, rows / (10 * column * column))
                }
                try db.execute(
                    sql: "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)",
                    arguments: [
                        try index.value("tbl_name") as String, name,
                        ([rows] + counts).map(String.init).joined(separator: " "),
                    ])
            }
            let tables: [String] = try String.fetchAll(
                db,
                sql:
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
            for table in tables {
                try db.execute(
                    sql: "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, NULL, ?)",
                    arguments: [table, "\(rows)"])
            }
            // Takes the numbers up.
            try db.execute(sql: "ANALYZE sqlite_schema")
        }
        return queue
    }

    /// What a plan says that takes as long as there are rows.
    private static func faults(_ statement: StandingStatement, _ db: Database) throws -> [String] {
        let places = statement.sql.count { $0 == "?" }
        let arguments = StatementArguments(Array(repeating: 0, count: places))
        return try Row.fetchAll(
            db, sql: "EXPLAIN QUERY PLAN " + statement.sql, arguments: arguments
        ).map { try $0.value("detail") as String }
            .filter {
                $0.contains("SCAN") || $0.contains("TEMP B-TREE") || $0.contains("AUTOMATIC")
            }
            .filter { $0 != statement.exception?.step && !$0.hasPrefix("SCAN CONSTANT ROW") }
            .filter { step in
                statement.exception.map { !step.hasPrefix($0.step + " USING COVERING") } ?? true
            }
    }

    /// Without what ANALYZE knows, which the service never runs, and with it.
    @Test(arguments: [nil, 1_000, 1_000_000, 100_000_000])
    func plansDoNotGrowWithTheRows(_ rows: Int?) throws {
        let queue = try Self.database(rows: rows)
        for statement in StandingStatement.all {
            let faults = try queue.read { try Self.faults(statement, $0) }
            #expect(faults.isEmpty, "\(statement.name): \(faults)")
        }
    }

    /// The test finds what it is there for: the statement that once took a minute and a half.
    @Test func aPlanThatGrowsIsFound() throws {
        let queue = try Self.database(rows: nil)
        let plan = try queue.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    EXPLAIN QUERY PLAN SELECT number, time FROM event WHERE NOT EXISTS
                    (SELECT 1 FROM delivery WHERE event = event.number AND status = 0)
                    ORDER BY number LIMIT 10
                    """
            ).map { try $0.value("detail") as String }
        }
        #expect(plan.contains { $0.hasPrefix("SCAN") }, "\(plan)")
    }

    /// Exceptions are few, and have a reason; names are the statements' own.
    @Test func theTableIsWhole() {
        #expect(Set(StandingStatement.all.map(\.name)).count == StandingStatement.all.count)
        #expect(StandingStatement.all.allSatisfy { $0.exception?.reason.isEmpty != true })
    }

    /// Whatever the follower and the deliveries do, no statement runs that the table does not have.
    @Test func nothingElseRunsByItself() async throws {
        let service = try ProjectedService(segmentBytes: 32 << 10)
        let seen = Seen()
        service.configuration.trace = { seen.add($0) }
        service.configuration.auditRows = 5
        service.configuration.eventRows = 2
        service.configuration.usageDays = 30
        service.configuration.sumMilliseconds = 0
        service.configuration.cleaningMilliseconds = 0
        try service.openProjection()
        seen.removeAll()
        try await Self.live(service)
        try service.engine.makeCheckpoint()
        try service.restart()
        try await Self.live(service)
        let known = Set(StandingStatement.all.map(\.sql))
        let unknown = seen.all.subtracting(known).filter { sql in
            !["PRAGMA", "BEGIN", "COMMIT", "ROLLBACK"].contains { sql.hasPrefix($0) }
                && !sql.contains("sqlite_master") && !sql.contains("sqlite_schema")
        }
        #expect(unknown.isEmpty, "\(unknown)")
        // What was not met is rare; what is met here must not become less.
        let missing = StandingStatement.all.filter { !seen.all.contains($0.sql) }.map(\.name)
        #expect(
            Set(missing).isSubset(of: [
                "write waiting", "forget waiting", "next recipient", "redirect", "end window",
                "any tenant", "any setting", "has job", "pass over audits", "pass over events",
                "count audits", "count events",
                "give up", "write job", "forget attempts", "write growth", "forget growth",
                "write zone", "forget former_zone", "zones of a tenant", "due later", "have due",
                "waited too long",
            ]), "\(missing)")
    }

    /// Configuration, decisions, deliveries, and time that passes.
    private static func live(_ service: ProjectedService) async throws {
        let endpoint = WebhookEndpoint(
            id: "1", url: "https://a.example/", createdAt: 1, updatedAt: 1)
        try service.engine.setSetting(
            WebhookEndpoint.settingPrefix + "1", SettingValue.encode(endpoint))
        let token = AccessToken(
            id: "0123456789abcdef-0000", name: "billing", scope: .check, tenantIDs: [], hash: "",
            createdAt: 1, expiresAt: nil)
        try service.engine.setSetting(
            AccessToken.settingPrefix + token.id, SettingValue.encode(token))
        var settings = TenantSettings(id: "acme\(service.now)")
        settings.limits.monthlySpendNanos = 1_000
        try service.setTenant(settings)
        let profile = "p\(service.now)"
        try service.setProfile(ProfileSettings(id: profile, tenantID: settings.id))
        service.charge(settings.id, profile, spend: 1_000)
        try service.catchUp()
        // Alone in its slice: only the totals change.
        service.charge(settings.id, spend: 1)
        try service.catchUp()
        for _ in 0..<5 {
            try service.engine.setStatus(ofTenant: settings.id, .active)
            try service.engine.setStatus(ofTenant: settings.id, .suspended)
        }
        refuse(service, settings.id)
        try service.catchUp()
        let projection = service.projection
        let now = service.now
        let waiting = try await projection.pendingDeliveries()
        #expect(waiting.count > 0)
        #expect(try #require(waiting.oldest) <= now)
        for place in try await projection.places(due: now, after: nil, limit: 10).due {
            while let next = try await projection.nextDelivery(at: place, due: now, except: []) {
                let attempt = DeliveryAttempt(
                    number: 1, startedAt: now, finishedAt: now, target: "", status: 200, error: nil)
                try await projection.note(attempt, of: next.id, .delivered)
            }
        }
        #expect(try await projection.pendingDeliveries() == (0, nil))
        _ = try await projection.nextDue(after: now)
        try service.engine.closeProfile(profile)
        try service.engine.setStatus(ofTenant: settings.id, .closed)
        try service.engine.setSetting(WebhookEndpoint.settingPrefix + "1", "")
        service.advance(40 * 86_400_000)
        try service.catchUp()
    }

    /// Refusals of one minute on two lanes, of which the later one is on record first.
    private static func refuse(_ service: ProjectedService, _ suspended: String) {
        let minute: Int64 = 60_000
        // Half a second before a minute begins: on record at once, and the lane's next one waits for a second.
        service.advance(2 * minute - service.now % minute - 500)
        service.charge(suspended, spend: 1)
        // The other lane's turn.
        _ = service.usage(suspended)
        service.advance(600)
        service.charge(suspended, spend: 1)
        service.advance(100)
        service.charge(suspended, spend: 1)
        service.engine.runJournal()
    }
}

/// Statements that ran. Any thread.
final class Seen: Sendable {
    private let texts = Mutex<Set<String>>([])
    var all: Set<String> { texts.withLock { $0 } }
    func add(_ text: String) { texts.withLock { _ = $0.insert(text) } }
    func removeAll() { texts.withLock { $0.removeAll() } }
}

extension Database {
    fileprivate func columnCount(ofIndex name: String) throws -> Int {
        try Row.fetchAll(self, sql: "PRAGMA index_info(\(name))").count
    }
}
