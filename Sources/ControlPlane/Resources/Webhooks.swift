import Access
import Engine
import Events
import Foundation
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Notifications
import Projection

extension WebhookEndpoint: KeptResource {
    static var title: String { "webhook endpoint" }

    var json: JSON {
        [
            "record_type": "webhook_endpoint", "id": .string(id), "url": .string(url),
            "failover_url": .nonEmpty(failoverURL), "description": .string(description),
            "enabled": .bool(enabled),
            "event_types": .array(eventTypes.map { .string($0.rawValue) }),
            "created_at": Instant.json(createdAt), "updated_at": Instant.json(updatedAt),
        ]
    }

    var newJSON: JSON { json + ["secret": .text(secret)] }

    /// How long a secret is good after there is a new one, milliseconds.
    private static let secretOverlap: Int64 = 86_400_000

    /// Has a new secret take the place of the present one, which is good for a day more.
    ///
    /// - Parameter rotation: names the request; nil: it has no key.
    mutating func rotateSecret(now: Int64, _ rotation: String?) {
        self.rotation = rotation
        formerSecret = secret
        formerSecretUntil = secret == nil ? nil : now + Self.secretOverlap
        secret = WebhookSigner.newSecret()
    }
}

/// `/v2/webhook_endpoints` and `/v2/webhook_deliveries`
struct Webhooks: Sendable {
    let core: ControlPlaneContext

    private var settings: ServiceSettings<WebhookEndpoint> {
        let core = core
        return ServiceSettings(
            core: core, maximum: core.settings.maximumWebhookEndpoints,
            read: { body, endpoint in
                endpoint.url = Self.url(body, "url", or: endpoint.url) ?? ""
                endpoint.failoverURL =
                    Self.url(
                        body, "failover_url", or: endpoint.failoverURL,
                        isNullable: true) ?? ""
                endpoint.description =
                    body.text("description", bytes: 0...256).value ?? endpoint.description
                endpoint.enabled = body.flag("enabled").value ?? endpoint.enabled
                endpoint.eventTypes = body.eventTypes(or: endpoint.eventTypes)
            },
            make: { body, id, now in
                body.require("url")
                var endpoint = WebhookEndpoint(id: id, url: "", createdAt: now, updatedAt: now)
                endpoint.secret = WebhookSigner.newSecret()
                return endpoint
            })
    }

    /// - Parameter isNullable: null or an empty text takes the address away.
    private static func url(
        _ body: BodyReader, _ name: String, or present: String, isNullable: Bool = false
    ) -> String? {
        let lowest = isNullable ? 0 : TextLengths.url.lowerBound
        switch body.text(name, bytes: lowest...TextLengths.url.upperBound, nullable: true) {
        case .absent: return present
        case .null:
            if isNullable { return nil }
            // A creation has noted it.
            if !present.isEmpty { body.note(.missingField, name, "The \(name) is required") }
            return present
        case .value(let url):
            if !url.isEmpty, let fault = WebhookTarget.fault(of: url) {
                body.note(.badField, name, fault)
            }
            return url
        }
    }

    var routes: [Route] {
        let settings = settings
        let collection = "/v2/webhook_endpoints"
        let deliveries = "/v2/webhook_deliveries"
        return [
            Route(.get, collection, .readRecipients, Operations.listWebhooks, settings.list),
            Route(.post, collection, .administer, Operations.createWebhook, settings.create),
            Route(.get, collection + "/{id}", .readRecipients, Operations.getWebhook, settings.get),
            Route(
                .patch, collection + "/{id}", .administer, Operations.updateWebhook,
                settings.update),
            Route(
                .delete, collection + "/{id}", .administer, Operations.deleteWebhook,
                settings.delete),
            Route(
                .post, collection + "/{id}/actions/test", .administer, Operations.testWebhook
            ) { exchange in
                let (endpoint, _) = try settings.find(exchange.id)
                return try await Deliveries(core: core).test(
                    exchange,
                    to: .webhook(url: endpoint.url, failoverURL: endpoint.failoverURL),
                    recipient: WebhookEndpoint.settingPrefix + endpoint.id)
            },
            Route(
                .post, collection + "/{id}/actions/rotate_secret", .administer,
                Operations.rotateWebhookSecret
            ) { [core] exchange in
                let body = try exchange.bodyReader(isOptional: true)
                body.finish()
                try body.findings.check()
                let rotation = exchange.seed.map { Data($0).base64EncodedString() }
                // By a repeat what receivers hold would be good no more.
                return try settings.change(
                    exchange, unless: { exchange.isRepeated && $0.rotation == rotation },
                    { $0.rotateSecret(now: core.now, rotation) })
            },
            Route(.get, deliveries, .readConfiguration, Operations.listDeliveries) {
                try await Deliveries(core: core).list($0)
            },
            Route(.get, deliveries + "/{id}", .readConfiguration, Operations.getDelivery) {
                try await Deliveries(core: core).get($0)
            },
            Route(
                .post, deliveries + "/{id}/actions/resend", .change, Operations.resendDelivery
            ) { try await Deliveries(core: core).resend($0) },
        ]
    }
}

