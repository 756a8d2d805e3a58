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

/// Work that is done in steps: where a slice ends nothing is lost, and nothing is done twice.
@Suite struct SliceTests {
    private static func hook(_ id: String, _ url: String, isEnabled: Bool = true) throws -> String {
        try SettingValue.encode(
            WebhookEndpoint(id: id, url: url, enabled: isEnabled, createdAt: 1, updatedAt: 1))
    }

    /// One frame of lines, events and usage, as everything that was done before a flush is.
    private static func oneFrame(_ service: ProjectedService) throws {
        try service.engine.setSetting("webhook-endpoint/1", hook("1", "https://a.example/"))
        try service.setTenant(TenantSettings(id: "acme"))
        for step in 0..<20 {
            service.charge("acme", spend: 1)
            let status = step % 2 == 0 ? TenantStatus.suspended : .active
            try service.engine.setStatus(ofTenant: "acme", status)
        }
        service.flush()
    }

    /// A frame may have more in it than one slice: the file says how far within it goes.
    @Test(arguments: [false, true]) func framesAreTakenUpInParts(isMadeAnew: Bool) async throws {
        let reference = try ProjectedService()
        try Self.oneFrame(reference)
        try reference.catchUp()
        let expected = try await Shown(reference)
        #expect(expected.events.count == 20 && expected.audit.count == 23)
        for cut in [1, 7, 23] {
            let service = try ProjectedService()
            service.configuration.sliceRecords = 1
            try service.openProjection()
            try Self.oneFrame(service)
            for _ in 0..<cut { #expect(try !service.projection.takeSlice()) }
            // The process ends there; and the state may have to be made anew.
            try service.openProjection { path in
                guard isMadeAnew else { return }
                let queue = try DatabaseQueue(path: path)
                try queue.write { try $0.execute(sql: "UPDATE tenant_state SET state = x'00'") }
                try queue.close()
            }
            try service.catchUp()
            let shown = try await Shown(service)
            // Ids differ with the journal.
            #expect(shown.audit.map(\.kind) == expected.audit.map(\.kind), "cut at \(cut)")
            #expect(shown.events.map(\.kind) == expected.events.map(\.kind))
            #expect(shown.deliveries.count == expected.deliveries.count)
            #expect(shown.days == expected.days)
        }
    }

    /// What concerns any number of rows is done in steps, and meanwhile nothing goes where it no longer should.
    @Test func whatIsOnItsWayFollowsInSteps() async throws {
        let service = try ProjectedService()
        try service.engine.setSetting("webhook-endpoint/1", Self.hook("1", "https://a.example/"))
        try service.engine.setSetting("webhook-endpoint/2", Self.hook("2", "https://b.example/"))
        try service.setTenant(TenantSettings(id: "acme"))
        for _ in 0..<800 {
            try service.engine.setStatus(ofTenant: "acme", .suspended)
            try service.engine.setStatus(ofTenant: "acme", .active)
            service.flush()
        }
        try service.catchUp()
        let places = ["https://a.example/", "https://b.example/"].map { DeliveryPlace(url: $0) }
        #expect(
            try await service.projection.places(due: service.now, after: nil, limit: 9).due
                == places)
        let changes = ["", try Self.hook("2", "https://c.example/")]
        for (index, value) in changes.enumerated() {
            try service.engine.setSetting("webhook-endpoint/\(index + 1)", value)
            service.flush()
            var slices = 0
            while try !service.projection.takeSlice() {
                slices += 1
                let next = try await service.projection.nextDelivery(
                    at: places[index], due: service.now, except: [])
                #expect(next == nil)
                // In the middle of it.
                if slices == 2 { try service.openProjection() }
            }
            #expect(slices > 2)
        }
        let moved = DeliveryPlace(url: "https://c.example/")
        #expect(
            try await service.projection.places(due: service.now, after: nil, limit: 9).due
                == [moved])
        var query = DeliveryQuery()
        query.status = .pending
        let pending = try await service.projection.deliveries(query, Page())
        #expect(pending.total == 1_600)
        #expect(
            pending.rows.allSatisfy {
                $0.channel == .webhook(url: "https://c.example/", failoverURL: "")
            })
    }

    /// Attempts that wait by a clock that was far ahead are due when an operator has it set back.
    @Test func aClockThatIsSetBackEndsPauses() async throws {
        let service = try ProjectedService()
        try service.engine.setSetting("webhook-endpoint/1", Self.hook("1", "https://a.example/"))
        try service.setTenant(TenantSettings(id: "acme"))
        for _ in 0..<600 {
            try service.engine.setStatus(ofTenant: "acme", .suspended)
            try service.engine.setStatus(ofTenant: "acme", .active)
            service.flush()
        }
        try service.catchUp()
        let now = service.now
        try service.openProjection { path in
            let queue = try DatabaseQueue(path: path)
            try queue.write {
                try $0.execute(sql: "UPDATE delivery SET due = \(now) + 30 * 86400000 + id % 9")
            }
            try queue.close()
        }
        try service.catchUp()
        func due() async throws -> [DeliveryPlace] {
            try await service.projection.places(due: now, after: nil, limit: 9).due
        }
        #expect(try await due().isEmpty)
        try service.engine.setSetting(
            AcceptedClock.setting, #"{"wall_clock":"2026-03-27T22:13:20Z"}"#)
        service.flush()
        // In steps, over a restart.
        #expect(try !service.projection.takeSlice())
        try service.openProjection()
        try service.catchUp()
        #expect(try await due() == [DeliveryPlace(url: "https://a.example/")])
        #expect(try await service.projection.nextDue(after: now) == nil)
    }

    /// What a recipient never takes is given up, but nothing for having fallen due while the service was down.
    @Test func whatWaitsTooLongHasFailed() async throws {
        let service = try ProjectedService()
        try service.engine.setSetting("webhook-endpoint/1", Self.hook("1", "https://a.example/"))
        try service.setTenant(TenantSettings(id: "acme"))
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        try service.catchUp()
        service.advance(2 * 3_600_000)
        try service.engine.setStatus(ofTenant: "acme", .active)
        try service.catchUp()
        service.advance(23 * 3_600_000)
        func rows() async throws -> [DeliveryRow] {
            // What is old is looked for once a minute, and at the start.
            try service.openProjection()
            try service.catchUp()
            return try await service.projection.deliveries(DeliveryQuery(), Page()).rows.reversed()
        }
        #expect(try await rows().map(\.status) == [.pending, .pending])
        service.configuration.deliveryGrace = 0
        let late = try await rows()
        #expect(late.map(\.status) == [.failed, .pending])
        // Sent again by hand it has its time again.
        _ = try await service.projection.resend(try #require(late.first).id)
        #expect(try await rows().map(\.status) == [.pending, .pending])
    }

    /// Somebody reads at any time: what is beside the database is bounded all the same.
    @Test(.timeLimit(.minutes(5))) func readersDoNotLetTheLogOfChangesGrow() async throws {
        let service = try ProjectedService()
        let bound = 1 << 20
        service.configuration.walBytes = bound
        try service.openProjection()
        try service.setTenant(TenantSettings(id: "acme"))
        try service.catchUp()
        // Each of two reads until the other has begun its next.
        let begun = Lock<(reads: [Int], isOver: Bool)>(([0, 0], false))
        let projection = service.projection
        @Sendable func read(_ own: Int) async throws {
            while !begun.withLock({ $0.isOver }) {
                try await projection.read { db in
                    _ = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM tenant")
                    let seen = begun.withLock { state in
                        state.reads[own] += 1
                        return state.reads[1 - own]
                    }
                    // Unless it has to wait for the end of this one.
                    let end = ContinuousClock.now + .milliseconds(20)
                    while begun.withLock({ $0.reads[1 - own] == seen && !$0.isOver }),
                        ContinuousClock.now < end
                    {
                        sched_yield()
                    }
                }
            }
        }
        let readers = [0, 1].map { own in Task { try await read(own) } }
        while begun.withLock({ $0.reads.contains(0) }) { await Task.yield() }
        var written = 0
        var before = 0
        for step in 0..<200 {
            var settings = TenantSettings(id: "acme")
            settings.name = "name \(step)"
            try service.setTenant(settings)
            service.charge("acme", spend: 1)
            try service.catchUp()
            let size = try Self.bytes(service.path + "-wal")
            written += max(0, size - before)
            before = size
        }
        begun.withLock { $0.isOver = true }
        for reader in readers { try await reader.value }
        #expect(written > 3 * bound)
        #expect(before < 2 * bound)
    }

    private static func bytes(_ path: String) throws -> Int {
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size]
        return (size as? NSNumber)?.intValue ?? 0
    }

    @Test func profilesOfAClosedTenantCloseInSteps() async throws {
        let service = try ProjectedService()
        try service.setTenant(TenantSettings(id: "acme"))
        for number in 0..<900 {
            try service.setProfile(ProfileSettings(id: "p\(number)", tenantID: "acme"))
            if number % 50 == 0 { service.flush() }
        }
        try service.catchUp()
        #expect(try await service.projection.profiles(ProfileQuery(), Page()).total == 900)
        try service.engine.setStatus(ofTenant: "acme", .closed)
        service.flush()
        #expect(try !service.projection.takeSlice())
        try service.catchUp()
        #expect(try await service.projection.profiles(ProfileQuery(), Page()).total == 0)
    }

    /// Events that wait for a dead recipient are passed over once, and not again with each step.
    @Test func whatIsOnItsWayIsInNobodysWayWhenOldEventsGo() throws {
        let queue = try DatabaseQueue()
        try queue.write { db in
            try ProjectionSchema.make(db)
            for number in 1...3_000 {
                let event = Event(
                    id: "\(number)", kind: .tenantSuspended, occurredAt: Int64(number),
                    tenantID: "acme")
                _ = try EventRows.insert(event, isTest: false, db)
                _ = try EventRows.insertDelivery(
                    of: event.id, to: .webhook(url: "https://dead.example/", failoverURL: ""),
                    now: Int64(number), db)
            }
            try db.execute(sql: "UPDATE delivery SET status = 1, due = NULL WHERE event > 2900000")
            // Each step may look at one batch.
            let cleaning = Cleaning(db: db) { true }
            var last = Int64.min
            var steps = 0
            var isDone = false
            var removed = 0
            while !isDone {
                let step = try cleaning.pruneEvents(
                    after: &last, before: .min, excess: 60 - removed)
                removed += step.removed
                isDone = step.isDone
                steps += 1
            }
            #expect(removed == 60 && steps <= 31)
            #expect(try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM event") == 2_940)
            #expect(try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM delivery") == 2_940)
            #expect(
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM delivery WHERE status = 0")
                    == 2_900)
        }
    }

    /// Addresses of one host have their turn, however much waits for one of them.
    @Test func addressesOfAHostHaveTheirTurn() async throws {
        let service = try ProjectedService()
        try service.catchUp()
        let projection = service.projection
        func enqueue(_ id: String, _ path: String) async throws {
            let event = Event(id: id, kind: .tenantSuspended, occurredAt: 0, tenantID: "acme")
            _ = try await projection.enqueue(
                event, to: .webhook(url: "https://host.example/" + path, failoverURL: ""))
        }
        for number in 0..<50 { try await enqueue("dead\(number)", "dead") }
        for number in 0..<200 { try await enqueue("x\(number)", "p\(number)") }
        try await enqueue("well", "well")
        let place = DeliveryPlace(url: "https://host.example/")
        var underway: [String: Set<Int64>] = [:]
        var seen: [String] = []
        var last = ""
        var rounds = 0
        while rounds < 3 {
            let next = try await projection.nextDelivery(
                at: place, due: service.now, after: last, except: underway, bound: 2)
            switch next {
            case .found(let delivery):
                seen.append(delivery.event.id)
                underway[delivery.endpoint, default: []].insert(delivery.id)
                last = delivery.endpoint
            case .goOn(let endpoint): last = endpoint
            case .none:
                rounds += 1
                last = ""
            }
        }
        // Two of the dead one's, all of the others'.
        #expect(seen.count { $0.hasPrefix("dead") } == 2)
        #expect(seen.count == 203 && seen.contains("well"))
    }

    /// A statement that does not end is interrupted by a stop.
    @Test(.timeLimit(.minutes(10))) func aStopInterrupts() async throws {
        let service = try ProjectedService(isOnSystemDisk: true)
        let isReached = Atomic<Bool>(false)
        service.configuration.trace = { sql in
            if sql.contains("INTO position") {
                isReached.store(true, ordering: .sequentiallyConsistent)
            }
        }
        try service.openProjection()
        try await service.projection.write { db in
            try db.execute(
                sql: """
                    CREATE TEMP VIEW endless AS WITH RECURSIVE n (i) AS
                    (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
                    CREATE TEMP TRIGGER slow AFTER INSERT ON main.position
                    BEGIN SELECT COUNT(*) FROM endless; END
                    """)
        }
        service.projection.start()
        try service.setTenant(TenantSettings(id: "acme"))
        service.flush()
        while !isReached.load(ordering: .sequentiallyConsistent) { await Task.yield() }
        service.projection.stop()
        // What it was about is done when the service starts again.
        service.configuration.trace = nil
        try service.openProjection()
        try service.catchUp()
        #expect(try await service.projection.tenants(TenantQuery(), Page()).total == 1)
    }

    /// Before everything is taken up that was durable at the start there is no list, rather than a part of it.
    @Test func listsAreWholeOrNotThere() async throws {
        let service = try ProjectedService()
        for number in 0..<30 { try service.setTenant(TenantSettings(id: "t\(number)")) }
        service.flush()
        service.configuration.sliceRecords = 10
        func expectNoLists() async {
            await #expect {
                _ = try await service.projection.tenants(TenantQuery(), Page())
            } throws: {
                ($0 as? ProjectionError)?.code == .catchingUp
            }
        }
        try service.openProjection()
        await expectNoLists()
        #expect(try !service.projection.takeSlice())
        await expectNoLists()
        try service.catchUp()
        #expect(try await service.projection.tenants(TenantQuery(), Page()).total == 30)
        // What comes later is in the next list, and keeps nobody waiting.
        try service.setTenant(TenantSettings(id: "late"))
        service.flush()
        #expect(try await service.projection.tenants(TenantQuery(), Page()).total == 30)
        try service.catchUp()
        // Also while the state is made anew.
        try await service.projection.write { db in
            try db.execute(sql: "DROP TABLE tenant_state")
        }
        try service.setTenant(TenantSettings(id: "later"))
        service.flush()
        #expect(try !service.projection.takeSlice())
        await expectNoLists()
        try service.catchUp()
        #expect(try await service.projection.tenants(TenantQuery(), Page()).total == 32)
    }

    /// Whatever the process's mask, nobody else reads it: addresses of webhooks are secrets.
    @Test func nobodyElseReadsTheFiles() throws {
        let service = try ProjectedService()
        func modes() throws -> [Int] {
            try ["", "-wal", "-shm"].map { suffix in
                let attributes = try FileManager.default.attributesOfItem(
                    atPath: service.path + suffix)
                return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? 0
            }
        }
        try service.catchUp()
        #expect(try modes() == [0o600, 0o600, 0o600])
        // Also of a file that an earlier release made.
        try service.openProjection { path in
            for suffix in ["", "-wal", "-shm"] {
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o644], ofItemAtPath: path + suffix)
            }
        }
        try service.catchUp()
        #expect(try modes() == [0o600, 0o600, 0o600])
    }
}
