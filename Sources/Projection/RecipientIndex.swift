import Access
import Engine
import Events
import JSON
import Limits

/// What the settings of the service mean for the projection: who is told of events, and what callers are called.
struct RecipientIndex {
    private var endpoints: [String: WebhookEndpoint] = [:]
    private var recipients: [String: EmailRecipient] = [:]
    /// Numbers of operators' tokens, those that were revoked since the process began among them.
    private var operators: Set<UInt64> = []

    /// Names of settings whose values may be kept and shown; of others only that they changed.
    private static let shown = [
        WebhookEndpoint.settingPrefix, EmailRecipient.settingPrefix, AccessToken.settingPrefix,
        "tenant-defaults", AcceptedClock.setting, NamedIdentity.settingPrefix,
        FailedAttempts.setting,
    ]
    /// Fields that are secrets, or make one.
    private static let hidden: Set<String> = [
        "hash", "secret", "formerSecret", "password",
    ]

    /// What is kept of a setting's value: without secrets; nil: nothing.
    static func kept(_ name: String, _ value: String) -> String? {
        guard !value.isEmpty, shown.contains(where: name.hasPrefix),
            let members = (try? JSONParser.parse(value))?.members
        else { return nil }
        return JSON.object(members.filter { !hidden.contains($0.name) }).sorted.text
    }

    /// The fields of a value that is kept, by name, as texts.
    static func fields(_ kept: String?) -> [String: String] {
        let members = kept.flatMap { (try? JSONParser.parse($0))?.members } ?? []
        return members.reduce(into: [:]) { fields, member in
            fields[member.name] = text(member.value)
        }
    }

    private static func text(_ value: JSON) -> String? {
        switch value {
        case .null: nil
        case .string(let text): text
        case .array(let values): values.compactMap(text).joined(separator: ", ")
        case .bool, .number, .object: value.text
        }
    }

    /// Takes a setting over; an empty value removes it. One that cannot be read is nobody.
    mutating func set(_ name: String, _ value: String) {
        if name.hasPrefix(WebhookEndpoint.settingPrefix) {
            endpoints[name] = try? SettingValue.decode(WebhookEndpoint.self, value)
        } else if name.hasPrefix(EmailRecipient.settingPrefix) {
            recipients[name] = try? SettingValue.decode(EmailRecipient.self, value)
        } else if name.hasPrefix(AccessToken.settingPrefix) {
            // Of what is kept, which is without the secret's hash.
            let fields = Self.fields(value)
            if fields["scope"] == Caller.Scope.operator.rawValue, let id = fields["id"] {
                operators.insert(
                    AccessToken(
                        id: id, name: "", scope: .operator, tenantIDs: [], hash: "", createdAt: 0,
                        expiresAt: nil
                    ).number)
            }
        } else if name.hasPrefix(NamedIdentity.settingPrefix) {
            let identity = try? SettingValue.decode(NamedIdentity.self, value)
            if let identity, identity.scope == .operator { operators.insert(identity.number) }
        }
    }

    /// Whether a caller does what it does by hand.
    func isOperator(_ caller: UInt64) -> Bool { caller != 0 && operators.contains(caller) }

    /// Whether a setting is an endpoint or a recipient of mails.
    static func isRecipient(_ name: String) -> Bool {
        name.hasPrefix(WebhookEndpoint.settingPrefix)
            || name.hasPrefix(EmailRecipient.settingPrefix)
    }

    /// Where the recipient of a setting has things sent; nil: nowhere, or not any more.
    func channel(_ name: String) -> Delivery.Channel? {
        if let endpoint = endpoints[name] { return endpoint.enabled ? endpoint.channel : nil }
        if let recipient = recipients[name] { return recipient.enabled ? recipient.channel : nil }
        return nil
    }

    /// Whether a change of a setting is no news: nobody has made it.
    static func isSilent(_ name: String) -> Bool {
        name.hasPrefix(StoredAnswer.settingPrefix) || name.hasPrefix(AccessToken.usePrefix)
            || name.hasPrefix(NamedIdentity.settingPrefix)
    }

    /// A caller's number and name; nil: the setting is about none.
    static func caller(_ name: String, _ value: String) -> (number: UInt64, name: String)? {
        if name.hasPrefix(NamedIdentity.settingPrefix) {
            let identity = try? SettingValue.decode(NamedIdentity.self, value)
            return identity.map { ($0.number, $0.name) }
        }
        guard name.hasPrefix(AccessToken.settingPrefix), !value.isEmpty,
            let token = try? SettingValue.decode(AccessToken.self, value)
        else { return nil }
        return (token.number, token.name)
    }

    /// Who is told of an event now: the setting, empty for a profile's own, and where to.
    func channels(
        for kind: Event.Kind, profile: ProfileSettings?
    ) -> [(recipient: String, channel: Delivery.Channel)] {
        var channels: [(recipient: String, channel: Delivery.Channel)] = []
        for (name, endpoint) in endpoints.sorted(by: { $0.key < $1.key })
        where endpoint.wants(kind) {
            channels.append((name, endpoint.channel))
        }
        if let profile, !profile.webhookURL.isEmpty {
            let channel = Delivery.Channel.webhook(
                url: profile.webhookURL, failoverURL: profile.webhookFailoverURL)
            channels.append(("", channel))
        }
        for (name, recipient) in recipients.sorted(by: { $0.key < $1.key })
        where recipient.wants(kind) {
            channels.append((name, recipient.channel))
        }
        return channels
    }
}

extension WebhookEndpoint {
    fileprivate var channel: Delivery.Channel { .webhook(url: url, failoverURL: failoverURL) }
}

extension EmailRecipient {
    fileprivate var channel: Delivery.Channel { .email(address: address) }
}
