import Access
import Engine
import Events
import HTTPTypes
import Hummingbird
import JSON
import Limits
import Notation
import Projection

/// `/v2/reports`: what all tenants used, by month and cycle, by day and hour; and what is to come.
struct Reports: Sendable {
    let core: ControlPlaneContext
    private let health: Health
    /// Reports over all tenants that are made at one time: each reads for up to a second or two, and lists use the same
    /// readers.
    static let atOnce = 2
    private let limiter = ConcurrencyLimiter(maximum: Reports.atOnce)

    init(core: ControlPlaneContext) {
        self.core = core
        health = Health(core: core)
    }

    private static let day = ProfileState.dayLength

    var routes: [Route] {
        [
            Route(
                .get, "/v2/reports/overview", .readReports, Operations.overview, limited(overview)),
            Route(
                .get, "/v2/reports/invoices", .readReports, Operations.listInvoices,
                limited(invoices)),
            Route(.get, "/v2/reports/invoices/{id}", .readReports, Operations.getInvoice, invoice),
            Route(.get, "/v2/reports/usage", .readReports, Operations.usageSeries, series),
            Route(
                .get, "/v2/reports/forecast", .readReports, Operations.forecast, limited(forecast)),
        ]
    }

    private func limited(
        _ make: @escaping @Sendable (Exchange) async throws -> Reply
    ) -> @Sendable (Exchange) async throws -> Reply {
        { [limiter] exchange in
            try await limiter.within("Too many reports in progress") { try await make(exchange) }
        }
    }

    // MARK: Invoices

    func invoices(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = InvoiceQuery(cycle(reader))
        query.tenantID = reader.text("filter[tenant_id]", bytes: 1...64)
        let sort = reader.choice(
            "sort",
            { text -> (InvoiceQuery.Sort, Bool)? in
                let isDescending = text.hasPrefix("-")
                return InvoiceQuery.Sort(
                    rawValue: isDescending ? String(text.dropFirst()) : text
                ).map { ($0, isDescending) }
            }, InvoiceQuery.sortNames)
        (query.sort, query.descending) = sort ?? (.tenantID, false)
        let isCSV = exchange.wantsCSV(reader)
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        if isCSV {
            let report = try await model.invoices(query, Page(size: 1))
            try checkRows(report.total)
            return .csv(
                ReportTables.invoices(try await model.invoices(query, nil).rows),
                name: "invoices-\(query.cycle.text).csv")
        }
        let report = try await model.invoices(query, page)
        return .page(
            Paged(rows: report.rows, total: report.total), page,
            meta: [
                "cycle": .string(query.cycle.text),
                "totals": report.totals.json + [
                    "extensions": .integer(report.totalExtensions),
                    "dids": .integer(report.totalDIDs),
                ],
            ] + report.basis.json
        ) { $0.json }
    }

    func invoice(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let cycle = cycle(reader)
        let isCSV = exchange.wantsCSV(reader)
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        guard let detail = try await model.invoice(tenantID: exchange.id, cycle) else {
            throw APIError(.notFound, "No such tenant")
        }
        if isCSV {
            return .csv(
                ReportTables.days(detail.days), name: "invoice-by-day-\(cycle.text).csv")
        }
        return .data(
            detail.invoice.json + [
                "days": .array(
                    detail.days.map { day in
                        let head: JSON = ["date": .string(Instant.day(day.day))]
                        return head + day.figures.json + ["refusals": Self.json(day.refusals)]
                    })
            ],
            meta: ["cycle": .string(cycle.text)] + detail.basis.json)
    }

    /// `cycle`; without it the present month.
    private func cycle(_ reader: QueryReader) -> InvoiceCycle {
        let known = reader.text("cycle").map { text in
            let cycle = InvoiceCycle(text)
            if cycle == nil {
                reader.note(
                    .badField, "cycle",
                    "Must be a month like \"2026-11\", \"current\" or \"previous\"")
            }
            return cycle
        }
        let today = Instant.day(core.now)
        return (known ?? InvoiceCycle(String(today.prefix(7)))) ?? .current
    }

