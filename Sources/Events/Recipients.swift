/// A place that events are posted to. Kept as a setting of the service in the journal.
package struct WebhookEndpoint: Sendable, Equatable, Codable {
    package var id: String
    package var url: String
    /// Where to if `url` fails three times; empty: nowhere.
    package var failoverURL: String
    package var description: String
    package var enabled: Bool
    /// Empty: all.
    package var eventTypes: [Event.Kind]
    /// Unix milliseconds.
    package var createdAt: Int64
    package var updatedAt: Int64
    /// What it shares with the service, to know events by (Standard Webhooks, `whsec_...`); nil: made before there were any.
    package var secret: String?
    /// The one before, which is good until then, Unix milliseconds.
    package var formerSecret: String?
    package var formerSecretUntil: Int64?
    /// By which keyed request the secret was last made; a repeat of it makes no other.
    package var rotation: String?

    package static let settingPrefix = "webhook-endpoint/"

    package init(
        id: String, url: String, failoverURL: String = "", description: String = "",
        enabled: Bool = true, eventTypes: [Event.Kind] = [], createdAt: Int64, updatedAt: Int64
    ) {
        self.id = id
        self.url = url
        self.failoverURL = failoverURL
        self.description = description
        self.enabled = enabled
        self.eventTypes = eventTypes
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    package func wants(_ kind: Event.Kind) -> Bool {
        enabled && (eventTypes.isEmpty || eventTypes.contains(kind))
    }

    /// The secrets that it may know events by.
    package func secrets(at now: Int64) -> [String] {
        let former = (formerSecretUntil ?? 0) > now ? formerSecret : nil
        return [secret, former].compactMap { $0 }
    }
}

/// Somebody of the operator's who is mailed; never the tenant. Kept as a setting of the service in the journal.
package struct EmailRecipient: Sendable, Equatable, Codable {
    package var id: String
    package var address: String
    package var name: String
    package var enabled: Bool
    /// Empty: all.
    package var eventTypes: [Event.Kind]
    /// Unix milliseconds.
    package var createdAt: Int64
    package var updatedAt: Int64

    package static let settingPrefix = "email-recipient/"

    package init(
        id: String, address: String, name: String = "", enabled: Bool = true,
        eventTypes: [Event.Kind] = [], createdAt: Int64, updatedAt: Int64
    ) {
        self.id = id
        self.address = address
        self.name = name
        self.enabled = enabled
        self.eventTypes = eventTypes
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    package func wants(_ kind: Event.Kind) -> Bool {
        enabled && (eventTypes.isEmpty || eventTypes.contains(kind))
    }
}
