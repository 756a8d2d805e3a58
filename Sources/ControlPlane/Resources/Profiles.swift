import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Projection

/// `/v2/messaging_profiles`, with the singular path of the seed's page, and `/v2/outbound_voice_profiles`.
struct Profiles: Sendable {
    let core: ControlPlaneContext
    let kind: ProfileKind

    var routes: [Route] {
        let collection = "/v2/\(kind.collection)"
        var routes = [
            Route(.get, collection, .readProfiles, Operations.listProfiles(kind), list),
            Route(.post, collection, .change, Operations.createProfile(kind), create),
        ]
        var paths = [(collection, "")]
        if kind == .messaging { paths.append(("/v2/\(kind.recordType)", "Singular")) }
        for (path, suffix) in paths {
            let one = path + "/{id}"
            routes += [
                Route(.get, one, .readProfiles, Operations.getProfile(kind).named(suffix), get),
                Route(.patch, one, .change, Operations.updateProfile(kind).named(suffix), update),
                Route(.delete, one, .change, Operations.deleteProfile(kind).named(suffix), delete),
            ]
        }
        return routes
    }

    // MARK: Methods

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = ProfileQuery(
            kind, tenantID: reader.text("filter[tenant_id]", bytes: Identifier.lengths),
            idAfter: reader.text("filter[id][after]", bytes: Identifier.lengths),
            name: reader.filter("name"))
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
        var profile = ProfileSettings(
            id: Tenants.id(body, exchange), kind: kind, tenantID: tenantID)
        let unknown = read(body, into: &profile)
        body.finish()
        try body.findings.check()
        guard core.engine.tenant(tenantID) != nil else {
            throw APIError(.notFound, "No such tenant", at: .pointer("/tenant_id"))
        }
        if let present = core.engine.profile(profile.id) {
            // What the first attempt made, or another one just like it.
            if exchange.isRepeated, present.isConfigured(as: profile) {
                return try reply(profile.id, unknown: unknown)
            }
            throw APIError(.duplicate, at: .pointer("/id"))
        }
        do {
            try core.engine.setProfile(profile, from: 0, by: exchange.requester)
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
        guard exchange.caller.mayRead(profile.tenantID) else { throw unknown }
        return try reply(exchange.id)
    }

    func update(_ exchange: Exchange) async throws -> Reply {
        for _ in 0..<Tenants.maximumAttempts {
            let present = try profile(exchange.id)
            try exchange.checkIfMatch(present.revision.tag)
            var changed = present
            let body = try exchange.bodyReader()
            if let tenantID = body.text("tenant_id", bytes: Identifier.lengths).value,
                !tenantID.hasSameBytes(as: present.tenantID)
            {
                body.note(
                    .badField, "tenant_id", "A profile cannot be moved to another tenant")
            }
            let unknown = read(body, into: &changed)
            body.finish()
            try body.findings.check()
            do {
                let change = try core.engine.setProfile(
                    changed, from: present.revision.number, by: exchange.requester)
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
                    profile.id, from: profile.revision.number, by: exchange.requester)
            } catch {
                guard error.code == .conflict else { throw error }
                continue
            }
            return .data(Self.json(profile))
        }
        throw APIError(.conflict)
    }

    // MARK: Parts

    private var unknown: APIError { APIError(.notFound, "No such \(kind.noun)") }

    private func profile(_ id: String) throws(APIError) -> ProfileSettings {
        if let profile = core.engine.profile(id, kind) { return profile }
        throw unknown
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
                "The field \(name) is stored but has no effect"),
            "source": ["pointer": .string(BodyReader.pointer("", name))],
        ]
    }

    /// Takes over the members that are there, but for the id and the tenant. Returns the names of those that are not
    /// known.
    private func read(_ body: BodyReader, into profile: inout ProfileSettings) -> [String] {
        let cap = kind.limit.cap
        ProfileSettings.settings(kind).read(body, into: &profile)
        if profile.dailySpendLimitEnabled, profile.dailySpendLimitNanos == nil,
            body.findings.entries.isEmpty
        {
            body.note(
                .missingField, cap.name, "The \(cap.name) is required when the limit is enabled")
        }
        var unknown: [String] = []
        profile.vendorFields = VendorFields.of(kind).read(
            body, over: profile.vendorFields, unknown: &unknown)
        return unknown
    }

    /// The vendor's object with `tenant_id`, and the addresses of webhooks where the vendor's has none.
    static func json(_ profile: ProfileSettings) -> JSON {
        let fields = VendorFields.of(profile.kind)
        var own: [String: JSON] = [
            "record_type": .string(profile.kind.recordType), "id": .string(profile.id),
            "tenant_id": .string(profile.tenantID),
            "created_at": Instant.json(profile.revision.createdAt),
            "updated_at": Instant.json(profile.revision.updatedAt),
        ]
        for field in profile.fields { own[field.name] = field.value.json }
        let all = own.merging(fields.json(profile.vendorFields)) { own, _ in own }
        return .object(
            fields.order.compactMap { name in all[name].map { (name: name, value: $0) } }
                + fields.others(profile.vendorFields))
    }
}