    private func checkRows(_ count: Int) throws(APIError) {
        let most = core.settings.maximumReportRows
        guard count > most else { return }
        throw APIError(
            .unprocessable,
            "The report has \(count) rows, more than the \(most) allowed in a CSV file (--report-max-rows); filter by tenant, or ask for JSON by page"
        )
    }

    // MARK: Series

    func series(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        var query = range(reader)
        query.tenantID = reader.text("filter[tenant_id]", bytes: 1...64)
        let profile = reader.profile(isFilter: true)
        query.profileID = profile?.id
        query.action = reader.choice(
            "filter[action]", { Action.word($0) }, DataPlane.actions.map(\.key) + ["unspecified"])
        query.code = reader.choice(
            "filter[code]", { text in Self.codes.first { "\($0)" == text } },
            Self.codes.map { "\($0)" })
        if query.action != nil, query.code != nil {
            reader.note(
                .badField, "filter[code]",
                "Refusals are not counted by action and code; use one of the two filters")
        }
        let compares = reader.choice("compare", { $0 == "previous" ? true : nil }, ["previous"])
        let isCSV = exchange.wantsCSV(reader)
        try reader.finish()
        if let profile, core.engine.profile(profile.id, profile.kind) == nil {
            throw APIError(.notFound, "No such \(profile.kind.noun)")
        }
        let model = try core.readModel()
        await model.caughtUp()
        guard let series = try await model.series(query) else {
            throw APIError(.notFound, "No such tenant or profile")
        }
        if isCSV { return .csv(ReportTables.series(series.points, query), name: "usage.csv") }
        var meta: JSON = [
            "interval": .string(query.interval.rawValue), "from": query.json(query.from),
            "to": query.json(query.last), "totals": Self.total(series.points),
        ]
        if compares == true {
            let before = query.before
            let points = try await model.series(before)?.points ?? []
            meta =
                meta + [
                    "previous": [
                        "from": before.json(before.from), "to": before.json(before.last),
                        "data": .array(points.map { Self.json($0, before) }),
                        "totals": Self.total(points),
                    ]
                ]
        }
        return Reply([
            "data": .array(series.points.map { Self.json($0, query) }),
            "meta": meta + series.basis.json,
        ])
    }

    /// `interval`, `from` and `to`: days by their dates, both included; hours by instants, the last one excluded.
    private func range(_ reader: QueryReader) -> SeriesQuery {
        let interval =
            reader.choice(
                "interval", { SeriesQuery.Interval(rawValue: $0) },
                SeriesQuery.Interval.allCases.map(\.rawValue)) ?? .day
        var query = SeriesQuery(interval, from: 0, to: 0)
        let most: Int
        if interval == .day {
            most = core.settings.maximumReportDays
            let last = reader.day("to") ?? ProfileState.dayStart(of: core.now)
            query.from = reader.day("from") ?? max(0, last - 29 * Self.day)
            query.to = last + Self.day
        } else {
            most = core.settings.maximumHourlyDays
            let hour = interval.length
            let end = reader.instant("to") ?? core.now
            query.to = (end + hour - 1) / hour * hour
            query.from =
                (reader.instant("from") ?? max(0, query.to - Self.day)) / hour * hour
        }
        if query.from >= query.to {
            reader.note(.outOfRange, "from", "The start must not be after the end")
        } else if query.to - query.from > Int64(most) * Self.day {
            reader.note(
                .outOfRange, "from",
                "The range must be at most \(most) days by \(interval.rawValue)")
        }
        return query
    }

    /// Of everything that can be refused.
    private static let codes: [UInt32] = Array(
        Set(LimitKind.catalogue.map(\.error.rawValue) + [ErrorCode.suspended.rawValue])
    ).sorted()

