package import Events
import Foundation
import GRDB
import Limits

// The audit log, events and deliveries, newest first.
extension Projection {
    package func audit(_ query: AuditQuery, _ page: Page) async throws -> Paged<AuditRow> {
        let mostCounted = configuration.mostCounted
        return try await list { db in
            var filter = Filter("")
            if let tenantID = query.tenantID {
                guard let tenant = try Self.tenantNumber(tenantID, db) else {
                    return Paged(rows: [], total: 0)
                }
                filter.add("tenant = ?", tenant)
            }
            if let profileID = query.profileID {
                let kind = query.profileKind
                guard let profile = try Self.profileNumber(profileID, kind, of: nil, db) else {
                    return Paged(rows: [], total: 0)
                }
                filter.add("profile = ?", profile)
            }
            if let kind = query.kind {
                guard let kind = Limits.Record.Kind(auditName: kind) else {
                    return Paged(rows: [], total: 0)
                }
                filter.add("kind = ?", kind.rawValue)
            }
            filter.addTime("time", numbered: "id", from: query.from, to: query.to)
            let numbers = try filter.page(
                db, "id", "audit", "id DESC", page, upTo: mostCounted)
            return Paged(
                rows: try numbers.rows.compactMap { try Self.auditRow($0, db) },
                total: numbers.total)
        }
    }

    private static func auditRow(_ id: Int64, _ db: Database) throws -> AuditRow? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT a.*, t.id AS tenant_id, p.id AS profile_id, p.kind AS profile_kind,
                c.name AS caller_name
                FROM audit a LEFT JOIN tenant t ON t.number = a.tenant
                LEFT JOIN profile p ON p.number = a.profile
                LEFT JOIN caller c ON c.number = a.caller WHERE a.id = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [id]),
            let kind = Limits.Record.Kind(rawValue: try row.value("kind"))
        else { return nil }
        var line = AuditRow(id: id, time: try row.value("time"), kind: kind.auditName)
        line.tenantID = row.optional("tenant_id") ?? ""
        line.profileID = row.optional("profile_id") ?? ""
        line.profileKind = ProfileKind(rawValue: row.optional("profile_kind") ?? 0) ?? .messaging
        line.caller = UInt64(bitPattern: try row.value("caller"))
        line.callerName = row.optional("caller_name") ?? ""
        line.limits = AuditCoding.readings(row.optional("limits"))
        line.events = AuditCoding.kinds(try row.value("events"))
        line.asked = Amounts(listed: try row.value("asked"))
        line.action = Action(rawValue: try row.value("action")) ?? .unspecified
        let code: Int = try row.value("code")
        line.code = code == 0 ? "" : "\(code)"
        line.reference = try row.value("reference")
        line.reservationID = UInt64(bitPattern: try row.value("reservation"))
        line.changes = AuditCoding.changes(row.optional("changes"))
        line.trace = AuditCoding.trace(row.optional("trace"))
        line.count = try row.value("count")
        line.lastTime = try row.value("last")
        // Written by an earlier release.
        if line.lastTime == 0 { line.lastTime = line.time }
        return line
    }

    package func events(_ query: EventQuery, _ page: Page) async throws -> Paged<Event> {
        let mostCounted = configuration.mostCounted
        return try await list { db in
            var filter = Filter("test = 0")
            if let kind = query.kind { filter.add("kind = ?", kind.rawValue) }
            if let tenantID = query.tenantID { filter.add("tenant = ?", tenantID) }
            filter.addTime("time", numbered: "number", from: query.from, to: query.to)
            let numbers = try filter.page(
                db, "number", "event", "number DESC", page, upTo: mostCounted)
            let rows = try numbers.rows.compactMap { number in
                try Row.fetchOne(
                    db, sql: "SELECT body FROM event WHERE number = ?", arguments: [number]
                ).map(EventRows.event)
            }
            return Paged(rows: rows, total: numbers.total)
        }
    }

    /// nil: there is none with that id, or not any more.
    package func event(_ id: String) async throws -> Event? {
        try await list { db in
            try Row.fetchOne(db, sql: "SELECT body FROM event WHERE id = ?", arguments: [id])
                .map(EventRows.event)
        }
    }

    package func deliveries(_ query: DeliveryQuery, _ page: Page) async throws -> Paged<DeliveryRow>
    {
        let mostCounted = configuration.mostCounted
        return try await list { db in
            var filter = Filter("")
            var tables = "delivery d"
            if query.eventID != nil || query.kind != nil {
                tables += " JOIN event e ON e.number = d.event"
            }
            if let status = query.status { filter.add("d.status = ?", status.number) }
            if let isWebhook = query.isWebhook { filter.add("d.webhook = ?", isWebhook) }
            if let eventID = query.eventID { filter.add("e.id = ?", eventID) }
            if let kind = query.kind { filter.add("e.kind = ?", kind.rawValue) }
            let numbers = try filter.page(
                db, "d.id", tables, "d.id DESC", page, upTo: mostCounted)
            return Paged(
                rows: try numbers.rows.compactMap { try Self.deliveryRow($0, db) },
                total: numbers.total)
        }
    }

    /// nil: there is none with that id, or not any more.
    package func delivery(_ id: Int64) async throws -> DeliveryRow? {
        try await list { db in try Self.deliveryRow(id, db) }
    }

    /// Attempts that a delivery shows, the newest.
    private static let mostAttempts = 100

    static func deliveryRow(_ id: Int64, _ db: Database) throws -> DeliveryRow? {
        let row = try Row.fetchOne(
            db,
            sql: """
                SELECT d.*, e.body FROM delivery d JOIN event e ON e.number = d.event
                WHERE d.id = ?
                """, arguments: [id])
        guard let row else { return nil }
        let attempts = try Row.fetchAll(
            db, sql: "SELECT * FROM attempt WHERE delivery = ? ORDER BY number DESC LIMIT ?",
            arguments: [id, mostAttempts])
        return DeliveryRow(
            id: id, event: try EventRows.event(row), channel: try EventRows.channel(row),
            status: DeliveryRow.Status(number: try row.value("status")),
            attempts: try attempts.map {
                DeliveryAttempt(
                    number: try $0.value("number"), startedAt: try $0.value("started"),
                    finishedAt: try $0.value("finished"), target: try $0.value("target"),
                    status: $0.optional("status"), error: $0.optional("error"))
            }, createdAt: try row.value("created"), nextAttemptAt: row.optional("due"))
    }
}

