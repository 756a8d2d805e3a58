import Foundation
import GRDB
import Limits

// What all tenants together did, and who will reach a cap first.
extension Projection {
    /// Who will use up a limit of its billing cycle before the cycle ends, first comes first.
    ///
    /// The fullest tenants are looked at, `ProjectionConfiguration.forecastTenants` at most.
    package func forecast(_ page: Page) async throws -> Forecast {
        let now = try await timeOfWindows()
        let known = knownTime
        let most = configuration.forecastTenants
        return try await list { db in
            let days = try ServiceDays(db, now: now)
            return try Self.forecast(db, page, days, most: most, now: now, asOf: known)
        }
    }

    /// - Complexity: O(tenants), a few bytes of each.
    package func overview() async throws -> OverviewReport {
        let now = try await timeOfWindows()
        let known = knownTime
        let most = configuration.overviewTenants
        return try await list { db in
            let days = try ServiceDays(db, now: now)
            let forecast = try Self.forecast(
                db, Page(size: 10), days, most: most, now: now, asOf: known)
            let statuses = try Self.statuses(db)
            let cycles = try Self.runningCycles(db)
            return OverviewReport(
                active: statuses[.active] ?? 0, suspended: statuses[.suspended] ?? 0,
                cycleSpend: cycles.spend, cycleCallSeconds: cycles.seconds,
                today: days.figures(from: days.today, to: days.today + ServiceDays.day),
                yesterday: days.figures(from: days.today - ServiceDays.day, to: days.today),
                thisMonth: days.figures(from: days.month, to: days.end),
                lastMonth: days.figures(from: days.lastMonth, to: days.month),
                lastMonthToDate: days.figures(
                    from: days.lastMonth,
                    to: min(
                        days.month, days.lastMonth + days.today + ServiceDays.day - days.month)),
                denials: try days.denials(db), forecast: forecast)
        }
    }

    private static func statuses(_ db: Database) throws -> [TenantStatus: Int] {
        var counts: [TenantStatus: Int] = [:]
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT status, COUNT(*) AS count FROM tenant_state INDEXED BY tenant_state_status
                WHERE open = 1 GROUP BY status
                """)
        for row in rows {
            guard let status = TenantStatus(rawValue: try row.value("status")) else { continue }
            counts[status] = try row.value("count")
        }
        return counts
    }

    /// What is used in the cycles that run. In halves: a sum that leaves its range is an error to SQLite.
    private static func runningCycles(_ db: Database) throws -> (spend: Int64, seconds: Int64) {
        let columns = [LimitKind.tenantMonthlySpend, .tenantMonthlyMinutes].map(\.row.name)
        let sums = columns.map { "SUM(\($0) >> 32), SUM(\($0) & 4294967295)" }
            .joined(separator: ", ")
        guard
            let row = try Row.fetchOne(
                db, sql: "SELECT \(sums) FROM tenant_state WHERE open = 1")
        else { return (0, 0) }
        func sum(_ index: Int) -> Int64 {
            let (high, overflows) = row.saturated(index).multipliedReportingOverflow(by: 1 << 32)
            return overflows ? .max : high.addingSaturated(row.saturated(index + 1))
        }
        return (sum(0), sum(2))
    }

    // MARK: Forecast

    /// Limits of the billing cycle.
    private static let forecast = LimitSubject.tenant.limits.filter { $0.window == .billingCycle }

    private static func forecast(
        _ db: Database, _ page: Page, _ days: ServiceDays, most: Int, now: Int64, asOf: Int64
    ) throws -> Forecast {
        let weights = days.weights(of: forecast.map(\.resource))
        var found: [(number: Int64, kind: LimitKind, state: TenantState, forecast: LimitForecast)] =
            []
        var examined = 0
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT number, state FROM tenant_state INDEXED BY tenant_state_fullness
                WHERE open = 1 AND fullness > 0 ORDER BY fullness DESC LIMIT ?
                """, arguments: [most])
        while let row = try rows.next() {
            examined += 1
            guard let state = TenantState(blob: try row.value("state")), state.status == .active
            else { continue }
            for limit in forecast {
                let used = state.committed(of: limit.kind).addingSaturated(
                    state.held(of: limit.kind))
                let forecast = LimitForecast(
                    used: used, cap: state.cap(of: limit.kind),
                    window: (state.cycleStart, state.cycleEnd), now: now,
                    weights[limit.resource] ?? WeekdayWeights())
                guard let forecast else { continue }
                found.append((row.saturated(0), limit.kind, state, forecast))
            }
        }
        found.sort { ($0.forecast.reachedAt, $0.number) < ($1.forecast.reachedAt, $1.number) }
        let size = min(max(page.size, 1), 250)
        let shown = found.dropFirst(min(found.count, (page.number - 1) * size)).prefix(size)
        return Forecast(
            rows: try shown.compactMap { number, kind, state, forecast in
                let kept: Data? = try db.value(.tenantSettings, [number])
                guard let settings = kept.flatMap(TenantSettings.init(kept:)) else { return nil }
                return ForecastRow(
                    settings: settings, status: state.status, kind: kind,
                    used: state.committed(of: kind).addingSaturated(state.held(of: kind)),
                    cap: state.cap(of: kind), expected: forecast.expected,
                    cycleStart: state.cycleStart, cycleEnd: state.cycleEnd,
                    reachedAt: forecast.reachedAt)
            }, total: found.count, examined: examined,
            tenants: try Int.fetchOne(
                db,
                sql: """
                    SELECT COUNT(*) FROM tenant_state INDEXED BY tenant_state_status WHERE open = 1
                    """) ?? 0,
            weekdayFactors: weights.mapValues(\.factors),
            basis: try ReportBasis(db, asOf: asOf))
    }
}

