import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import Notifications
import Projection

/// `/v2/messaging_profiles`, and the singular path of the seed's page.
struct Profiles: Sendable {
    let core: ControlPlaneContext

    var routes: [Route] {
        let collection = "/v2/messaging_profiles"
        var routes = [
            Route(.get, collection, .readProfiles, Operations.listProfiles, list),
            Route(.post, collection, .change, Operations.createProfile, create),
        ]
        for (path, suffix) in [(collection, ""), ("/v2/messaging_profile", "Singular")] {
            let one = path + "/{id}"
            routes += [
                Route(.get, one, .readProfiles, Operations.getProfile.named(suffix), get),
                Route(.patch, one, .change, Operations.updateProfile.named(suffix), update),
                Route(.delete, one, .change, Operations.deleteProfile.named(suffix), delete),
            ]
        }
        return routes
    }

    // MARK: Methods

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = ProfileQuery(
            tenantID: reader.text("filter[tenant_id]", bytes: 1...64),
            idAfter: reader.text("filter[id][after]", bytes: 1...64), name: reader.filter("name"))
        let page = reader.page()
        try reader.finish()
        if let own = exchange.caller.tenants {
            if let asked = query.tenantID, !own.contains(Identifier(asked)) {
                return .page(all: [ProfileSettings](), page) { Self.json($0) }
            }
            // A tenant token is for exactly one.
            query.tenantID = own.first?.text
        }
        let model = try core.readModel()
        await model.caughtUp()
        let found = try await model.profiles(query, page)
        return .page(found, page) { Self.json($0.settings) }
    }

    func create(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader()
        body.require("name")
        let tenantID = DataPlane.tenantID(body)
        var profile = ProfileSettings(id: Tenants.id(body, exchange), tenantID: tenantID)
        let unknown = read(body, into: &profile)
        body.finish()
        try body.findings.check()
        guard core.engine.tenant(tenantID) != nil else {
            throw APIError(.notFound, "There is no such tenant", at: .pointer("/tenant_id"))
        }
        if let present = core.engine.profile(profile.id) {
            // What the first attempt made, or another one just like it.
            if exchange.isRepeated, present.isConfigured(as: profile) {
                return try reply(profile.id, unknown: unknown)
            }
            throw APIError(.duplicate, at: .pointer("/id"))
        }
        do {
            try core.engine.setProfile(profile, from: 0, by: exchange.caller.number)
        } catch {
            let isTaken =
                error.code == .conflict || error.code == .notFound || error.code == .closed
            guard isTaken else { throw error }
            // Another one's, or one of a tenant that was deleted: ids are never used again.
            throw APIError(
                .duplicate, error.code == .closed ? Tenants.deleted : nil, at: .pointer("/id"))
        }
        return try reply(profile.id, unknown: unknown)
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        let profile = try profile(exchange.id)
        guard exchange.caller.mayRead(profile.tenantID) else { throw Self.unknown }
        return try reply(exchange.id)
    }

    func update(_ exchange: Exchange) async throws -> Reply {
        for _ in 0..<Tenants.maximumAttempts {
            let present = try profile(exchange.id)
            try exchange.checkIfMatch(present.revision.tag)
            var changed = present
            let body = try exchange.bodyReader()
            if let tenantID = body.text("tenant_id", bytes: 1...64).value,
                !tenantID.hasSameBytes(as: present.tenantID)
            {
                body.note(
                    .badField, "tenant_id", "A messaging profile belongs to one tenant for ever")
            }
            let unknown = read(body, into: &changed)
            body.finish()
            try body.findings.check()
            do {
                let change = try core.engine.setProfile(
                    changed, from: present.revision.number, by: exchange.caller.number)
                return try reply(exchange.id, change, unknown: unknown)
            } catch let error as EngineError where error.code == .conflict {
                continue
            }
        }
        throw APIError(.conflict)
    }

    func delete(_ exchange: Exchange) async throws -> Reply {
        for _ in 0..<Tenants.maximumAttempts {
            let profile = try profile(exchange.id)
            try exchange.checkIfMatch(profile.revision.tag)
            do {
                try core.engine.closeProfile(
                    profile.id, from: profile.revision.number, by: exchange.caller.number)
            } catch {
                guard error.code == .conflict else { throw error }
                continue
            }
            return .data(Self.json(profile))
        }
        throw APIError(.conflict)
    }

    // MARK: Parts

    private static var unknown: APIError {
        APIError(.notFound, "There is no such messaging profile")
    }

    private func profile(_ id: String) throws(APIError) -> ProfileSettings {
        if let profile = core.engine.profile(id) { return profile }
        throw Self.unknown
    }

    /// - Parameter unknown: fields that were kept without being known.
    private func reply(
        _ id: String, _ change: ChangeResult? = nil, unknown: [String] = []
    ) throws(APIError) -> Reply {
        let profile = try profile(id)
        var meta: JSON = change.map { ["over_by": $0.json] } ?? [:]
        if !unknown.isEmpty { meta = meta + ["warnings": .array(unknown.map(Self.warning))] }
        return .data(
            Self.json(profile), tag: profile.revision.tag, meta: meta == [:] ? nil : meta)
    }

    private static func warning(_ name: String) -> JSON {
        [
            "title": "Unknown field",
            "detail": .string(
                "The field \(name) is not known here: it is kept, and steers nothing"),
            "source": ["pointer": .string(BodyReader.pointer("", name))],
        ]
    }

    /// Takes over the members that are there, but for the id and the tenant. Returns the names of those that are not
    /// known.
    private func read(_ body: BodyReader, into profile: inout ProfileSettings) -> [String] {
        profile.name = body.text("name", bytes: 1...256).value ?? profile.name
        let cap = LimitSubject.profileLimit.cap
        profile.dailySpendLimitNanos = body.money(cap.name, nullable: true)
            .or(profile.dailySpendLimitNanos)
        profile.dailySpendLimitEnabled =
            body.flag(cap.toggleName).value ?? profile.dailySpendLimitEnabled
        if profile.dailySpendLimitEnabled, profile.dailySpendLimitNanos == nil,
            body.findings.entries.isEmpty
        {
            body.note(.missingField, cap.name, "An enabled limit needs a \(cap.name)")
        }
        profile.webhookURL = url(body, "webhook_url", or: profile.webhookURL)
        profile.webhookFailoverURL = url(
            body, "webhook_failover_url", or: profile.webhookFailoverURL)
        var unknown: [String] = []
        profile.vendorFields = VendorFields.read(
            body, over: profile.vendorFields, unknown: &unknown)
        return unknown
    }

    /// null or an empty text takes an address away.
    private func url(_ body: BodyReader, _ name: String, or present: String) -> String {
        guard body.has(name) else { return present }
        let url = body.text(name, bytes: 0...1_024, nullable: true).value ?? ""
        if !url.isEmpty, !url.hasSameBytes(as: present), let fault = WebhookTarget.fault(of: url) {
            body.note(.badField, name, fault)
        }
        return url
    }

    /// The vendor's object with `tenant_id`.
    static func json(_ profile: ProfileSettings) -> JSON {
        let kept = VendorFields.json(profile.vendorFields)
        func vendor(_ names: String...) -> JSON {
            .object(names.map { JSON.Member(name: $0, value: kept[$0] ?? .null) })
        }
        let head: JSON = [
            "record_type": "messaging_profile", "id": .string(profile.id),
            "tenant_id": .string(profile.tenantID), "name": .string(profile.name),
            "webhook_url": .nonEmpty(profile.webhookURL),
            "webhook_failover_url": .nonEmpty(profile.webhookFailoverURL),
        ]
        let cap = LimitSubject.profileLimit.cap
        let limits: JSON = .object([
            JSON.Member(
                name: cap.name, value: .text(profile.dailySpendLimitNanos.map(cap.text))),
            JSON.Member(name: cap.toggleName, value: .bool(profile.dailySpendLimitEnabled)),
        ])
        let dates: JSON = [
            "created_at": Instant.json(profile.revision.createdAt),
            "updated_at": Instant.json(profile.revision.updatedAt),
        ]
        return head + vendor("enabled", "webhook_api_version", "whitelisted_destinations")
            + dates
            + vendor(
                "number_pool_settings", "url_shortener_settings", "health_webhook_url",
                "mms_fall_back_to_sms", "mms_transcoding")
            + limits
            + vendor(
                "redaction_enabled", "redaction_level", "mobile_only", "smart_encoding",
                "alpha_sender", "ai_assistant_id", "organization_id", "resource_group_id")
            + .object(VendorFields.others(profile.vendorFields))
    }
}