extension Filter {
    /// Between two times, of rows whose number is their time in microseconds or a little more.
    mutating func addTime(_ column: String, numbered number: String, from: Int64?, to: Int64?) {
        if let from {
            add("\(column) >= ?", from)
            // By the index: no number is lower than its time.
            add("\(number) >= ?", from.multipliedReportingOverflow(by: 1_000).partialValue)
        }
        if let to { add("\(column) < ?", to) }
    }
}

extension DeliveryRow.Status {
    fileprivate var number: Int {
        switch self {
        case .pending: DeliveryStatus.pending
        case .delivered: DeliveryStatus.delivered
        case .failed: DeliveryStatus.failed
        }
    }

    fileprivate init(number: Int) {
        self =
            switch number {
            case DeliveryStatus.delivered: .delivered
            case DeliveryStatus.failed: .failed
            default: .pending
            }
    }
}

extension Event.Kind {
    /// In the order in which lists have them.
    static let inOrder: [Event.Kind] =
        LimitSubject.allCases.map { .thresholdReached(of: $0) }
        + LimitSubject.allCases.map { .limitReached(of: $0) }
        + [.tenantSuspended, .tenantReinstated]

    /// The kinds of a set of events, each once.
    static func list(_ set: EventSet) -> [Event.Kind] {
        let kinds = Set(set.events.map(kind))
        return inOrder.filter(kinds.contains)
    }

    private static func kind(_ event: EventSet.Single) -> Event.Kind {
        switch event {
        case .alert(let group, let limit):
            group.isThreshold
                ? .thresholdReached(of: limit.row.subject) : .limitReached(of: limit.row.subject)
        case .suspended: .tenantSuspended
        case .reinstated: .tenantReinstated
        }
    }
}
