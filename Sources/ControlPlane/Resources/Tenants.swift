import Access
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Projection

/// `/v2/tenants`
struct Tenants: Sendable {
    let core: ControlPlaneContext
    /// A change that others keep overtaking is given up after so many attempts.
    static let maximumAttempts = 16

    var routes: [Route] {
        [
            Route(.get, "/v2/tenants", .readConfiguration, Operations.listTenants, list),
            Route(.post, "/v2/tenants", .change, Operations.createTenant, create),
            Route(.get, "/v2/tenants/{id}", .readConfiguration, Operations.getTenant, get),
            Route(.patch, "/v2/tenants/{id}", .change, Operations.updateTenant, update),
            Route(.delete, "/v2/tenants/{id}", .change, Operations.deleteTenant, delete),
            Route(
                .post, "/v2/tenants/{id}/actions/reset_limits", .change,
                Operations.resetLimits, resetLimits),
            Route(
                .post, "/v2/tenants/{id}/actions/suspend", .change, Operations.suspendTenant
            ) { try await setStatus($0, .suspended) },
            Route(
                .post, "/v2/tenants/{id}/actions/reinstate", .change,
                Operations.reinstateTenant
            ) { try await setStatus($0, .active) },
            Route(
                .post, "/v2/tenants/{id}/actions/set_counts", .change, Operations.setCounts,
                setCounts),
        ]
    }

    // MARK: Methods

    func list(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let query = TenantQuery(reader, defaultSort: .id)
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        let found = try await model.tenants(query, page)
        return .page(found, page) { $0.settings.json($0.status) }
    }

    func create(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader()
        var tenant = TenantSettings(id: Self.id(body, exchange))
        tenant.limits = try TenantDefaults(core).present()
        if let preset = body.choice("preset", TenantLimits.presets).value {
            tenant.limits = preset
        }
        TenantSettings.settings.read(body, into: &tenant)
        body.finish()
        try body.findings.check()
        if let present = core.engine.tenant(tenant.id) {
            // What the first attempt made, or another one just like it.
            if exchange.isRepeated, present.isConfigured(as: tenant) {
                return try reply(tenant.id)
            }
            throw APIError(.duplicate, at: .pointer("/id"))
        }
        do {
            try core.engine.setTenant(tenant, from: 0, by: exchange.requester)
        } catch {
            guard error.code == .conflict || error.code == .closed else { throw error }
            throw APIError(
                .duplicate, error.code == .closed ? Self.deleted : nil, at: .pointer("/id"))
        }
        return try reply(tenant.id)
    }

    func get(_ exchange: Exchange) async throws -> Reply { try reply(exchange.id) }

    func update(_ exchange: Exchange) async throws -> Reply {
        let present = try tenant(exchange.id)
        try exchange.checkIfMatch(present.revision.tag)
        let change = try change(exchange, present) { tenant in
            let body = try exchange.bodyReader()
            TenantSettings.settings.read(body, into: &tenant)
            body.finish()
            try body.findings.check()
        }
        return try reply(exchange.id, change)
    }

    func delete(_ exchange: Exchange) async throws -> Reply {
        for _ in 0..<Self.maximumAttempts {
            let tenant = try tenant(exchange.id)
            try exchange.checkIfMatch(tenant.revision.tag)
            do {
                try core.engine.setStatus(
                    ofTenant: tenant.id, .closed, from: tenant.revision.number,
                    by: exchange.requester)
            } catch {
                guard error.code == .conflict else { throw error }
                continue
            }
            await core.engine.endHolds(ofTenant: tenant.id)
            return .data(tenant.json(.closed))
        }
        throw APIError(.conflict)
    }

    func resetLimits(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader(isOptional: true)
        body.finish()
        try body.findings.check()
        let present = try tenant(exchange.id)
        try exchange.checkIfMatch(present.revision.tag)
        let change = try change(exchange, present) { tenant in
            tenant.limits = try TenantDefaults(core).present()
        }
        return try reply(exchange.id, change)
    }

    private func setStatus(_ exchange: Exchange, _ status: TenantStatus) async throws -> Reply {
        let body = try exchange.bodyReader(isOptional: true)
        let reason = body.text("reason", bytes: 0...512).value ?? ""
        body.finish()
        try body.findings.check()
        _ = try tenant(exchange.id)
        guard status != .active else {
            try await core.engine.reinstate(
                tenant: exchange.id, reason: reason, by: exchange.requester)
            return try reply(exchange.id)
        }
        try core.engine.setStatus(
            ofTenant: exchange.id, status, reason: reason, by: exchange.requester)
        await core.engine.endHolds(ofTenant: exchange.id)
        return try reply(exchange.id)
    }

