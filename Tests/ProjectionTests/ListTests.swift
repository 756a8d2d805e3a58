import Engine
import Events
import Foundation
import GRDB
import Limits
import Synchronization
import TestKit
import Testing

@testable import Projection

/// Lists, their order and their pages; daily usage; the outbox; what time brings.
@Suite struct ListTests {
    private let service: ProjectedService
    private var projection: Projection { service.projection }

    init() throws {
        service = try ProjectedService()
        for (index, id) in ["delta", "alpha", "charlie", "bravo"].enumerated() {
            var settings = TenantSettings(id: id, name: "Name \(9 - index)_%")
            settings.limits.monthlySpendNanos = 1_000
            if index == 3 { settings.limits = TenantLimits() }
            try service.setTenant(settings)
            service.advance(10)
        }
    }

    private func ids(_ query: TenantQuery, _ page: Page = Page()) async throws -> [String] {
        try service.catchUp()
        return try await projection.tenants(query, page).rows.map(\.settings.id)
    }

    @Test func orders() async throws {
        service.charge("charlie", spend: 400)
        service.record(
            RecordOperation(tenantID: "alpha", amounts: [.spend: 300, .callSeconds: 60, .dids: 1]))
        service.record(
            RecordOperation(tenantID: "bravo", amounts: [.spend: 5_000, .extensions: 2]))
        // What is held counts for how near a limit is.
        service.check(CheckOperation(tenantID: "alpha", amounts: [.spend: 600]))
        var query = TenantQuery()
        #expect(try await ids(query) == ["alpha", "bravo", "charlie", "delta"])
        query.sort = .createdAt
        #expect(try await ids(query) == ["delta", "alpha", "charlie", "bravo"])
        query.sort = .name
        #expect(try await ids(query) == ["bravo", "charlie", "alpha", "delta"])
        query.descending = true
        #expect(try await ids(query) == ["delta", "alpha", "charlie", "bravo"])
        query.sort = .nearestToLimit
        #expect(try await ids(query).prefix(2) == ["alpha", "charlie"])
        query.sort = .limit(.tenantMonthlySpend)
        #expect(try await ids(query) == ["bravo", "charlie", "alpha", "delta"])
        query.sort = .limit(.tenantExtensions)
        #expect(try await ids(query).first == "bravo")
        query.sort = .limit(.tenantDIDs)
        #expect(try await ids(query).first == "alpha")
        query.sort = .limit(.tenantMonthlyMinutes)
        #expect(try await ids(query).first == "alpha")
    }

