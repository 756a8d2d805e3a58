import JSON
import Limits
import Notation
import Projection

// Reports as JSON and as CSV.

extension UsageFigures {
    static func word(_ action: ReportAction) -> String { action?.word ?? "unknown" }

    /// The same members everywhere.
    var json: JSON {
        [
            "spend": Resource.spend.json(spend),
            "spend_by_action": .object(
                Self.actions.map {
                    (name: Self.word($0), value: Resource.spend.json(spend($0)))
                }),
            "overage": Resource.spend.json(overage), "call_seconds": .integer(callSeconds),
            "inbound_call_seconds": .integer(callSeconds(.inboundCall)),
            "outbound_call_seconds": .integer(callSeconds(.outboundCall)),
            "other_call_seconds": .integer(otherCallSeconds), "messages": .integer(messages),
            "extensions_change": .integer(extensionChange), "dids_change": .integer(didChange),
            "allowed": .integer(allowed), "denied": .integer(denied),
        ]
    }

    static let csvColumns =
        ["spend_usd"] + actions.map { "spend_\(word($0))_usd" } + [
            "overage_usd", "call_seconds", "inbound_call_seconds", "outbound_call_seconds",
            "other_call_seconds", "messages", "extensions_change", "dids_change", "allowed",
            "denied",
        ]

    var cells: [String] {
        ([spend] + Self.actions.map { spend($0) } + [overage]).map { Money.format($0) }
            + [
                callSeconds, callSeconds(.inboundCall), callSeconds(.outboundCall),
                otherCallSeconds, messages, extensionChange, didChange, allowed, denied,
            ].map { "\($0)" }
    }
}

extension ReportBasis {
    var json: JSON {
        ["by_action_since": Instant.json(byActionSince), "as_of": Instant.json(asOf)]
    }
}

extension InvoiceRow {
    /// The last day.
    var last: Int64 { to - ProfileState.dayLength }

    /// By how much the cycle's usage, and what there was at its end, exceeds the caps of now.
    var overBy: [(row: LimitRow, amount: Int64)] {
        let used: [(LimitKind, Int64)] = [
            (.tenantMonthlySpend, figures.spend), (.tenantMonthlyMinutes, figures.callSeconds),
            (.tenantExtensions, extensions), (.tenantDIDs, dids),
        ]
        return used.compactMap { kind, used in
            guard let cap = settings.limits[kind], used > cap else { return nil }
            return (kind.row, used - cap)
        }
    }

    var json: JSON {
        let head: JSON = [
            "record_type": "invoice", "tenant_id": .string(settings.id),
            "tenant_name": .string(settings.name), "tenant_status": .string(status.name),
            "time_zone": .string(settings.timeZone), "from": .string(Instant.day(from)),
            "to": .string(Instant.day(last)),
        ]
        return head + figures.json + [
            "extensions": .integer(extensions), "dids": .integer(dids),
            "caps": .object(
                CapSetting.all.map { cap in
                    let value = settings.limits[cap]
                    return (name: cap.name, value: value.map { cap.json($0) } ?? .null)
                }),
            "over_by": .object(
                overBy.map { (name: $0.row.name, value: $0.row.resource.json($0.amount)) }),
            "final": .bool(isFinal),
        ]
    }
}

extension CapSetting {
    /// As it is configured.
    fileprivate func json(_ kept: Int64) -> JSON {
        unit == .amount ? .string(Money.format(kept)) : .integer(configured(kept))
    }
}

extension SeriesQuery {
    /// The last day, or the end of the last hour.
    var last: Int64 { interval == .day ? to - ProfileState.dayLength : to }

    func json(_ start: Int64) -> JSON {
        interval == .day ? .string(Instant.day(start)) : .string(Instant.text(start))
    }
}

extension ForecastRow {
    var json: JSON {
        let amount = kind.row.resource.json
        return [
            "record_type": "forecast", "tenant_id": .string(settings.id),
            "tenant_name": .string(settings.name), "tenant_status": .string(status.name),
            "limit": .string(kind.row.name), "used": amount(used), "cap": amount(cap),
            "expected": amount(expected), "cycle_start": Instant.json(cycleStart),
            "cycle_end": Instant.json(cycleEnd), "reached_at": Instant.json(reachedAt),
        ]
    }
}

