import Access
import Engine
import HTTPTypes
import Hummingbird
import Limits
import Projection

/// What is used: now, from the engine; by day and of all tenants, from the projection.
struct Usage: Sendable {
    let core: ControlPlaneContext
    /// Days of one answer.
    static let maximumDays: Int64 = 400
    static let day: Int64 = 86_400_000

    var routes: [Route] {
        [
            Route(.get, "/v2/tenants/{id}/usage", .readUsage, Operations.tenantUsage, ofTenant),
            Route(
                .get, "/v2/tenants/{id}/usage/daily", .readDays, Operations.tenantDailyUsage
            ) { try await daily($0, isProfile: false) },
            Route(
                .get, "/v2/messaging_profiles/{id}/usage", .readUsage, Operations.profileUsage,
                ofProfile),
            Route(
                .get, "/v2/messaging_profiles/{id}/usage/daily", .readDays,
                Operations.profileDailyUsage
            ) { try await daily($0, isProfile: true) },
            Route(.get, "/v2/usage", .readReports, Operations.listUsage, list),
        ]
    }

    // MARK: Now

    func ofTenant(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let profileID = reader.text("messaging_profile_id", bytes: 1...64)
        try reader.finish()
        guard exchange.caller.mayRead(exchange.id) else {
            throw APIError(.notFound, "There is no such tenant")
        }
        return try await now(tenantID: exchange.id, profileID: profileID, exchange.caller)
    }

    func ofProfile(_ exchange: Exchange) async throws -> Reply {
        try exchange.queryReader().finish()
        guard let profile = core.engine.profile(exchange.id),
            exchange.caller.mayRead(profile.tenantID)
        else { throw APIError(.notFound, "There is no such messaging profile") }
        let id = exchange.id
        let answer = try await core.lanes(by: exchange.caller.number) {
            $0.usage(tenantID: profile.tenantID, profileID: id)
        }.get()
        let views = answer.limits.views(tenantID: profile.tenantID, profileID: id)
        return .data([
            "record_type": "messaging_profile_usage", "messaging_profile_id": .string(id),
            "tenant_id": .string(profile.tenantID),
            "tenant_status": .string(answer.tenantStatus.name),
            "as_of": Instant.json(answer.limits.asOf),
            "limits": .array(
                views.filter { $0.row.subject == .messagingProfile }.map { $0.json() }),
        ])
    }

    /// What a tenant uses at this instant, as far as the caller may see it.
    func now(tenantID: String, profileID: String?, _ caller: Caller) async throws -> Reply {
        let answer = try await core.lanes(by: caller.number) {
            $0.usage(tenantID: tenantID, profileID: profileID)
        }.get()
        // Asked after the usage: a disclosure that is taken back meanwhile does not show.
        let disclosure = core.disclosure(to: caller)
        let views = answer.limits.views(tenantID: tenantID, profileID: profileID ?? "")
        return .data([
            "record_type": "usage", "tenant_id": .string(tenantID),
            "tenant_status": .string(answer.tenantStatus.name),
            "as_of": Instant.json(answer.limits.asOf),
            "limits": .array(views.map { $0.json(disclosure) }),
        ])
    }

    // MARK: By day

    private func daily(_ exchange: Exchange, isProfile: Bool) async throws -> Reply {
        let reader = exchange.queryReader()
        let today = core.now - core.now % Self.day
        let last = reader.day("to")
        let to = last ?? today
        // Of a tenant east of Greenwich tomorrow has begun.
        let end = to + (last == nil ? 2 : 1) * Self.day
        let from = reader.day("from") ?? to - 29 * Self.day
        if from > to { reader.note(.outOfRange, "from", "The from must not be after the to") }
        if to - from >= Self.maximumDays * Self.day {
            reader.note(.outOfRange, "from", "At most \(Self.maximumDays) days can be asked for")
        }
        var profileID: String?
        if !isProfile {
            profileID = reader.text("filter[messaging_profile_id]", bytes: 1...64)
        }
        let page = reader.page()
        try reader.finish()
        var tenantID = exchange.id
        if isProfile { profileID = exchange.id }
        if let profileID {
            guard let profile = core.engine.profile(profileID),
                isProfile || profile.tenantID.hasSameBytes(as: tenantID),
                exchange.caller.mayRead(profile.tenantID)
            else { throw APIError(.notFound, "There is no such messaging profile") }
            tenantID = profile.tenantID
        } else if core.engine.tenant(tenantID) == nil || !exchange.caller.mayRead(tenantID) {
            throw APIError(.notFound, "There is no such tenant")
        }
        let model = try core.readModel()
        await model.caughtUp()
        let rows = try await model.dailyUsage(
            tenantID: tenantID, profileID: profileID, from: from, to: end)
        let disclosure = core.disclosure(to: exchange.caller)
        return .page(all: rows, page) { row in
            [
                "record_type": "daily_usage", "date": .string(Instant.day(row.day)),
                "tenant_id": .string(tenantID), "messaging_profile_id": .text(profileID),
                "usage": row.committed.json, "allowed": .integer(row.allowed),
                "denied": .integer(row.denied), "refusals": Self.json(row.refusals, disclosure),
                "final": .bool(row.isFinal),
            ]
        }
    }

    /// By code; of the tenant's own limits and its suspension only who may know of them is told.
    private static func json(_ refusals: [UInt32: Int64], _ disclosure: Disclosure) -> JSON {
        let own = LimitKind.catalogue.filter { $0.subject == .messagingProfile }
            .map(\.error.rawValue)
        let shown = refusals.filter { disclosure == .full || own.contains($0.key) }
        return .object(
            shown.sorted { $0.key < $1.key }
                .map { JSON.Member(name: "\($0.key)", value: .integer($0.value)) })
    }

    // MARK: Of all tenants

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let query = TenantQuery(reader, defaultSort: .nearestToLimit)
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        let found = try await model.usage(query, page)
        return .page(found, page) { row in
            let views = row.usage.map { LimitView($0, subjectID: row.settings.id) }
            let fullest = views.compactMap { view in view.percent.map { (view.row.name, $0) } }
                .max { $0.1 < $1.1 }
            return [
                "record_type": "usage", "tenant_id": .string(row.settings.id),
                "tenant_name": .string(row.settings.name),
                "tenant_status": .string(row.status.name),
                "nearest_limit": .text(fullest?.0),
                "nearest_limit_percent": fullest.map { .integer($0.1) } ?? .null,
                "limits": .array(views.map { $0.json() }),
            ]
        }
    }
}