    private static func json(_ point: SeriesPoint, _ query: SeriesQuery) -> JSON {
        let head: JSON = [
            "record_type": "usage_point",
            query.interval == .day ? "date" : "time": query.json(point.start),
        ]
        let body = head + point.figures.json
        return query.action == nil ? body + ["refusals": json(point.refusals)] : body
    }

    static func json(_ refusals: [UInt32: Int64]) -> JSON {
        .object(
            refusals.sorted { $0.key < $1.key }
                .map { (name: "\($0.key)", value: .integer($0.value)) })
    }

    private static func total(_ points: [SeriesPoint]) -> JSON {
        var total = UsageFigures()
        for point in points { total.add(point.figures) }
        return total.json
    }

    // MARK: Forecast and overview

    func forecast(_ exchange: Exchange) async throws -> Reply {
        let reader = exchange.queryReader()
        let page = reader.page()
        try reader.finish()
        let model = try core.readModel()
        await model.caughtUp()
        let forecast = try await model.forecast(page)
        return .page(
            Paged(rows: forecast.rows, total: forecast.total), page,
            meta: forecast.json + forecast.basis.json
        ) { $0.json }
    }

    func overview(_ exchange: Exchange) async throws -> Reply {
        try exchange.queryReader().finish()
        let model = try core.readModel()
        await model.caughtUp()
        let overview = try await model.overview()
        let waiting = try await model.pendingDeliveries()
        let reason = await health.trouble()
        let state: JSON = ["status": reason == nil ? "ready" : "trouble", "reason": .text(reason)]
        return .data(
            overview.json + [
                "alerts": try alerts(),
                "health": state + health.parts + [
                    "deliveries": [
                        "pending": .integer(waiting.count),
                        "oldest_pending_at": waiting.oldest.map(Instant.json) ?? .null,
                    ]
                ],
            ],
            meta: overview.forecast.json + overview.forecast.basis.json)
    }

    /// Whether anybody is told of alerts.
    private func alerts() throws -> JSON {
        let endpoints = try core.engine.settings(prefix: WebhookEndpoint.settingPrefix).values
            .count { try SettingValue.decode(WebhookEndpoint.self, $0).enabled }
        let recipients = try core.engine.settings(prefix: EmailRecipient.settingPrefix).values
            .count { try SettingValue.decode(EmailRecipient.self, $0).enabled }
        let hasMail = core.settings.hasMailServer
        var problems: [JSON] = []
        if endpoints == 0, recipients == 0 { problems.append("no_recipient") }
        if recipients > 0, !hasMail { problems.append("no_mail_server") }
        return [
            "webhook_endpoints": .integer(endpoints), "email_recipients": .integer(recipients),
            "mail_server": .bool(hasMail), "problems": .array(problems),
        ]
    }
}

extension Exchange {
    /// `format=csv`, or that `Accept` names CSV before JSON.
    func wantsCSV(_ reader: QueryReader) -> Bool {
        let format = reader.choice(
            "format", { ["json", "csv"].contains($0) ? $0 : nil }, ["json", "csv"])
        if let format { return format == "csv" }
        let types = (headers[.accept] ?? "").lowercased().split(separator: ",").map { part in
            part.prefix { $0 != ";" }.trimming { $0 == " " }
        }
        let csv = types.firstIndex(of: "text/csv") ?? .max
        return csv < types.firstIndex(of: "application/json") ?? .max
    }
}

extension Reply {
    /// - Parameter name: of the file.
    static func csv(_ table: CSVTable, name: String) -> Reply {
        var reply = Reply(text: table.text, contentType: "text/csv; charset=utf-8")
        reply.headers[.contentDisposition] = "attachment; filename=\"\(name)\""
        return reply
    }
}

extension InvoiceQuery {
    static var sortNames: [String] {
        Sort.allCases.flatMap { [$0.rawValue, "-" + $0.rawValue] }
    }
}

extension Action {
    /// As REST calls it.
    var word: String { DataPlane.actions.first { $0.value == self }?.key ?? "unspecified" }

    static func word(_ text: String) -> Action? { allCases.first { $0.word == text } }
}