extension Forecast {
    /// How it is made, for the reader.
    static let method = """
        Linear with weekday factors: what a cycle has used so far, held amounts included, goes on at the same rate. Days \
        count by their weekday: the mean use of all tenants on that weekday in the last 56 days (UTC) compared with the mean \
        of all weekdays; with fewer than 14 days of usage all weekdays are alike. Cycles in their first 24 hours, suspended \
        tenants and caps that are reached already are left out.
        """

    private static let weekdays = [
        "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
    ]

    var json: JSON {
        [
            "method": .string(Self.method), "tenants_examined": .integer(examined),
            "tenants": .integer(tenants),
            "weekday_factors": .object(
                Resource.allCases.compactMap { resource in
                    guard let factors = weekdayFactors[resource] else { return nil }
                    let days = zip(Self.weekdays, factors).map { name, factor in
                        (name: name, value: JSON.decimal((factor * 1_000).rounded() / 1_000))
                    }
                    return (name: resource.name, value: .object(days))
                }),
        ]
    }
}

extension OverviewReport {
    var json: JSON {
        [
            "record_type": "overview",
            "tenants": [
                "active": .integer(active), "suspended": .integer(suspended),
                "total": .integer(active + suspended),
            ],
            "running_cycles": [
                "spend": Resource.spend.json(cycleSpend),
                "call_seconds": .integer(cycleCallSeconds),
            ],
            "today": today.json, "yesterday": yesterday.json, "this_month": thisMonth.json,
            "last_month": lastMonth.json, "last_month_to_date": lastMonthToDate.json,
            "denials": .array(
                denials.map {
                    [
                        "date": .string(Instant.day($0.day)),
                        "refusals": Reports.json($0.byCode),
                    ]
                }),
            "forecast": .array(forecast.rows.map(\.json)),
        ]
    }
}

/// Reports as files for spreadsheets.
enum ReportTables {
    static func invoices(_ rows: [InvoiceRow]) -> CSVTable {
        let caps = CapSetting.all
        var table = CSVTable(
            ["tenant_id", "tenant_name", "tenant_status", "time_zone", "from", "to"]
                + UsageFigures.csvColumns + ["extensions", "dids"]
                + caps.map { $0.unit == .amount ? $0.name + "_usd" : $0.name }
                + ["over_by", "final"])
        for row in rows {
            let over = row.overBy.map { "\($0.row.name) \($0.row.resource.plain($0.amount))" }
            var cells = [
                row.settings.id, row.settings.name, row.status.name, row.settings.timeZone,
                Instant.day(row.from), Instant.day(row.last),
            ]
            cells += row.figures.cells
            cells += ["\(row.extensions)", "\(row.dids)"]
            cells += caps.map { cap in row.settings.limits[cap].map { cap.text($0) } ?? "" }
            cells += [over.joined(separator: "; "), row.isFinal ? "true" : "false"]
            table.append(cells)
        }
        return table
    }

    static func days(_ days: [InvoiceDetail.Day]) -> CSVTable {
        var table = CSVTable(["date"] + UsageFigures.csvColumns + ["refusals"])
        for day in days {
            table.append(
                [Instant.day(day.day)] + day.figures.cells + [cell(day.refusals)])
        }
        return table
    }

    static func series(_ points: [SeriesPoint], _ query: SeriesQuery) -> CSVTable {
        var table = CSVTable(
            [query.interval == .day ? "date" : "time"] + UsageFigures.csvColumns + ["refusals"])
        for point in points {
            let start =
                query.interval == .day ? Instant.day(point.start) : Instant.text(point.start)
            table.append([start] + point.figures.cells + [cell(point.refusals)])
        }
        return table
    }

    /// "49002: 3; 40333: 1"
    private static func cell(_ refusals: [UInt32: Int64]) -> String {
        refusals.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
            .joined(separator: "; ")
    }
}