    func setCounts(_ exchange: Exchange) async throws -> Reply {
        let body = try exchange.bodyReader()
        var request = RecordRequest()
        for row in Resource.standing {
            if let count = body.integer(row.name, 0...Int64.max).value {
                request.amounts.set(row.resource.index, count)
            }
        }
        for resource in Resource.allCases where !resource.mayBeCharged && body.has(resource.name) {
            body.note(.badField, resource.name, "\(Resource.chargingDetail)")
        }
        request.reference = body.text("reference", bytes: 0...64, nullable: true).value
        body.finish()
        if request.amounts.isEmpty, body.findings.entries.isEmpty {
            body.findings.note(
                .missingField, .pointer(""),
                "At least one of \(Resource.standing.map(\.name).listed("and")) is required")
        }
        try body.findings.check()
        request.tenantID = try tenant(exchange.id).id
        let counts = request
        _ = try await core.lanes(by: exchange.requester, settles: true) {
            counts.perform(on: $0, isTotal: true)
        }.get()
        return try await Usage(core: core).now(
            tenantID: exchange.id, nil, exchange.caller)
    }

    // MARK: Parts

    static let deleted = "The id was deleted; ids are never reused"

    /// The id of a new resource: the body's, or a new UUID.
    static func id(_ body: BodyReader, _ exchange: Exchange) -> String {
        guard let id = body.text("id", bytes: 1...Identifier.longest).value else {
            return exchange.newID()
        }
        if let fault = Identifier.fault(of: id) { body.note(.badField, "id", "The id \(fault)") }
        return id
    }

    private func tenant(_ id: String) throws(APIError) -> TenantSettings {
        if let tenant = core.engine.tenant(id) { return tenant }
        throw APIError(.notFound, "No such tenant")
    }

    private func reply(_ id: String, _ change: ChangeResult? = nil) throws -> Reply {
        let tenant = try tenant(id)
        let status = try core.engine.status(ofTenant: id) ?? .closed
        return .data(
            tenant.json(status), tag: tenant.revision.tag,
            meta: change.map { ["over_by": $0.json] })
    }

    /// Changes the settings as they are now, however often they change meanwhile. With `If-Match` only as they were.
    private func change(
        _ exchange: Exchange, _ present: TenantSettings,
        _ body: (inout TenantSettings) throws -> Void
    ) throws -> ChangeResult {
        var present = present
        for _ in 0..<Self.maximumAttempts {
            var changed = present
            try body(&changed)
            do {
                return try core.engine.setTenant(
                    changed, from: present.revision.number, by: exchange.requester)
            } catch {
                guard error.code == .conflict else { throw error }
                present = try tenant(exchange.id)
                try exchange.checkIfMatch(present.revision.tag)
            }
        }
        throw APIError(.conflict)
    }
}

extension ChangeResult {
    /// By how much present usage is over each cap; limits that are not over are left out.
    var json: JSON {
        .object(
            LimitKind.catalogue.compactMap { row in
                overBy[row.kind].map {
                    (name: row.name, value: row.resource.json($0))
                }
            })
    }
}

extension TenantQuery {
    /// `filter[id]`, `filter[id][after]`, `filter[name]`, `filter[status]` and `sort`. The nearest to a limit come first,
    /// as the word says.
    init(_ reader: QueryReader, defaultSort: Sort) {
        self.init()
        id = reader.filter("id")
        idAfter = reader.text("filter[id][after]", bytes: Identifier.lengths)
        name = reader.filter("name")
        let statuses = ["active": TenantStatus.active, "suspended": .suspended]
        status = reader.choice("filter[status]", { statuses[$0] }, ["active", "suspended"])
        let given = reader.choice(
            "sort",
            { text -> (Sort, Bool)? in
                let isDescending = text.hasPrefix("-")
                return Sort(rawValue: isDescending ? String(text.dropFirst()) : text)
                    .map { ($0, isDescending) }
            }, Self.sortNames)
        let (order, isReversed) = given ?? (defaultSort, false)
        sort = order
        descending = isReversed != order.putsHighestFirst
    }

    static var sortNames: [String] {
        Sort.allCases.flatMap { [$0.rawValue, "-" + $0.rawValue] }
    }
}

extension Reply {
    /// A part of a list with the vendor's `meta`.
    ///
    /// - Parameter more: what else `meta` has.
    static func page<Row>(
        _ found: Paged<Row>, _ page: Page, meta more: JSON = [:], _ json: (Row) -> JSON
    ) -> Reply {
        let meta: JSON = [
            "total_pages": .integer((found.total + page.size - 1) / page.size),
            "total_results": .integer(found.total), "page_number": .integer(page.number),
            "page_size": .integer(page.size),
        ]
        return Reply(["data": .array(found.rows.map(json)), "meta": meta + more])
    }

    /// A part of a list that is short enough to be at hand as a whole.
    static func page<Row: Sendable>(all rows: [Row], _ page: Page, _ json: (Row) -> JSON) -> Reply {
        let part = rows.dropFirst((page.number - 1) * page.size).prefix(page.size)
        return .page(Paged(rows: Array(part), total: rows.count), page, json)
    }
}
