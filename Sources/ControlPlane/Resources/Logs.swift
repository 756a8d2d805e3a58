import Access
import Events
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Notifications
import Projection

/// `/v2/audit_events` and `/v2/events`: what happened.
struct Logs: Sendable {
    let core: ControlPlaneContext

    var routes: [Route] {
        [
            Route(.get, "/v2/audit_events", .readConfiguration, Operations.listAudit, audit),
            Route(.get, "/v2/events", .readConfiguration, Operations.listEvents, events),
            Route(.get, "/v2/events/{id}", .readConfiguration, Operations.getEvent, event),
        ]
    }

    func audit(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = AuditQuery()
        query.tenantID = reader.text("filter[tenant_id]", bytes: Identifier.lengths)
        let profile = reader.profile(isFilter: true)
        query.profileID = profile?.id
        query.profileKind = profile?.kind
        query.kind = reader.text("filter[kind]", bytes: TextLengths.kind)
        query.from = reader.instant("from")
        query.to = reader.instant("to")
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        return .page(try await model.audit(query, page), page) { Self.json($0) }
    }

    func events(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = EventQuery()
        query.kind = Self.kind(reader)
        query.tenantID = reader.text("filter[tenant_id]", bytes: Identifier.lengths)
        query.from = reader.instant("from")
        query.to = reader.instant("to")
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        return .page(try await model.events(query, page), page) { $0.json }
    }

    func event(_ exchange: Exchange) async throws -> Reply {
        let model = try core.readModel()
        await model.caughtUp()
        guard let event = try await model.event(exchange.id) else {
            throw APIError(.notFound, "No such event")
        }
        return .data(event.json)
    }

    static func kind(_ reader: QueryReader) -> Event.Kind? {
        reader.choice(
            "filter[event_type]", { Event.Kind(rawValue: $0) }, Event.Kind.allCases.map(\.rawValue))
    }

    private static func json(_ row: AuditRow) -> JSON {
        let profile =
            row.profileID.isEmpty ? nil : ProfileReference(id: row.profileID, kind: row.profileKind)
        return [
            "record_type": "audit_event", "id": "\(row.id)", "occurred_at": Instant.json(row.time),
            "kind": .string(row.kind), "tenant_id": .nonEmpty(row.tenantID),
        ] + .ids(of: profile) + [
            "caller": row.caller == 0
                ? .null
                : [
                    "number": .string(hexadecimal(row.caller)),
                    "name": .string(row.callerName),
                ],
            "action": .text(DataPlane.actions.first { $0.value == row.action }?.key),
            "asked": row.asked.json, "code": .nonEmpty(row.code),
            "limits": .array(row.limits.map(\.json)),
            "events": .array(row.events.map { .string($0.rawValue) }),
            "reference": .nonEmpty(row.reference),
            "reservation_id": row.reservationID == 0 ? .null : "\(row.reservationID)",
            "changes": .array(
                row.changes.map {
                    [
                        "name": .string($0.name), "before": .text($0.before),
                        "after": .text($0.after),
                    ]
                }),
            "count": .integer(row.count), "last_at": Instant.json(row.lastTime),
        ] + (row.trace.map { ["trace_id": .string("\($0)")] } ?? [:])
    }

    /// A token's number as the first half of its id reads: 16 digits.
    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension LimitReading {
    /// In the unit of the limit's resource.
    var json: JSON {
        let amount = { (value: Int64) -> JSON in row?.resource.json(value) ?? .integer(value) }
        return [
            "limit": .string(name), "cap": amount(cap), "committed": amount(committed),
            "held": amount(held), "asked": amount(asked), "alert_threshold": .integer(percent),
            "window_start": Instant.json(windowStart), "resets_at": Instant.json(resetsAt),
        ]
    }
}

extension Event {
    var json: JSON {
        let ownKind = kind.subject.profileKind
        let names = ProfileKind.allCases.map {
            (name: $0.nameField, value: $0 == ownKind ? JSON.nonEmpty(profileName) : .null)
        }
        return [
            "record_type": "event", "id": .string(id), "event_type": .string(kind.rawValue),
            "occurred_at": Instant.json(occurredAt), "tenant_id": .string(tenantID),
            "tenant_name": .string(tenantName),
        ] + .ids(of: ownKind.map { ProfileReference(id: profileID, kind: $0) }) + .object(names) + [
            "limit": limit?.json ?? .null, "occasion": .text(occasion?.rawValue),
            "reason": .nonEmpty(reason),
            // As webhooks carry it.
            "payload": EventJSON.payload(self),
        ]
    }
}
