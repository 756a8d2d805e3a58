import Engine
import Foundation
import GRDB
import Limits
import Notation

// What each tenant used in a month or a billing cycle.
extension Projection {
    /// - Parameter page: nil: all rows.
    /// - Complexity: O(tenants + their days of the cycle); of a month O(tenants). What is told at its end of extensions and
    ///   DIDs is counted back from now.
    package func invoices(_ query: InvoiceQuery, _ page: Page?) async throws -> InvoiceReport {
        let now = try await timeOfWindows()
        let known = knownTime
        return try await list { [schedules] db in
            var look = try InvoiceLook(db, query, now: now, schedules)
            try look.read()
            return try look.report(page, query, asOf: known)
        }
    }

    /// nil: there is no such tenant.
    package func invoice(tenantID: String, _ cycle: InvoiceCycle) async throws -> InvoiceDetail? {
        let now = try await timeOfWindows()
        let known = knownTime
        return try await list { [schedules] db in
            guard let number = try Self.tenantNumber(tenantID, db) else { return nil }
            var query = InvoiceQuery(cycle)
            query.tenantID = tenantID
            var look = try InvoiceLook(db, query, now: now, schedules)
            try look.read()
            let report = try look.report(nil, query, asOf: known)
            guard let invoice = report.rows.first else { return nil }
            let reader = UsageLookup(db)
            let subject = UsageLookup.Subject.tenant(number)
            let points = try reader.points(
                .daily, of: subject, from: invoice.from, to: invoice.to, action: nil)
            return InvoiceDetail(
                invoice: invoice,
                days: points.map {
                    InvoiceDetail.Day(day: $0.start, figures: $0.figures, refusals: $0.refusals)
                }, basis: report.basis)
        }
    }

    /// Engine time up to which what happened is taken up. Asked before the file is.
    var knownTime: Int64 { isCaughtUp ? clock.now : min(clock.now, status.time) }
}

/// One look at the invoices of a cycle.
private struct InvoiceLook {
    private struct Line {
        var number: Int
        var id: String
        var name: String
        var isOpen: Bool
        /// Dates.
        var from: Int64
        var to: Int64
        var figures = UsageFigures()
        /// What came behind the end.
        var laterExtensions: Int64 = 0
        var laterDIDs: Int64 = 0
        /// At the end.
        var extensions: Int64 = 0
        var dids: Int64 = 0
    }

    private let db: Database
    private let now: Int64
    private let cycle: InvoiceCycle
    private var lines: [Line] = []
    /// By the tenant's number; -1: none.
    private var indexes: [Int] = []
    private var calendar = DayCalendar()

    init(
        _ db: Database, _ query: InvoiceQuery, now: Int64, _ schedules: DisplaySchedules
    ) throws {
        self.db = db
        self.now = now
        cycle = query.cycle
        var sql = "SELECT number, id, name, open FROM tenant"
        if query.tenantID != nil { sql += " WHERE id = ?" }
        let rows = try Row.fetchCursor(
            db, sql: sql, arguments: query.tenantID.map { [$0] } ?? [])
        while let row = try rows.next() {
            let number = Int(row.current(0))
            guard (0...Int(UInt32.max)).contains(number), let id: String = row[1],
                let name: String = row[2]
            else { continue }
            lines.append(
                Line(
                    number: number, id: id, name: name, isOpen: row.current(3) != 0, from: 0,
                    to: 0))
            while indexes.count <= number { indexes.append(-1) }
            indexes[number] = lines.count - 1
        }
        try setRanges(schedules)
    }

    private mutating func setRanges(_ schedules: DisplaySchedules) throws {
        if case .month(let month) = cycle {
            let next = UsageKey.month(of: month + 31 * ProfileState.dayLength)
            for index in lines.indices { (lines[index].from, lines[index].to) = (month, next) }
            return
        }
        let rows = try Row.fetchCursor(
            db,
            sql: lines.count == 1
                ? Self.states + " WHERE t.number = \(lines[0].number)" : Self.states)
        while let row = try rows.next() {
            let number: Int = try row.value("number")
            guard let index = index(of: number),
                let settings = TenantSettings(kept: try row.value("settings")),
                let state = TenantState(blob: try row.value("state"))
            else { continue }
            let range = dates(of: state, settings, schedules)
            (lines[index].from, lines[index].to) = (range.from, range.to)
        }
    }

    private static let states = """
        SELECT t.number, t.settings, s.state FROM tenant t
        JOIN tenant_state s ON s.number = t.number
        """

    private func index(of tenant: Int) -> Int? {
        guard indexes.indices.contains(tenant), indexes[tenant] >= 0 else { return nil }
        return indexes[tenant]
    }

    /// The dates of the tenant's cycle, in its zone.
    private mutating func dates(
        of state: TenantState, _ settings: TenantSettings, _ schedules: DisplaySchedules
    ) -> (from: Int64, to: Int64) {
        let zone = calendar.zone(named: settings.timeZone)
        var window = (start: state.cycleStart, end: state.cycleEnd)
        if state.cycleEnd <= now,
            let next = schedules.window(
                .billingCycle, settings, containing: now, notBefore: state.cycleEnd)
        {
            window = (next.start, next.end)
        }
        let from = calendar.date(of: window.start, zone)
        if cycle == .current { return (from, calendar.date(of: window.end, zone)) }
        return (Self.cycleStart(before: from, day: Int(settings.billingCycleDay)), from)
    }

