import Events
import Foundation
import GRDB
import Journal
import Limits
import Synchronization
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// Files that begin anew: what happened before stays, and is neither counted nor sent twice.
@Suite struct KeepingTests {
    private let service: ProjectedService
    private let notices = Notices()
    private var projection: Projection { service.projection }

    init() throws {
        service = try ProjectedService(segmentBytes: 32 << 10)
        service.configuration.notice = notices.add
        try service.openProjection()
        try set("1")
    }

    private func set(_ id: String, isEnabled: Bool = true) throws {
        try service.engine.setSetting(
            WebhookEndpoint.settingPrefix + id,
            SettingValue.encode(
                WebhookEndpoint(
                    id: id, url: "https://\(id).example/", enabled: isEnabled, createdAt: 1,
                    updatedAt: 1)))
    }

    /// Days of usage, suspensions and lines, and a journal that begins with a checkpoint.
    private func live() throws {
        for tenant in ["alpha", "bravo"] {
            var settings = TenantSettings(id: tenant)
            settings.limits.monthlySpendNanos = 1_000_000
            try service.setTenant(settings)
        }
        for step in 0..<1_200 {
            service.charge(step % 2 == 0 ? "alpha" : "bravo", spend: Int64(step))
            if step % 10 == 9 { service.flush() }
            if step % 5 == 4 {
                let status = step % 10 == 4 ? TenantStatus.suspended : .active
                try service.engine.setStatus(ofTenant: "alpha", status, reason: "step \(step) ends")
            }
            if step % 50 == 49 { service.advance(3_600_000) }
            if step % 300 == 299 {
                try service.catchUp()
                try service.engine.makeCheckpoint()
            }
        }
        #expect(try #require(try service.disk.segmentNumbers().first) > 1)
        try service.catchUp()
    }

    /// What the journal has gone on with when the file begins anew.
    private func goOn() throws {
        service.charge("bravo", spend: 7)
        try service.engine.setStatus(ofTenant: "bravo", .suspended, reason: "behind the file")
        service.flush()
    }

