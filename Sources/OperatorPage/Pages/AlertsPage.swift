import Engine
import ControlPlane
import Events
import Limits
import Projection

/// Alerts and deliveries: what was raised, who was told, and who is to be told.
struct AlertsPage: Sendable {
    let context: PageContext
    private static let listed = 10

    func reply(_ request: PageRequest, _ visitor: Visitor) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        let page = Page(number: request.page(), size: Self.listed)
        let events = try await model.events(EventQuery(), page)
        var fields: Fields = [
            "events": events.rows.map(Self.fields), "hasEvents": !events.rows.isEmpty,
            "eventsPager": [
                "pager": Pager.fields(
                    label: "Events", number: page.number, size: page.size, total: events.total
                ) { Links.path("/alerts", [("page", String($0))], fragment: "#events") }
            ] as Fields,
            "kinds": Event.Kind.allCases.map { kind -> Fields in
                ["value": kind.rawValue, "title": Texts.name(kind)]
            },
        ]
        fields = fields.merging(try await deliveries(request, model)).merging(try settings())
        return context.page("alerts", visitor, current: "/alerts", fields)
    }

    // MARK: Events

    private static func fields(_ event: Event) -> Fields {
        [
            "iso": Texts.iso(event.occurredAt), "time": Texts.time(event.occurredAt),
            "title": Texts.name(event.kind), "tone": Texts.tone(event.kind),
            "tenant": event.tenantName.isEmpty ? event.tenantID : event.tenantName,
            "tenantPath": event.tenantID.isEmpty ? nil : Links.tenant(event.tenantID),
            "profile": event.profileID.isEmpty
                ? nil : event.profileName.isEmpty ? event.profileID : event.profileName,
            "details": details(event),
            "deliveriesPath": Links.path("/alerts", [("event", event.id)], fragment: "#deliveries"),
        ]
    }

    private static func details(_ event: Event) -> String {
        guard let reading = event.limit, let row = reading.row else {
            return event.reason.isEmpty ? "By an operator" : "By an operator: \(event.reason)"
        }
        let amount = { (value: Int64) in Texts.amount(value, of: row.resource) }
        let asked = reading.asked == 0 ? "" : ", \(amount(reading.asked)) asked"
        let used = row.shown(committed: reading.committed, held: reading.held).used
        return
            "\(row.words.title): \(amount(used)) of \(amount(reading.cap))\(asked)"
    }

    // MARK: Deliveries

    private func deliveries(
        _ request: PageRequest, _ model: any ReadModel
    ) async throws -> Fields {
        let event = request.text("event")
        let status = request.text("deliveries")
        var query = DeliveryQuery()
        query.eventID = event.isEmpty ? nil : event
        query.status = DeliveryRow.Status(rawValue: status)
        let page = Page(number: request.page("delivery-page"), size: Self.listed)
        let found = try await model.deliveries(query, page)
        let link = { (status: String, page: Int) in
            Links.path(
                "/alerts",
                [
                    ("event", event), ("deliveries", status),
                    ("delivery-page", page == 1 ? "" : String(page)),
                ], fragment: "#deliveries")
        }
        let choices =
            [("", "All")]
            + DeliveryRow.Status.allCases.map {
                ($0.rawValue, Texts.sentence($0.rawValue))
            }
        return [
            "ofEvent": event.isEmpty ? nil : event,
            "filters": choices.map { value, title -> Fields in
                ["title": title, "link": link(value, 1), "current": value == status]
            },
            "deliveries": found.rows.map(fields), "hasDeliveries": !found.rows.isEmpty,
            "deliveriesPager": [
                "pager": Pager.fields(
                    label: "Deliveries", number: page.number, size: page.size, total: found.total
                ) { link(status, $0) }
            ] as Fields,
        ]
    }

    private func fields(_ row: DeliveryRow) -> Fields {
        let target =
            switch row.channel {
            case .webhook(let url, _): url
            case .email(let address): address
            }
        let tones: [DeliveryRow.Status: String] = [
            .pending: "near", .delivered: "good", .failed: "over",
        ]
        let count = row.attempts.count
        return [
            "id": "\(row.id)", "iso": Texts.iso(row.createdAt), "time": Texts.time(row.createdAt),
            "status": Texts.sentence(row.status.rawValue), "tone": tones[row.status],
            "target": target, "event": Texts.name(row.event.kind),
            "tenant": row.event.tenantName.isEmpty ? row.event.tenantID : row.event.tenantName,
            "hasAttempts": count > 0,
            "attemptsText": count == 1 ? "1 attempt" : "\(count) attempts",
            "attempts": row.attempts.prefix(12).map(Self.text),
            "next": row.nextAttemptAt.map { due in
                let wait = due - context.engine.clock.now
                return wait > 0 ? "next attempt in \(Texts.age(wait))" : "next attempt now"
            },
        ]
    }

    private static func text(_ attempt: DeliveryAttempt) -> String {
        let outcome =
            attempt.error ?? attempt.status.map { "HTTP status \($0)" } ?? "delivered"
        return
            "\(attempt.number). \(Texts.time(attempt.startedAt)) to \(attempt.target): \(outcome) (\(attempt.finishedAt - attempt.startedAt) ms)"
    }

    // MARK: Endpoints and recipients

    private func settings() throws -> Fields {
        let endpoints = try all(WebhookEndpoint.self, WebhookEndpoint.settingPrefix)
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        let recipients = try all(EmailRecipient.self, EmailRecipient.settingPrefix)
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        return [
            "endpoints": try endpoints.map { endpoint -> Fields in
                [
                    "json": try SettingValue.encode(["id": endpoint.id, "url": endpoint.url]),
                    "url": endpoint.url,
                    "failover": endpoint.failoverURL.isEmpty ? nil : endpoint.failoverURL,
                    "description": endpoint.description.isEmpty ? nil : endpoint.description,
                    "enabled": endpoint.enabled, "types": Self.types(endpoint.eventTypes),
                ]
            }, "hasEndpoints": !endpoints.isEmpty,
            "recipients": try recipients.map { recipient -> Fields in
                [
                    "json": try SettingValue.encode([
                        "id": recipient.id, "address": recipient.address,
                    ]),
                    "address": recipient.address,
                    "name": recipient.name.isEmpty ? nil : recipient.name,
                    "enabled": recipient.enabled, "types": Self.types(recipient.eventTypes),
                ]
            }, "hasRecipients": !recipients.isEmpty,
        ]
    }

    private func all<T: Decodable>(_ type: T.Type, _ prefix: String) throws -> [T] {
        try context.engine.settings(prefix: prefix).values.map { try SettingValue.decode(type, $0) }
    }

    private static func types(_ kinds: [Event.Kind]) -> String {
        kinds.isEmpty ? "All" : kinds.map { Texts.name($0) }.joined(separator: ", ")
    }
}