    /// The latest day before a date on which a cycle begins.
    private static func cycleStart(before date: Int64, day: Int) -> Int64 {
        let number = CivilDate.days(ofMilliseconds: date)
        var start = CivilDate(daysSinceEpoch: number)
        while true {
            start.day = min(day, CivilDate.dayCount(year: start.year, month: start.month))
            if start.daysSinceEpoch < number {
                return Int64(start.daysSinceEpoch) * ProfileState.dayLength
            }
            start = CivilDate(
                year: start.month == 1 ? start.year - 1 : start.year,
                month: start.month == 1 ? 12 : start.month - 1, day: 1)
        }
    }

    // MARK: Reading

    mutating func read() throws {
        guard let first = lines.map(\.from).min(), let last = lines.map(\.to).max() else { return }
        let reader = UsageLookup(db)
        // East of Greenwich tomorrow has begun.
        let end = max(last, ProfileState.dayStart(of: now) + 2 * ProfileState.dayLength)
        if lines.count == 1 {
            let subject = UsageLookup.Subject.tenant(Int64(lines[0].number))
            for point in try reader.sums(.daily, of: subject, from: first, to: end) {
                for (action, sum) in point.actions {
                    add(point.start, lines[0].number, action, sum)
                }
            }
        } else {
            let table: UsageSums.Table = if case .month = cycle { .monthly } else { .daily }
            try reader.eachTenant(table, from: first, to: last) { add($0, $1, $2, $3) }
            try reader.eachTenant(
                table, from: last, to: max(last, end), where: "(extensions <> 0 OR dids <> 0)"
            ) { add($0, $1, $2, $3) }
        }
        try readCounts()
    }

    private mutating func add(_ start: Int64, _ tenant: Int, _ action: Int16, _ sum: UsageSum) {
        guard let index = index(of: tenant), start >= lines[index].from else { return }
        guard start >= lines[index].to else { return lines[index].figures.add(sum, for: action) }
        let (extensions, dids) = (sum.committed[.extensions], sum.committed[.dids])
        lines[index].laterExtensions = lines[index].laterExtensions.addingSaturated(extensions)
        lines[index].laterDIDs = lines[index].laterDIDs.addingSaturated(dids)
    }

    private mutating func readCounts() throws {
        let columns = [LimitKind.tenantExtensions, .tenantDIDs].map(\.row.name)
            .joined(separator: ", ")
        var sql = "SELECT number, \(columns) FROM tenant_state"
        if lines.count == 1 { sql += " WHERE number = \(lines[0].number)" }
        let rows = try Row.fetchCursor(db, sql: sql)
        while let row = try rows.next() {
            guard let index = index(of: Int(row.current(0))) else { continue }
            let line = lines[index]
            lines[index].extensions = row.current(1).addingSaturated(
                -max(line.laterExtensions, -.max))
            lines[index].dids = row.current(2).addingSaturated(-max(line.laterDIDs, -.max))
        }
    }

    // MARK: The report

    mutating func report(
        _ page: Page?, _ query: InvoiceQuery, asOf known: Int64
    ) throws -> InvoiceReport {
        // Of a deleted tenant only what it used.
        lines.removeAll { !$0.isOpen && $0.figures.isEmpty && query.tenantID == nil }
        let order = order(query)
        var totals = UsageFigures()
        var (extensions, dids): (Int64, Int64) = (0, 0)
        for line in lines {
            totals.add(line.figures)
            extensions = extensions.addingSaturated(line.extensions)
            dids = dids.addingSaturated(line.dids)
        }
        var shown = order[...]
        if let page {
            let skipped = min(lines.count, (page.number - 1) * min(max(page.size, 1), 250))
            shown = order.dropFirst(skipped).prefix(page.size)
        }
        let rows = try shown.compactMap { try row(lines[$0], asOf: known) }
        return InvoiceReport(
            rows: rows, total: lines.count, totals: totals, totalExtensions: extensions,
            totalDIDs: dids, basis: try ReportBasis(db, asOf: known))
    }

    /// The lines' indexes as they are asked for; equal ones by their ids.
    private func order(_ query: InvoiceQuery) -> [Int] {
        func order<Key: Comparable>(by key: (Line) -> Key) -> [Int] {
            let keys = lines.map(key)
            return lines.indices.sorted { a, b in
                let (first, second) = query.descending ? (b, a) : (a, b)
                return keys[first] == keys[second]
                    ? Identifier(lines[a].id) < Identifier(lines[b].id)
                    : keys[first] < keys[second]
            }
        }
        return switch query.sort {
        case .tenantID: order { Identifier($0.id) }
        case .tenantName: order { Identifier($0.name) }
        case .spend: order { $0.figures.spend }
        case .callSeconds: order { $0.figures.callSeconds }
        case .messages: order { $0.figures.messages }
        case .extensions: order { $0.extensions }
        case .dids: order { $0.dids }
        case .overage: order { $0.figures.overage }
        case .denied: order { $0.figures.denied }
        }
    }

    private mutating func row(_ line: Line, asOf known: Int64) throws -> InvoiceRow? {
        let statement = try db.cachedStatement(sql: Self.states + " WHERE t.number = ?")
        guard let row = try Row.fetchOne(statement, arguments: [line.number]),
            let settings = TenantSettings(kept: try row.value("settings")),
            let state = TenantState(blob: try row.value("state"))
        else { return nil }
        let zone = calendar.zone(named: settings.timeZone)
        let isOver = calendar.date(of: known - Projection.refusalsWait, zone) >= line.to
        return InvoiceRow(
            settings: settings, status: state.status, from: line.from, to: line.to,
            figures: line.figures, extensions: line.extensions, dids: line.dids,
            isFinal: isOver && line.figures.openHolds <= 0)
    }
}

extension ReportBasis {
    init(_ db: Database, asOf: Int64) throws {
        byActionSince =
            try Int64.fetchOne(db, sql: "SELECT by_action_since FROM usage_note WHERE id = 1") ?? 0
        self.asOf = asOf
    }
}
