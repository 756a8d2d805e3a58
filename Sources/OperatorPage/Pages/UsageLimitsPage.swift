import ControlPlane
import JSON
import Limits
import Projection

/// Settings → Usage Limits: every tenant in the guide's table.
struct UsageLimitsPage: Sendable {
    let context: PageContext

    private static func columns(
        _ limits: [LimitRow]
    ) -> [(title: String, sort: TenantQuery.Sort?)] {
        [("Name", .name)] + limits.map { ($0.cap.columnTitle, .limit($0.kind)) } + [
            ("Alert Threshold (%)", nil), ("Auto-Suspend", nil), ("Actions", nil),
        ]
    }
    /// Those of the guide's table, and further ones that a tenant of these has a cap for.
    private static func limits(of tenants: [TenantRow]) -> [LimitRow] {
        LimitSubject.tenant.limits.filter { limit in
            limit.cap.isCommon || tenants.contains { $0.settings.limits[limit.kind] != nil }
        }
    }
    private static let sorts: [(value: String, label: String)] = {
        let limits = LimitSubject.tenant.limits
        // What adds up before what stands.
        let ordered =
            limits.filter { $0.window != .standing } + limits.filter { $0.window == .standing }
        return [
            ("name", "Name"), ("-name", "Name, Z to A"), ("nearest_to_limit", "Nearest to a limit"),
        ] + ordered.map { ("-" + $0.sortName, $0.words.most) } + [("-created_at", "Newest")]
            + ordered.map { ($0.sortName, $0.words.least) }
    }()

    /// What the query parameters ask for.
    private struct Choice {
        var search: String
        var status: String
        var sort: String
        var page: Int

        init(_ request: PageRequest) {
            search = request.text("q")
            status = request.text("status")
            let asked = request.text("sort")
            sort = UsageLimitsPage.sorts.contains { $0.value == asked } ? asked : "name"
            page = request.page()
        }

        var query: TenantQuery {
            var query = TenantQuery()
            let isReversed = sort.hasPrefix("-")
            query.sort =
                TenantQuery.Sort(rawValue: isReversed ? String(sort.dropFirst()) : sort) ?? .name
            query.descending = isReversed != query.sort.putsHighestFirst
            query.status = ["active": .active, "suspended": .suspended][status]
            return query
        }

        func link(sort: String? = nil, page: Int = 1) -> String {
            Links.path(
                "/settings/usage-limits",
                [
                    ("q", search), ("status", status), ("sort", sort ?? self.sort),
                    ("page", page == 1 ? "" : String(page)),
                ])
        }
    }

    func reply(_ request: PageRequest, _ visitor: Visitor) async throws -> PageReply {
        let model = try context.readModel()
        await model.caughtUp()
        let choice = Choice(request)
        let page = Page(number: choice.page, size: context.settings.pageSize)
        let found = try await find(choice, page, model)
        let defaults = try context.engine.tenantDefaults
        let limits = Self.limits(of: found.rows)
        return context.page(
            "usage-limits", visitor, current: "/settings/usage-limits",
            [
                "search": choice.search,
                "statuses": [
                    option("", "All", selected: choice.status),
                    option("active", "Active", selected: choice.status),
                    option("suspended", "Suspended", selected: choice.status),
                ],
                "sorts": Self.sorts.map { option($0.value, $0.label, selected: choice.sort) },
                "columns": Self.columns(limits).map { Self.column($0, choice) },
                "rows": found.rows.map { Self.row($0, limits) }, "hasRows": !found.rows.isEmpty,
                "eventsPath": Links.path(
                    "/settings/usage-limits/events",
                    [("ids", found.rows.map(\.settings.id).joined(separator: "\n"))]),
                "emptyText": choice.search.isEmpty && choice.status.isEmpty
                    ? "There are no tenants yet." : "No matching tenants.",
                "pager": Pager.fields(
                    label: "Tenants", number: page.number, size: page.size, total: found.total
                ) { choice.link(page: $0) },
                "edit": defaults.formFields(prefix: "edit"),
                "create": defaults.formFields(prefix: "new"), "defaultsJSON": defaults.json.text,
                "presetsJSON": TenantLimits.presetsJSON,
            ])
    }

    /// By name; by id if no name fits.
    private func find(
        _ choice: Choice, _ page: Page, _ model: any ReadModel
    ) async throws -> Paged<TenantRow> {
        var query = choice.query
        guard !choice.search.isEmpty else { return try await model.tenants(query, page) }
        query.name = .contains(choice.search)
        let named = try await model.tenants(query, page)
        guard named.total == 0 else { return named }
        query.name = nil
        query.id = .contains(choice.search)
        return try await model.tenants(query, page)
    }

    private static func column(
        _ column: (title: String, sort: TenantQuery.Sort?), _ choice: Choice
    ) -> Fields {
        guard let sort = column.sort?.rawValue else {
            return ["title": column.title, "link": nil, "sorted": nil]
        }
        // Names begin with A, amounts with the highest.
        let (first, second) = sort == "name" ? (sort, "-" + sort) : ("-" + sort, sort)
        let sorted: String? =
            switch choice.sort {
            case sort: "ascending"
            case "-" + sort: "descending"
            default: nil
            }
        return [
            "title": column.title, "sorted": sorted,
            "link": choice.link(sort: choice.sort == first ? second : first),
        ]
    }

    private static func row(_ row: TenantRow, _ limits: [LimitRow]) -> Fields {
        [
            "id": row.settings.id, "name": row.shownName, "path": Links.tenant(row.settings.id),
            "suspended": row.status == .suspended, "cells": row.limitFields(limits),
            "threshold": row.thresholdText, "autoSuspend": row.autoSuspendText,
        ]
    }
}