/// What all tenants together did on each day, since last month began and for as long as weekdays are told by.
private struct ServiceDays {
    static let day = ProfileState.dayLength
    /// Days of which denials are told.
    private static let denialDays: Int64 = 30

    let today: Int64
    let month: Int64
    let lastMonth: Int64
    /// East of Greenwich tomorrow has begun.
    let end: Int64
    private var days: [Int64: UsageFigures] = [:]

    init(_ db: Database, now: Int64) throws {
        today = ProfileState.dayStart(of: now)
        month = UsageKey.month(of: today)
        lastMonth = UsageKey.month(of: month - Self.day)
        end = today + 2 * Self.day
        let from = min(lastMonth, today - Int64(WeekdayWeights.days) * Self.day)
        let reader = UsageLookup(db)
        for (start, actions) in try reader.sums(.daily, of: .everybody, from: from, to: end) {
            for (action, sum) in actions {
                days[start, default: UsageFigures()].add(sum, for: action)
            }
        }
    }

    func figures(from: Int64, to: Int64) -> UsageFigures {
        var figures = UsageFigures()
        for (day, own) in days where (from..<max(from, to)).contains(day) { figures.add(own) }
        return figures
    }

    func weights(of resources: [Resource]) -> [Resource: WeekdayWeights] {
        Dictionary(
            resources.map { resource in
                let usage = days.mapValues {
                    resource == .spend ? $0.spend : $0.callSeconds
                }
                return (resource, WeekdayWeights(usage, before: today))
            }
        ) { first, _ in first }
    }

    func denials(_ db: Database) throws -> [OverviewReport.Denials] {
        let from = today - (Self.denialDays - 1) * Self.day
        let found = try UsageLookup(db).refusals(.daily, of: .everybody, from: from, to: end)
        return stride(from: from, to: end, by: Int(Self.day)).compactMap { day in
            day > today && found[day] == nil
                ? nil : OverviewReport.Denials(day: day, byCode: found[day] ?? [:])
        }
    }
}