    /// The names are the REST API's, one for each limit of a tenant.
    @Test func ordersHaveNames() {
        #expect(
            TenantQuery.Sort.allCases.map(\.rawValue) == [
                "id", "name", "created_at", "nearest_to_limit", "monthly_spend", "extensions",
                "dids", "monthly_minutes", "daily_spend", "concurrent_calls", "daily_messages",
            ])
        for sort in TenantQuery.Sort.allCases {
            #expect(TenantQuery.Sort(rawValue: sort.rawValue) == sort)
        }
        #expect(TenantQuery.Sort(rawValue: "profile_daily_spend") == nil)
    }

    @Test func filtersAndPages() async throws {
        try service.engine.setStatus(ofTenant: "bravo", .suspended)
        try service.engine.setStatus(ofTenant: "delta", .closed)
        for sort in TenantQuery.Sort.allCases {
            var query = TenantQuery()
            query.sort = sort
            #expect(try await Set(ids(query)) == ["alpha", "bravo", "charlie"])
            query.status = .suspended
            #expect(try await ids(query) == ["bravo"])
            query.status = .active
            query.name = .contains("8_%")
            #expect(try await ids(query) == ["alpha"])
            query.name = .contains("_8")
            #expect(try await ids(query) == [])
            query.name = .equals("Name 8_%")
            query.id = .contains("LPH")
            #expect(try await ids(query) == ["alpha"])
            query = TenantQuery()
            query.sort = sort
            query.id = .equals("charlie")
            let list = try await projection.tenants(query, Page())
            #expect(list.rows.map(\.settings.id) == ["charlie"] && list.total == 1)
        }
        var pages: [String] = []
        for number in 1...4 {
            let page = try await projection.tenants(TenantQuery(), Page(number: number, size: 1))
            #expect(page.total == 3)
            pages += page.rows.map(\.settings.id)
        }
        #expect(pages == ["alpha", "bravo", "charlie"])
        #expect(try await projection.tenant("delta") == nil)
        #expect(try await projection.tenant("alpha")?.settings.name == "Name 8_%")
    }

    /// Whoever asks for what comes after the last row misses nothing, though rows before it go away.
    @Test func listsGoOnAfterAnID() async throws {
        for id in ["a", "B", "\u{e9}", "e\u{301}", "~"] {
            try service.setTenant(TenantSettings(id: id))
            try service.setProfile(ProfileSettings(id: "p" + id, tenantID: "alpha"))
        }
        var found: [String] = []
        var query = TenantQuery()
        while true {
            let part = try await ids(query, Page(size: 2))
            guard let last = part.last else { break }
            found += part
            query.idAfter = last
            if found.count == 2 { try service.engine.setStatus(ofTenant: "a", .closed) }
        }
        // In the order of their bytes.
        let all = ["B", "a", "alpha", "bravo", "charlie", "delta", "e\u{301}", "~", "\u{e9}"]
        #expect(found.map { Array($0.utf8) } == all.map { Array($0.utf8) })
        for sort in TenantQuery.Sort.allCases {
            query = TenantQuery()
            query.sort = sort
            query.idAfter = "bravo"
            query.id = .contains("l")
            #expect(try await Set(ids(query)) == ["charlie", "delta"])
        }
        let profiles = try await projection.profiles(
            ProfileQuery(tenantID: "alpha", idAfter: "pa"), Page())
        let after = ["pe\u{301}", "p~", "p\u{e9}"]
        #expect(profiles.rows.map { Array($0.settings.id.utf8) } == after.map { Array($0.utf8) })
        #expect(profiles.total == 3)
    }

    @Test func profilesOfTenants() async throws {
        for (id, owner) in [("p2", "alpha"), ("p1", "bravo"), ("p3", "alpha"), ("p4", "delta")] {
            try service.setProfile(ProfileSettings(id: id, tenantID: owner, name: "n" + id))
        }
        try service.engine.closeProfile("p3")
        try service.engine.setStatus(ofTenant: "delta", .closed)
        try service.catchUp()
        let all = try await projection.profiles(ProfileQuery(), Page())
        #expect(all.rows.map(\.settings.id) == ["p1", "p2"] && all.total == 2)
        let own = try await projection.profiles(ProfileQuery(tenantID: "alpha"), Page())
        #expect(own.rows.map(\.settings.id) == ["p2"])
        let named = try await projection.profiles(ProfileQuery(name: .equals("np1")), Page())
        #expect(named.rows.map(\.settings.id) == ["p1"])
        #expect(try await projection.profiles(ProfileQuery(tenantID: "x"), Page()).total == 0)
    }

    @Test func profilesOfAKind() async throws {
        for (id, kind) in [("v1", ProfileKind.voice), ("m1", .messaging), ("v2", .voice)] {
            try service.setProfile(ProfileSettings(id: id, kind: kind, tenantID: "alpha"))
        }
        service.charge("alpha", "v2", spend: 7)
        try service.catchUp()
        let voice = try await projection.profiles(ProfileQuery(.voice), Page())
        #expect(voice.rows.map(\.settings.id) == ["v1", "v2"] && voice.total == 2)
        #expect(voice.rows.map(\.usage.kind) == [.voiceProfileDailySpend, .voiceProfileDailySpend])
        #expect(voice.rows.map(\.usage.committed) == [0, 7])
        let own = try await projection.profiles(ProfileQuery(.messaging, tenantID: "alpha"), Page())
        #expect(own.rows.map(\.settings.id) == ["m1"] && own.total == 1)
        let after = try await projection.profiles(ProfileQuery(.voice, idAfter: "v1"), Page())
        #expect(after.rows.map(\.settings.id) == ["v2"])
        let days = try await projection.dailyUsage(
            tenantID: "alpha", profileID: "v2", from: 0, to: .max)
        #expect(days.map(\.committed[.spend]) == [7])
    }

    /// A cycle that is over reads as empty, also in the order, before any record says so.
    @Test func cyclesThatAreOver() async throws {
        service.configuration.cleaningMilliseconds = 0
        try service.openProjection()
        service.charge("alpha", spend: 900)
        service.record(RecordOperation(tenantID: "delta", amounts: [.spend: 100]))
        var query = TenantQuery()
        query.sort = .nearestToLimit
        query.descending = true
        #expect(try await ids(query).prefix(2) == ["alpha", "delta"])
        service.advance(10 * 86_400_000)
        service.record(RecordOperation(tenantID: "delta", amounts: [.spend: 100]))
        #expect(try await ids(query).first == "delta")
        let row = try #require(try await projection.tenant("alpha"))
        #expect(row.usage[0].committed == 0 && row.usage[0].resetsAt > service.now)
        try await expectAgreement(service)
        query.sort = .limit(.tenantMonthlySpend)
        #expect(try await ids(query).first == "delta")
    }

    @Test func daysBeginWithUTC() async throws {
        let day = ProjectedService.start / 86_400_000 * 86_400_000
        try service.setProfile(ProfileSettings(id: "sms", tenantID: "alpha"))
        service.charge("alpha", "sms", spend: 7)
        var long = CheckOperation(tenantID: "alpha", amounts: [.spend: 100])
        long.ttlMilliseconds = 80_000_000
        let held = service.check(long)
        service.advance(day + 86_400_000 - service.now - 1)
        service.record(RecordOperation(tenantID: "alpha", amounts: [.callSeconds: 30]))
        service.advance(1)
        // What was held is of the day on which it was taken.
        service.perform(.commit(reservation: 1, actual: [:]))
        service.charge("alpha", "sms", spend: 5_000, key: "too much")
        #expect(held.reservationID != 0)
        try service.catchUp()
        let days = try await projection.dailyUsage(
            tenantID: "alpha", profileID: nil, from: day, to: day + 2 * 86_400_000)
        #expect(days.map(\.day) == [day, day + 86_400_000])
        #expect(days.map(\.committed[.spend]) == [7 + 100, 5_000])
        #expect(days.map(\.committed[.callSeconds]) == [30, 0])
        #expect(days.map(\.allowed) == [2, 1] && days.map(\.denied) == [0, 0])
        let own = try await projection.dailyUsage(
            tenantID: "alpha", profileID: "sms", from: day, to: day + 2 * 86_400_000)
        #expect(own.map(\.committed[.spend]) == [7, 5_000])
        #expect(own.allSatisfy { $0.profileID == "sms" })
        let first = try await projection.dailyUsage(
            tenantID: "alpha", profileID: nil, from: day + 5, to: day + 86_400_000)
        #expect(first.map(\.day) == [day])
        let foreign = try await projection.dailyUsage(
            tenantID: "bravo", profileID: "sms", from: day, to: day + 2 * 86_400_000)
        #expect(foreign.isEmpty)
    }

    /// Sums stay at the end of their range, in one slice and over two.
    @Test(arguments: [true, false])
    func sumsStayInTheirRange(_ isOneSlice: Bool) async throws {
        let notices = Notices()
        service.configuration.notice = notices.add
        try service.openProjection()
        let hour: Int64 = 3_600_000
        // An hour before the month ends.
        service.advance(1_775_001_600_000 - hour - service.now)
        var long = CheckOperation(tenantID: "alpha", amounts: [.spend: 100])
        long.ttlMilliseconds = 3 * hour
        #expect(service.check(long).reservationID != 0)
        service.advance(2 * hour)
        service.perform(.commit(reservation: 1, actual: [.spend: 9_100]))
        if !isOneSlice { try service.catchUp() }
        service.record(RecordOperation(tenantID: "alpha", amounts: [.spend: 1_000]))
        try service.catchUp()
        func spent() async throws -> Int64? {
            try await projection.dailyUsage(
                tenantID: "alpha", profileID: nil, from: service.now, to: service.now + 1
            ).first?.committed[.spend]
        }
        #expect(try await spent() == 10_000)
        let type = try await projection.read {
            try String.fetchAll(
                $0,
                sql: """
                    SELECT typeof(spend) FROM usage_delta UNION
                    SELECT typeof(spend) FROM usage_daily
                    """)
        }
        #expect(type == ["integer"])
        // A file that an earlier version has written so.
        try await projection.write {
            try $0.execute(
                sql: """
                    UPDATE usage_delta SET spend = 1.8e19; UPDATE usage_daily SET spend = 1.8e19
                    """)
        }
        #expect(try await spent() == .max)
        service.record(RecordOperation(tenantID: "alpha", amounts: [.spend: 1]))
        try service.catchUp()
        #expect(try await spent() == .max)
        #expect(notices.texts.isEmpty)
    }

    /// A tenant is never left out because there are many; of what grows without end only so much is counted.
    @Test func tenantsAreCountedToTheLast() async throws {
        service.configuration.mostCounted = 2
        try service.openProjection()
        try service.setProfile(ProfileSettings(id: "p1", tenantID: "alpha"))
        try service.setProfile(ProfileSettings(id: "p2", tenantID: "alpha"))
        try service.setProfile(ProfileSettings(id: "p3", tenantID: "alpha"))
        try service.catchUp()
        #expect(try await projection.tenants(TenantQuery(), Page(size: 1)).total == 4)
        let last = try await projection.tenants(TenantQuery(), Page(number: 4, size: 1))
        #expect(last.rows.map(\.settings.id) == ["delta"])
        #expect(try await projection.profiles(ProfileQuery(), Page(size: 1)).total == 3)
        #expect(try await projection.audit(AuditQuery(), Page()).total == 2)
    }

    // MARK: The outbox

    private func suspend() throws {
        try service.engine.setSetting(
            WebhookEndpoint.settingPrefix + "1",
            SettingValue.encode(
                WebhookEndpoint(id: "1", url: "https://example.com/", createdAt: 1, updatedAt: 1)))
        try service.engine.setStatus(ofTenant: "alpha", .suspended)
        try service.engine.setStatus(ofTenant: "bravo", .suspended)
        try service.catchUp()
    }

    private func attempt(_ number: Int, error: String?) -> DeliveryAttempt {
        DeliveryAttempt(
            number: number, startedAt: service.now, finishedAt: service.now + 5,
            target: "https://example.com/", status: error == nil ? 200 : 500, error: error)
    }

    /// Everything that is due, place by place, oldest first.
    private func due(_ now: Int64) async throws -> [Delivery] {
        var deliveries: [Delivery] = []
        var underway: Set<Int64> = []
        for place in try await projection.places(due: now, after: nil, limit: 100).due {
            while let delivery = try await projection.nextDelivery(
                at: place, due: now, except: underway)
            {
                underway.insert(delivery.id)
                deliveries.append(delivery)
            }
        }
        return deliveries
    }

    @Test func deliveriesWaitUntilTheyAreDone() async throws {
        try suspend()
        let now = service.now
        let place = DeliveryPlace(name: "https://example.com:443")
        let due = try await due(now)
        #expect(due.map(\.event.tenantID) == ["alpha", "bravo"])
        #expect(due.allSatisfy { $0.attempts == 0 && $0.dueAt == now })
        let first = due[0].id
        #expect(
            try await projection.nextDelivery(at: place, due: now, except: [first]) == due[1])
        #expect(try await self.due(now - 1).isEmpty)
        #expect(try await projection.nextDue(after: now - 1) == now)
        try await projection.note(
            attempt(1, error: "500"), of: first, .again(at: now + 1_000, place))
        try await projection.note(attempt(1, error: nil), of: due[1].id, .delivered)
        #expect(try await self.due(now).isEmpty)
        #expect(try await projection.nextDue(after: now) == now + 1_000)
        #expect(try await projection.nextDue(after: now + 1_000) == nil)
        // It stands in the file, whatever the process.
        try service.restart()
        try service.catchUp()
        let again = try await self.due(now + 1_000)
        #expect(again.map(\.id) == [first] && again[0].attempts == 1)
        try await projection.note(attempt(2, error: "gone"), of: first, .failed)
        #expect(try await projection.nextDue(after: 0) == nil)
        var query = DeliveryQuery()
        query.status = .failed
        let failed = try await projection.deliveries(query, Page())
        #expect(failed.total == 1 && failed.rows[0].id == first)
        #expect(failed.rows[0].attempts.map(\.number) == [2, 1])
        #expect(failed.rows[0].nextAttemptAt == nil)
        #expect(try await projection.delivery(due[1].id)?.status == .delivered)
        let resent = try #require(try await projection.resend(first))
        #expect(resent.status == .pending && resent.nextAttemptAt == service.now)
        let fresh = try await self.due(service.now)
        #expect(fresh.map(\.id) == [first] && fresh[0].attempts == 2 && fresh[0].begun == 2)
        #expect(try await projection.resend(12) == nil)
        query = DeliveryQuery()
        query.eventID = due[1].event.id
        query.isWebhook = true
        query.kind = .tenantSuspended
        #expect(try await projection.deliveries(query, Page()).rows.map(\.id) == [due[1].id])
        query.isWebhook = false
        #expect(try await projection.deliveries(query, Page()).total == 0)
    }

    @Test func testMessagesAreNoEvents() async throws {
        try service.catchUp()
        let calls = Calls()
        projection.onDeliveries { calls.count() }
        let event = Event(
            id: UUID().uuidString.lowercased(), kind: .tenantSuspended, occurredAt: service.now,
            tenantID: "alpha")
        let channel = Delivery.Channel.email(address: "ops@example.com")
        let id = try await projection.enqueue(event, to: channel)
        #expect(calls.value == 1)
        let due = try await due(service.now)
        #expect(due.map(\.id) == [id] && due[0].event == event && due[0].channel == channel)
        #expect(try await projection.events(EventQuery(), Page()).total == 0)
        #expect(try await projection.delivery(id)?.event == event)
        try suspend()
        #expect(calls.value == 2)
    }

    /// Attempts on the failover address count for its place, and those of a delivery that is sent again for the first.
    @Test func placesAreWhereTheNextAttemptGoes() async throws {
        try service.catchUp()
        let event = Event(id: "e", kind: .tenantSuspended, occurredAt: 0, tenantID: "alpha")
        let channel = Delivery.Channel.webhook(
            url: "HTTP://Example.com/a", failoverURL: "https://b.example:8443/")
        let id = try await projection.enqueue(event, to: channel)
        let first = DeliveryPlace(name: "http://example.com:80")
        let second = DeliveryPlace(name: "https://b.example:8443")
        let now = service.now
        func places() async throws -> [DeliveryPlace] {
            try await projection.places(due: now, after: nil, limit: 10).due
        }
        #expect(try await places() == [first])
        try await projection.note(
            attempt(1, error: "no"), of: id,
            .again(at: now, DeliveryPlace(url: "https://b.example:8443/")))
        #expect(try await places() == [second])
        #expect(try await projection.nextDelivery(at: first, due: now, except: []) == nil)
        try await projection.note(attempt(2, error: "no"), of: id, .failed)
        #expect(try await places() == [])
        _ = try await projection.resend(id)
        #expect(try await places() == [first])
    }

    /// What a place has waiting is not read to find what is due at another, nor in what order it is.
    @Test func aHundredThousandDeliveriesToOnePlaceAreInNobodysWay() async throws {
        try service.catchUp()
        let now = service.now
        let dead = DeliveryPlace(url: "https://dead.example/")
        let later = DeliveryPlace(url: "https://later.example/")
        let well = DeliveryPlace(url: "https://well.example/")
        func enqueue(_ id: String, _ place: DeliveryPlace) async throws -> Int64 {
            let event = Event(id: id, kind: .tenantSuspended, occurredAt: 0, tenantID: "alpha")
            return try await projection.enqueue(
                event, to: .webhook(url: place.name, failoverURL: ""))
        }
        let first = try await enqueue("1", dead)
        try await projection.write { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 99999)
                    INSERT INTO delivery (id, event, webhook, target, failover, place, status,
                    attempts, due, created) SELECT d.id + i, event, webhook, target, failover,
                    place, status, attempts, due, created FROM delivery d, n
                    """)
        }
        let waiting = try await enqueue("2", later)
        try await projection.note(
            attempt(1, error: "no"), of: waiting, .again(at: now + 5_000, later))
        let healthy = try await enqueue("3", well)
        let all = try await projection.places(due: now, after: nil, limit: 10)
        #expect(all.due == [dead, well] && all.last == nil)
        // A bounded number of places is looked at; what is not due is passed over.
        let part = try await projection.places(due: now, after: nil, limit: 2)
        #expect(part.due == [dead] && part.last == later)
        #expect(try await projection.places(due: now, after: later, limit: 2).due == [well])
        let next = try await projection.nextDelivery(at: well, due: now, except: [])
        #expect(next?.id == healthy)
        let underway = Set((0..<8).map { first + $0 })
        let ninth = try await projection.nextDelivery(at: dead, due: now, except: underway)
        #expect(ninth?.id == first + 8)
        #expect(try await projection.nextDue(after: now) == now + 5_000)
    }

    /// How SQLite goes about a statement.
    private func plan(_ sql: String) async throws -> [String] {
        let arguments = StatementArguments(Array(repeating: 0, count: sql.count { $0 == "?" }))
        return try await projection.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments)
                .map { try $0.value("detail") }
        }
    }

    /// Without an index to sort by, rows are read in their own order, and not looked up one by one.
    @Test(arguments: TenantQuery.Sort.allCases)
    func listsAreReadInOnePass(_ sort: TenantQuery.Sort) async throws {
        try service.catchUp()
        var query = TenantQuery()
        query.sort = sort
        let isOfStates = query.tables(isSorted: true).hasPrefix("tenant_state")
        let name = isOfStates ? "s" : "t"
        let plan = try await plan(
            """
            SELECT \(name).number FROM \(query.tables(isSorted: true)) WHERE \(name).open = 1
            ORDER BY \(sort.column) DESC, \(name).number DESC LIMIT 20
            """)
        switch sort {
        case .id, .name, .createdAt, .nearestToLimit:
            #expect(plan.count == 1 && plan[0].contains("USING INDEX"), "\(plan)")
        case .limit:
            #expect(plan.first == "SCAN s", "\(plan)")
        }
    }

    // MARK: Time

    @Test func whatIsOldGoes() async throws {
        var configuration = ProjectionConfiguration()
        configuration.auditRows = 3
        service.configuration = configuration
        try suspend()
        let due = try await due(service.now)
        try await projection.note(attempt(1, error: nil), of: due[0].id, .delivered)
        service.advance(31 * 86_400_000)
        try service.openProjection()
        try service.catchUp()
        // One is on its way still; of the log the newest lines are left.
        let rows = try await projection.deliveries(DeliveryQuery(), Page()).rows
        #expect(rows.map(\.id) == [due[1].id])
        #expect(try await projection.events(EventQuery(), Page()).total == 1)
        let lines = try await projection.audit(AuditQuery(), Page())
        #expect(lines.total == 3 && lines.rows[0].kind == "tenant_suspended")
        service.configuration.auditRetention = 86_400_000
        try service.openProjection()
        try service.catchUp()
        #expect(try await projection.audit(AuditQuery(), Page()).total == 0)
    }

    /// The log is no longer than it may be, however far the projection is behind.
    @Test func boundsHoldWhileItCatchesUp() async throws {
        service.configuration.auditRows = 5
        service.configuration.eventRows = 5
        service.configuration.sliceRecords = 1
        for step in 0..<40 {
            try service.engine.setStatus(
                ofTenant: "alpha", step % 2 == 0 ? .suspended : .active)
            service.flush()
        }
        try service.openProjection()
        var slices = 0
        while try !projection.takeSlice() {
            slices += 1
            // Lists are not there yet: the tables are.
            let rows = try await projection.write { db in
                try ["audit", "event"].map {
                    try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM \($0)") ?? .max
                }
            }
            #expect(rows.allSatisfy { $0 <= 5 }, "\(rows)")
        }
        #expect(slices > 30)
        #expect(try await projection.audit(AuditQuery(), Page()).total == 5)
    }

    /// A slice that was taken up is told of, though what is done regularly fails.
    @Test func failuresOfCleaningKeepNoAlertsBack() async throws {
        service.configuration.cleaningMilliseconds = 0
        try service.openProjection()
        service.charge("alpha", spend: 900)
        try service.catchUp()
        try await projection.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER never BEFORE UPDATE OF next_end ON tenant_state
                    BEGIN SELECT no_such_function(); END
                    """)
        }
        service.advance(10 * 86_400_000)
        let calls = Calls()
        projection.onDeliveries { calls.count() }
        try suspend()
        #expect(calls.value == 1)
        #expect(projection.status.trouble != nil)
        #expect(try await due(service.now).count == 2)
    }

    /// What fails again and again is a standstill; it is over with the first slice that is taken up.
    @Test func aProjectionThatDoesNotGoOnSaysSo() async throws {
        try service.openProjection()
        try service.catchUp()
        try await projection.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER never BEFORE INSERT ON audit
                    BEGIN SELECT length(zeroblob(2000000000)); END
                    """)
        }
        try service.engine.setStatus(ofTenant: "alpha", .suspended)
        service.flush()
        for attempt in 1...5 {
            #expect(throws: (any Error).self) { try projection.takeSlice() }
            #expect(projection.status.trouble != nil)
            #expect(projection.status.standstill == (attempt < 3 ? nil : "string or blob too big"))
        }
        try await projection.write { db in try db.execute(sql: "DROP TRIGGER never") }
        try service.catchUp()
        #expect(projection.status.trouble == nil && projection.status.standstill == nil)
    }

    /// Its own thread follows the journal, and `caughtUp` waits for it.
    @Test func followsByItself() async throws {
        let service = try ProjectedService(isOnSystemDisk: true)
        let projection = service.projection
        try service.setTenant(TenantSettings(id: "bravo"))
        projection.start()
        for step in 1...20 {
            service.charge("bravo", spend: 1)
            service.flush()
            while await !projection.caughtUp() {}
            let row = try #require(try await projection.tenant("bravo"))
            #expect(row.usage[0].committed == Int64(step))
        }
        #expect(projection.status.behindBytes == 0 && projection.status.trouble == nil)
        #expect(projection.status.time == service.now)
        projection.stop()
    }
}

private final class Calls: Sendable {
    private let calls = Atomic<Int>(0)
    func count() { calls.wrappingAdd(1, ordering: .relaxed) }
    var value: Int { calls.load(ordering: .relaxed) }
}