/// Deliveries of events, by webhook and by e-mail.
struct Deliveries: Sendable {
    let core: ControlPlaneContext

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = DeliveryQuery()
        query.status = reader.choice(
            "filter[status]", { DeliveryRow.Status(rawValue: $0) },
            DeliveryRow.Status.allCases.map(\.rawValue))
        query.eventID = reader.text("filter[event_id]", bytes: Identifier.lengths)
        query.kind = Logs.kind(reader)
        let channels = ["webhook": true, "email": false]
        query.isWebhook = reader.choice("filter[channel]", { channels[$0] }, ["webhook", "email"])
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        return .page(try await model.deliveries(query, page), page) { $0.json }
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        try await answer(exchange) { try await $0.delivery($1) }
    }

    func resend(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader(isOptional: true)
        body.finish()
        try body.findings.check()
        return try await answer(exchange) { try await $0.resend($1) }
    }

    private func answer(
        _ exchange: Exchange,
        _ query: (any ReadModel, Int64) async throws -> DeliveryRow?
    ) async throws -> Reply {
        let model = try core.readModel()
        await model.caughtUp()
        guard let id = Int64(exchange.id), id > 0, let row = try await query(model, id) else {
            throw APIError(.notFound, "No such delivery")
        }
        return .data(row.json)
    }

    /// Has a sample of an event delivered. What became of it: the delivery's own page says.
    func test(
        _ exchange: Exchange, to channel: Delivery.Channel, recipient: String = ""
    ) async throws -> Reply {
        let model = try core.readModel()
        let id = try await model.enqueue(sample(exchange), to: channel, recipient: recipient)
        guard let row = try await model.delivery(id) else { throw APIError(.unexpected) }
        return .data(row.json)
    }

    /// The seed's own example.
    private func sample(_ exchange: Exchange) -> Event {
        let now = core.now
        let day = now - now % Usage.day
        // A repeat tells the same event again.
        return Event(
            id: exchange.newID(), kind: .profileLimitReached, occurredAt: now,
            tenantID: "test", tenantName: "Test", profileID: "test", profileName: "Test",
            limit: LimitReading(
                name: ProfileKind.messaging.limit.name, cap: 10_000_000, committed: 20_000_000,
                held: 0,
                asked: 0, percent: 80, windowStart: day, resetsAt: day + Usage.day),
            reason: "")
    }
}

extension DeliveryRow {
    var json: JSON {
        let address: String
        let failover: String
        let isWebhook: Bool
        switch channel {
        case .webhook(let url, let failoverURL):
            (address, failover, isWebhook) = (url, failoverURL, true)
        case .email(let mailbox): (address, failover, isWebhook) = (mailbox, "", false)
        }
        return [
            "record_type": "webhook_delivery", "id": "\(id)", "status": .string(status.rawValue),
            "channel": isWebhook ? "webhook" : "email", "url": .string(address),
            "failover_url": .nonEmpty(failover), "event_id": .string(event.id),
            "event_type": .string(event.kind.rawValue), "webhook": event.json,
            "created_at": Instant.json(createdAt),
            "next_attempt_at": Instant.json(nextAttemptAt ?? 0),
            "attempts": .array(attempts.map(\.json)),
        ]
    }
}

extension DeliveryAttempt {
    var json: JSON {
        [
            "number": .integer(number), "status": error == nil ? "delivered" : "failed",
            "started_at": Instant.json(startedAt), "finished_at": Instant.json(finishedAt),
            "target": .string(target), "status_code": status.map { .integer($0) } ?? .null,
            "error": .text(error),
        ]
    }
}
