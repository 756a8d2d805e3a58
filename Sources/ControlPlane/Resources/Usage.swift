import Access
import Engine
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Notation
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
            ) { try await daily($0, of: nil) },
        ] + ProfileKind.allCases.flatMap(ofProfiles) + [
            Route(.get, "/v2/usage", .readReports, Operations.listUsage, list)
        ]
    }

    private func ofProfiles(_ kind: ProfileKind) -> [Route] {
        let path = "/v2/\(kind.collection)/{id}/usage"
        return [
            Route(.get, path, .readUsage, Operations.profileUsage(kind)) {
                try await ofProfile($0, kind)
            },
            Route(.get, path + "/daily", .readDays, Operations.profileDailyUsage(kind)) {
                try await daily($0, of: kind)
            },
        ]
    }

    // MARK: Now

    func ofTenant(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let profile = reader.profile()
        try reader.finish()
        guard exchange.caller.mayRead(exchange.id) else {
            throw APIError(.notFound, "No such tenant")
        }
        return try await now(tenantID: exchange.id, profile, exchange.caller)
    }

    func ofProfile(_ exchange: Exchange, _ kind: ProfileKind) async throws -> Reply {
        try exchange.queryReader().finish()
        guard let profile = core.engine.profile(exchange.id, kind),
            exchange.caller.mayRead(profile.tenantID)
        else { throw APIError(.notFound, "No such \(kind.noun)") }
        let id = exchange.id
        let answer = try await core.lanes(by: exchange.requester) {
            $0.usage(tenantID: profile.tenantID, ProfileReference(id: id, kind: kind))
        }.get()
        let views = answer.limits.views(tenantID: profile.tenantID, profileID: id)
        let head: JSON = .object([
            (name: "record_type", value: .string(kind.recordType + "_usage")),
            (name: kind.idField, value: .string(id)),
        ])
        return .data(
            head + [
                "tenant_id": .string(profile.tenantID),
                "tenant_status": .string(answer.tenantStatus.name),
                "as_of": Instant.json(answer.limits.asOf),
                "limits": .array(views.filter { $0.row.subject == kind.subject }.map { $0.json() }),
            ])
    }

    /// What a tenant uses at this instant, as far as the caller may see it.
    func now(
        tenantID: String, _ profile: ProfileReference?, _ caller: Caller
    ) async throws -> Reply {
        let answer = try await core.lanes(by: Requester(caller: caller.number)) {
            $0.usage(tenantID: tenantID, profile)
        }.get()
        // Asked after the usage: a disclosure that is taken back meanwhile does not show.
        let disclosure = core.disclosure(to: caller)
        let views = answer.limits.views(tenantID: tenantID, profileID: profile?.id ?? "")
        return .data([
            "record_type": "usage", "tenant_id": .string(tenantID),
            "tenant_status": .string(answer.tenantStatus.name),
            "as_of": Instant.json(answer.limits.asOf),
            "limits": .array(views.map { $0.json(disclosure) }),
        ])
    }

    // MARK: By day

    /// - Parameter kind: the exchange is about a profile of this kind; nil: about a tenant.
    private func daily(_ exchange: Exchange, of kind: ProfileKind?) async throws -> Reply {
        let reader = exchange.queryReader()
        let today = core.now - core.now % Self.day
        let last = reader.day("to")
        let to = last ?? today
        // Of a tenant east of Greenwich tomorrow has begun.
        let end = to + (last == nil ? 2 : 1) * Self.day
        let from = reader.day("from") ?? to - 29 * Self.day
        if from > to { reader.note(.outOfRange, "from", "The start must not be after the end") }
        if to - from >= Self.maximumDays * Self.day {
            reader.note(.outOfRange, "from", "The range must be at most \(Self.maximumDays) days")
        }
        let profile =
            kind.map { ProfileReference(id: exchange.id, kind: $0) }
            ?? reader.profile(isFilter: true)
        let page = reader.page()
        try reader.finish()
        var tenantID = exchange.id
        if let profile {
            guard let settings = core.engine.profile(profile.id, profile.kind),
                kind != nil || settings.tenantID.hasSameBytes(as: tenantID),
                exchange.caller.mayRead(settings.tenantID)
            else { throw APIError(.notFound, "No such \(profile.kind.noun)") }
            tenantID = settings.tenantID
        } else if core.engine.tenant(tenantID) == nil || !exchange.caller.mayRead(tenantID) {
            throw APIError(.notFound, "No such tenant")
        }
        let model = try core.readModel()
        await model.caughtUp()
        let rows = try await model.dailyUsage(
            tenantID: tenantID, profileID: profile?.id, from: from, to: end)
        let disclosure = core.disclosure(to: exchange.caller)
        return .page(all: rows, page) { row in
            [
                "record_type": "daily_usage", "date": .string(Instant.day(row.day)),
                "tenant_id": .string(tenantID),
            ] + .ids(of: profile) + [
                "usage": row.committed.json, "allowed": .integer(row.allowed),
                "denied": .integer(row.denied), "refusals": Self.json(row.refusals, disclosure),
                "final": .bool(row.isFinal),
            ]
        }
    }

    /// By code; of the tenant's own limits and its suspension only who may know of them is told.
    private static func json(_ refusals: [UInt32: Int64], _ disclosure: Disclosure) -> JSON {
        let own = LimitKind.catalogue.filter { $0.subject != .tenant }.map(\.error.rawValue)
        let shown = refusals.filter { disclosure == .full || own.contains($0.key) }
        return .object(
            shown.sorted { $0.key < $1.key }
                .map { (name: "\($0.key)", value: .integer($0.value)) })
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