    /// Nothing is missing and nothing is there twice, though the file was behind.
    private func expectOnlyWhatCame(after before: Shown) async throws {
        try service.catchUp()
        let after = try await Shown(service)
        #expect(after.audit.dropFirst() == before.audit[...])
        #expect(after.audit.first?.reference == "behind the file")
        #expect(after.events.dropFirst() == before.events[...])
        #expect(after.deliveries.count == before.deliveries.count + 1)
        let spent = before.days["bravo"]?.reduce(0) { $0 + $1.committed[.spend] }
        #expect(
            after.days["bravo"]?.reduce(0) { $0 + $1.committed[.spend] } == (spent ?? 0) + 7)
        #expect(after.days["alpha"] == before.days["alpha"])
        try await expectAgreement(service)
    }

    private static func change(_ path: String, _ sql: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    /// Turns usage into what it was up to version 10: by day, whatever for.
    private static let withoutActions = """
        ALTER TABLE usage_daily RENAME TO usage_now;
        CREATE TABLE usage_daily (
            day INTEGER NOT NULL, tenant INTEGER NOT NULL, profile INTEGER NOT NULL,
            spend INTEGER NOT NULL DEFAULT 0, extensions INTEGER NOT NULL DEFAULT 0,
            dids INTEGER NOT NULL DEFAULT 0, seconds INTEGER NOT NULL DEFAULT 0,
            concurrent_calls INTEGER NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0,
            allowed INTEGER NOT NULL, denied INTEGER NOT NULL, open INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (day, tenant, profile)) WITHOUT ROWID;
        INSERT INTO usage_daily SELECT day, tenant, profile, SUM(spend), SUM(extensions),
        SUM(dids), SUM(seconds), SUM(concurrent_calls), SUM(messages), SUM(allowed), SUM(denied),
        SUM(open) FROM (SELECT day, tenant, profile, spend, extensions, dids, seconds,
        concurrent_calls, messages, allowed, denied, open FROM usage_now WHERE profile > -2
        UNION ALL SELECT day, tenant, profile, spend, extensions, dids, seconds,
        concurrent_calls, messages, allowed, denied, open FROM usage_delta)
        GROUP BY day, tenant, profile;
        DROP TABLE usage_now; DROP TABLE usage_delta; DROP TABLE usage_hourly;
        DROP TABLE usage_monthly; DROP TABLE usage_note; DROP TABLE refusal_hourly;
        DELETE FROM refusal_daily WHERE tenant < 0;
        PRAGMA user_version = 10
        """

    /// Turns a file into one of the first version.
    private static let firstVersion = """
        DROP INDEX delivery_place;
        DROP INDEX delivery_endpoint;
        DROP INDEX delivery_recipient;
        ALTER TABLE delivery DROP COLUMN place;
        ALTER TABLE delivery DROP COLUMN recipient;
        ALTER TABLE delivery DROP COLUMN transition;
        ALTER TABLE delivery DROP COLUMN begun;
        ALTER TABLE position DROP COLUMN syncs;
        ALTER TABLE position DROP COLUMN records;
        ALTER TABLE position DROP COLUMN lines;
        ALTER TABLE position DROP COLUMN events;
        \(withoutActions);
        ALTER TABLE usage_daily DROP COLUMN open;
        DROP INDEX audit_refusals;
        ALTER TABLE audit DROP COLUMN minute;
        ALTER TABLE audit DROP COLUMN count;
        ALTER TABLE audit DROP COLUMN last;
        ALTER TABLE audit DROP COLUMN trace;
        DROP TABLE refusal_daily;
        DROP TABLE growth;
        DROP TABLE former_zone;
        DROP TABLE job;
        DROP TABLE told;
        PRAGMA user_version = 1
        """

    @Test func filesOfEarlierVersionsKeepTheirHistory() async throws {
        try live()
        let before = try await Shown(service)
        #expect(before.audit.count > 25 && before.events.count > 20 && !before.days.isEmpty)
        try goOn()
        try service.restart { try Self.change($0, Self.firstVersion) }
        try await expectOnlyWhatCame(after: before.inFirstVersion)
        #expect(notices.texts.contains { $0.contains("from version 1") })
        // Deliveries of before go on.
        let due = try await projection.places(due: service.now, after: nil, limit: 10).due
        #expect(due == [DeliveryPlace(url: "https://1.example/")])
    }

    /// What was used before actions were told apart is there, by day and month; what comes is by action and hour.
    @Test func usageOfEarlierVersionsHasNoActions() async throws {
        try live()
        let before = try await Shown(service)
        let march = try #require(InvoiceCycle("2026-03"))
        let fresh = try await projection.invoices(InvoiceQuery(march), nil)
        #expect(fresh.basis.byActionSince == 0 && fresh.totals.spend(nil) == 0)
        let upgradedAt = service.now
        try service.restart { try Self.change($0, Self.withoutActions) }
        try service.catchUp()
        let after = try await Shown(service)
        #expect(after.days == before.days && after.months == before.months)
        var charge = CheckOperation(tenantID: "alpha", amounts: [.spend: 5])
        charge.action = .sendMessage
        charge.mode = .commit
        service.advance(3_600_000)
        #expect(service.check(charge).decision == .allowed)
        try service.catchUp()
        let report = try await projection.invoices(InvoiceQuery(march), nil)
        #expect(report.totals.spend(nil) == fresh.totals.spend)
        #expect(report.totals.spend(.sendMessage) == 5)
        #expect(report.totals.spend == fresh.totals.spend + 5)
        #expect((1...upgradedAt).contains(report.basis.byActionSince))
        let hours = try #require(
            try await projection.series(
                SeriesQuery(
                    .hour, from: upgradedAt / 3_600_000 * 3_600_000 - 86_400_000,
                    to: upgradedAt / 3_600_000 * 3_600_000 + 86_400_000)))
        #expect(hours.points.reduce(Int64(0)) { $0 + $1.figures.spend } == 5)
    }

    /// One that cannot be taken over as it stands still says how far its history goes.
    @Test func damagedFilesOfEarlierVersionsKeepTheirHistory() async throws {
        try live()
        let before = try await Shown(service)
        try goOn()
        try service.restart {
            let sql = Self.firstVersion + "; CREATE INDEX audit_refusals ON audit (tenant)"
            try Self.change($0, sql)
        }
        try await expectOnlyWhatCame(after: before.inFirstVersion)
        #expect(notices.texts.contains { $0.contains("was damaged") })
    }

    /// A file that was made before a limit and a resource were added has no columns for them.
    @Test func filesOfFewerLimitsKeepTheirHistory() async throws {
        try live()
        let before = try await Shown(service)
        #expect(before.audit.count > 25 && before.events.count > 20 && !before.days.isEmpty)
        try goOn()
        try service.restart {
            try Self.change(
                $0,
                """
                ALTER TABLE tenant_state DROP COLUMN tenant_dids;
                ALTER TABLE usage_daily DROP COLUMN dids;
                ALTER TABLE growth DROP COLUMN dids
                """)
        }
        try await expectOnlyWhatCame(after: before)
        #expect(notices.texts.contains { $0.contains("before limits or resources were added") })
        // The next start finds nothing to do.
        let count = notices.texts.count
        try service.restart()
        #expect(notices.texts.count == count)
    }

    /// A state that makes no sense, or one that the journal does not go on from.
    @Test(arguments: [
        "UPDATE tenant_state SET state = x'00'", "UPDATE setting SET name = CAST(x'FF' AS BLOB)",
        "UPDATE position SET offset = offset + 8",
    ])
    func statesThatMakeNoSenseLeaveTheHistory(_ sql: String) async throws {
        try live()
        let before = try await Shown(service)
        try goOn()
        try service.restart { try Self.change($0, sql) }
        try await expectOnlyWhatCame(after: before)
    }

    @Test func damagedFilesHandOverWhatCanBeRead() async throws {
        try live()
        let before = try await Shown(service)
        let middle = before.audit[before.audit.count / 2].reference
        #expect(middle.hasPrefix("step "))
        try goOn()
        try service.restart { path in
            try Self.change(path, "PRAGMA user_version")
            let queue = try DatabaseQueue(path: path)
            try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            try queue.close()
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            // The page of a line of the log: an event has its reason in JSON.
            var from = bytes.startIndex
            while let found = bytes.range(of: Data(middle.utf8), in: from..<bytes.endIndex) {
                from = found.upperBound
                if bytes[found.lowerBound - 1] == UInt8(ascii: "\"") { continue }
                let page = found.lowerBound / 4_096 * 4_096
                bytes.replaceSubrange(
                    page..<page + 4_096, with: Data(repeating: 0x55, count: 4_096))
            }
            try bytes.write(to: URL(fileURLWithPath: path))
        }
        try service.catchUp()
        // If the follower does not come across it, a query does.
        _ = try? await Shown(service)
        try service.catchUp()
        let after = try await Shown(service)
        #expect(FileManager.default.fileExists(atPath: service.path + ".damaged-1"))
        #expect(notices.texts.contains { $0.contains(".damaged-1") })
        #expect(after.days["alpha"] == before.days["alpha"])
        let lines = Set(after.audit.map(\.id))
        #expect(lines.count == after.audit.count)
        let lost = before.audit.filter { !lines.contains($0.id) }
        #expect(!lost.isEmpty && lost.count < before.audit.count)
        #expect(Set(after.events.map(\.id)).count == after.events.count)
        #expect(after.deliveries.count <= before.deliveries.count + 1)
        try await expectAgreement(service)
    }

    @Test func filesThatCannotBeUsedAreKeptAside() async throws {
        try live()
        func kept(_ kind: String) -> Bool {
            FileManager.default.fileExists(atPath: "\(service.path).\(kind)-1")
        }
        try service.restart { try Self.change($0, "PRAGMA user_version = 99") }
        #expect(kept("version-99"))
        try service.catchUp()
        try await expectAgreement(service)
        try service.restart { try Self.change($0, "UPDATE position SET journal_low = 5") }
        try service.catchUp()
        #expect(kept("other-journal"))
        try await expectAgreement(service)
        for number in 1...10 {
            do {
                try service.restart { path in
                    try ProjectedService.removeFile(path)
                    try Data("no database, whatever it is".utf8).write(
                        to: URL(fileURLWithPath: path))
                }
                #expect(number < 10)
            } catch let error as ProjectionError {
                #expect(number == 10 && error.reason.contains("check and remove them"))
            }
        }
    }

    /// A replacement that the process did not put in its place is put there, or was not whole.
    @Test func replacingEndsWithTheNextStart() async throws {
        try live()
        let before = try await Shown(service)
        try service.restart { path in
            let queue = try DatabaseQueue(path: path)
            try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            try queue.close()
            try FileManager.default.moveItem(atPath: path, toPath: path + ".new")
            try ProjectedService.removeFile(path)
        }
        try service.catchUp()
        #expect(try await Shown(service) == before)
        try service.openProjection { path in
            try Data().write(to: URL(fileURLWithPath: path + ".new"))
        }
        try service.catchUp()
        #expect(try await Shown(service) == before)
        #expect(!FileManager.default.fileExists(atPath: service.path + ".new"))
    }

    /// The oldest checkpoint may go at any time: after that has happened the newest is where it begins.
    @Test func whereTheOldestCheckpointWentItBeginsWithTheNewest() throws {
        try live()
        let checkpoints = try service.disk.checkpointNumbers()
        try #require(checkpoints.count > 1)
        let feed = try #require(service.engine.journalFeed)
        func ingester(_ name: String, _ goOn: @escaping () throws -> Void = {}) throws
            -> JournalIngester
        {
            try JournalIngester(
                feed, service.engine.clock, service.engine.configuration.capacity,
                service.configuration, path: service.path + name, goOn: goOn)
        }
        func lines(_ ingester: JournalIngester) throws -> Int {
            while try ingester.takeSlice(isDamaged: false).hasMore {}
            return try #require(ingester.writer).auditCount
        }
        let all = try lines(try ingester("-1"))
        let late = try ingester("-2")
        late.beginsLate = true
        let latest = try lines(late)
        #expect(latest < all)
        // Behind what is loaded of an empty file it looks at the checkpoint, and then begins to take it up.
        var calls = 0
        let disk = service.disk
        let third = try ingester("-3") {
            calls += 1
            if calls == 5 { try disk.remove(JournalFiles.checkpoint(checkpoints[0])) }
        }
        #expect(!third.beginsLate)
        #expect(try lines(third) == latest)
        #expect(third.beginsLate)
    }

    // MARK: Sending

    private func statuses() async throws -> [DeliveryRow.Status] {
        try await projection.deliveries(DeliveryQuery(), Page(size: 250)).rows.map(\.status)
    }

    private func note(_ id: Int64, _ outcome: DeliveryOutcome) async throws {
        let attempt = DeliveryAttempt(
            number: 1, startedAt: 1, finishedAt: 2, target: "", status: nil, error: nil)
        try await projection.note(attempt, of: id, outcome)
    }

    private func suspend(_ tenants: String...) throws {
        for tenant in tenants {
            try service.setTenant(TenantSettings(id: tenant))
            try service.engine.setStatus(ofTenant: tenant, .suspended)
            service.advance(1_000)
        }
        service.flush()
    }

    @Test func whatIsDoneStaysDone() async throws {
        try suspend("a", "b", "c")
        try service.catchUp()
        let rows = try await projection.deliveries(DeliveryQuery(), Page()).rows
        try await note(rows[0].id, .delivered)
        try await note(rows[1].id, .failed)
        let before = try await projection.deliveries(DeliveryQuery(), Page()).rows
        for sql in ["UPDATE tenant_state SET state = x'00'", Self.firstVersion] {
            try service.restart { try Self.change($0, sql) }
            try service.catchUp()
            #expect(try await projection.deliveries(DeliveryQuery(), Page()).rows == before)
            let place = DeliveryPlace(url: "https://1.example/")
            let due = try await projection.nextDelivery(at: place, due: service.now, except: [])
            #expect(due?.id == rows[2].id)
            #expect(
                try await projection.nextDelivery(
                    at: place, due: service.now, except: [rows[2].id]) == nil)
        }
    }

    /// Nobody knows what a file that is gone has sent: what is as young as attempts go on for is sent again, to those who
    /// still want it.
    @Test func ofAFileThatIsGoneOnlyWhatIsYoungIsSent() async throws {
        try set("2")
        try suspend("old")
        service.advance(service.configuration.attemptsGoOn)
        try suspend("young")
        try service.engine.setSetting(WebhookEndpoint.settingPrefix + "2", "")
        service.flush()
        service.configuration.sliceRecords = 1
        try service.restart(ProjectedService.removeFile)
        var slices = 0
        while try !projection.takeSlice() {
            slices += 1
            #expect(try await projection.places(due: .max, after: nil, limit: 10).due.isEmpty)
        }
        #expect(slices > 1)
        let rows = try await projection.deliveries(DeliveryQuery(), Page()).rows
        #expect(rows.allSatisfy { $0.event.tenantID == "young" })
        let pending = rows.filter { $0.status == .pending }
        #expect(
            pending.map(\.channel) == [.webhook(url: "https://1.example/", failoverURL: "")])
        #expect(
            try await projection.places(due: service.now, after: nil, limit: 10).due
                == [DeliveryPlace(url: "https://1.example/")])
        #expect(try await projection.events(EventQuery(), Page()).total == 2)
        // What is raised from now on is sent, however late it is taken up.
        try suspend("late")
        service.advance(service.configuration.attemptsGoOn * 2)
        try service.openProjection()
        try service.catchUp()
        #expect(try await projection.deliveries(DeliveryQuery(), Page()).total == rows.count + 1)
    }

    // MARK: Power

    /// Copies the file whenever a commit is synced: at least this is left when the power fails.
    private final class Synced: TransactionObserver, Sendable {
        let path: String
        private let files = Mutex<[(suffix: String, bytes: Data)]>([])

        init(_ path: String) { self.path = path }

        func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool { true }
        func databaseDidChange(with event: DatabaseEvent) {}
        func databaseDidRollback(_ db: Database) {}
        func databaseDidCommit(_ db: Database) {
            guard (try? Int.fetchOne(db, sql: "PRAGMA synchronous")) == 2 else { return }
            let path = path
            files.withLock {
                $0 = ["", "-wal"].compactMap { suffix in
                    (try? Data(contentsOf: URL(fileURLWithPath: path + suffix)))
                        .map { (suffix, $0) }
                }
            }
        }

        func restore() throws {
            try ProjectedService.removeFile(path)
            for (suffix, bytes) in files.withLock({ $0 }) {
                try bytes.write(to: URL(fileURLWithPath: path + suffix))
            }
        }
    }

    /// Segments go only when the disk has what was taken up of them.
    @Test func powerLossTakesNoHistory() async throws {
        let synced = Synced(service.path)
        try await projection.write {
            $0.add(transactionObserver: synced, extent: .databaseLifetime)
        }
        try live()
        let before = try await Shown(service)
        try service.restart { _ in try synced.restore() }
        try service.catchUp()
        let after = try await Shown(service)
        #expect(after.audit == before.audit)
        #expect(after.days == before.days)
        #expect(after.events == before.events)
    }
}

extension Shown {
    /// What of it a file of the first version holds: which limits refused, and how often a line's refusal came, it does
    /// not say.
    fileprivate var inFirstVersion: Shown {
        var shown = self
        for index in shown.audit.indices {
            (shown.audit[index].count, shown.audit[index].lastTime) = (1, shown.audit[index].time)
        }
        for id in shown.days.keys {
            for index in (shown.days[id] ?? []).indices { shown.days[id]?[index].refusals = [:] }
        }
        return shown
    }
}

/// What the projection told the one who looks after it.
final class Notices: Sendable {
    private let kept = Mutex<[String]>([])
    var texts: [String] { kept.withLock { $0 } }

    @Sendable func add(_ text: String) { kept.withLock { $0.append(text) } }
}
