import Foundation
import GRDB
import Journal
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Projection

/// Invoices, totals and series are exactly what the journal's records come to.
@Suite struct ReportTests {
    private static let zones = ["UTC", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"]

    /// A random history; each tenant keeps its zone, and holds are extended in time only.
    private static func live(
        _ service: ProjectedService, seed: UInt64, steps: Int, extends: Bool = false,
        _ meanwhile: (Int) async throws -> Void
    ) async throws {
        var model = NaiveModel(now: ProjectedService.start)
        var generator = OperationGenerator(seed: seed, options: OperationGenerator.Options())
        for step in 0..<steps {
            var operation = generator.next(model)
            switch operation {
            case .setTenant(var settings):
                settings.timeZone = zone(of: settings.id)
                operation = .setTenant(settings)
            case .extend(var extend) where !extends:
                extend.additional = [:]
                extend.minimums = [:]
                operation = .extend(extend)
            default: break
            }
            _ = model.perform(operation)
            service.perform(operation)
            if step % 5 == 4 { service.flush() }
            try await meanwhile(step)
        }
    }

    private static func zone(of id: String) -> String {
        zones[id.utf8.reduce(0) { $0 + Int($1) } % zones.count]
    }

    /// Sums are made in every slice, in some, or never.
    private static func service(seed: UInt64) throws -> ProjectedService {
        let service = try ProjectedService(seed: seed)
        service.configuration.usageDays = 5_000
        service.configuration.hourlyDays = 5_000
        service.configuration.cleaningMilliseconds = 0
        service.configuration.sumMilliseconds = seed % 2 == 0 ? 0 : .max / 2
        try service.openProjection()
        return service
    }

    private static func numbers(_ service: ProjectedService) async throws -> [String: UInt32] {
        try await service.projection.read { db in
            try Dictionary(
                uniqueKeysWithValues: Row.fetchAll(db, sql: "SELECT id, number FROM tenant").map {
                    (try $0.value("id"), try $0.value("number"))
                })
        }
    }

    private static func date(_ day: Int64) -> String {
        String(Date(timeIntervalSince1970: Double(day) / 1_000).ISO8601Format().prefix(10))
    }

    /// - Parameter isByDay: also when it was.
    private static func expectExactness(
        _ service: ProjectedService, isByDay: Bool = true, _ comment: Comment
    ) async throws {
        try service.catchUp()
        let projection = service.projection
        let numbers = try await numbers(service)
        let zones = Dictionary(
            uniqueKeysWithValues: numbers.map { ($1, TimeZone(identifier: zone(of: $0)) ?? .gmt) })
        let books = try PlainBooks(service, zones: zones)
        let first = ProjectedService.start / 86_400_000 * 86_400_000 - 2 * 86_400_000
        let last = service.now / 86_400_000 * 86_400_000 + 3 * 86_400_000
        // All tenants, each tenant.
        let everybody = try #require(
            try await projection.series(SeriesQuery(.day, from: first, to: last)))
        var sum = UsageFigures()
        for point in everybody.points { sum.add(point.figures) }
        #expect(sum.agrees(with: books.figures { _ in true }), comment)
        var refusals: [UInt32: Int64] = [:]
        for point in everybody.points { refusals.merge(point.refusals) { $0 + $1 } }
        #expect(refusals == books.refusals, comment)
        for (id, number) in numbers {
            var query = SeriesQuery(.day, from: first, to: last)
            query.tenantID = id
            let days = try #require(try await projection.series(query))
            var sum = UsageFigures()
            for point in days.points {
                sum.add(point.figures)
                guard isByDay else { continue }
                let date = date(point.start)
                let plain = books.days[number]?[date] ?? [:]
                #expect(point.figures.agrees(with: plain), "\(id) on \(date): \(comment)")
            }
            #expect(sum.agrees(with: books.figures { $0.tenant == number }), comment)
            try await expectMonths(service, id, number, books, isByDay: isByDay, comment)
        }
        if isByDay { try await expectInvoices(service, numbers, books, comment) }
        try await expectHours(service, books, isByDay: isByDay, comment)
        try await expectProfiles(service, books, comment)
    }

    private static func expectMonths(
        _ service: ProjectedService, _ id: String, _ number: UInt32, _ books: PlainBooks,
        isByDay: Bool, _ comment: Comment
    ) async throws {
        let months = Set(
            books.entries.keys.filter { $0.tenant == number }.map { $0.date.prefix(7) })
        guard isByDay, let month = months.sorted().last else { return }
        let cycle = try #require(InvoiceCycle(String(month)))
        let detail = try #require(
            try await service.projection.invoice(tenantID: id, cycle), comment)
        let plain = books.figures { $0.tenant == number && $0.date.hasPrefix(month) }
        #expect(detail.invoice.figures.agrees(with: plain), "\(id) in \(month): \(comment)")
        var days = UsageFigures()
        for day in detail.days { days.add(day.figures) }
        #expect(days == detail.invoice.figures, comment)
    }

    /// All invoices of the last month, with their totals.
    private static func expectInvoices(
        _ service: ProjectedService, _ numbers: [String: UInt32], _ books: PlainBooks,
        _ comment: Comment
    ) async throws {
        let month = date(service.now).prefix(7)
        var query = InvoiceQuery(try #require(InvoiceCycle(String(month))))
        query.sort = .spend
        query.descending = true
        let report = try await service.projection.invoices(query, nil)
        for row in report.rows {
            let number = try #require(numbers[row.settings.id])
            let plain = books.figures { $0.tenant == number && $0.date.hasPrefix(month) }
            #expect(row.figures.agrees(with: plain), "\(row.settings.id): \(comment)")
        }
        #expect(
            report.totals.agrees(with: books.figures { $0.date.hasPrefix(month) }), comment)
        #expect(report.rows.map(\.figures.spend) == report.rows.map(\.figures.spend).sorted(by: >))
        #expect(report.total == report.rows.count)
    }

    /// Of the last days: there may be years.
    private static func expectHours(
        _ service: ProjectedService, _ books: PlainBooks, isByDay: Bool, _ comment: Comment
    ) async throws {
        let last = (service.now / 3_600_000 + 1) * 3_600_000
        let first = last - 20 * 86_400_000
        let series = try #require(
            try await service.projection.series(SeriesQuery(.hour, from: first, to: last)))
        #expect(series.points.count == 480)
        guard isByDay else { return }
        for point in series.points {
            let plain = books.hours[point.start] ?? [:]
            #expect(point.figures.agrees(with: plain), "hour \(point.start): \(comment)")
        }
    }

    private static func expectProfiles(
        _ service: ProjectedService, _ books: PlainBooks, _ comment: Comment
    ) async throws {
        let first = ProjectedService.start / 86_400_000 * 86_400_000 - 2 * 86_400_000
        let last = service.now / 86_400_000 * 86_400_000 + 3 * 86_400_000
        let numbers = try await service.projection.read { db in
            try Row.fetchAll(db, sql: "SELECT id, number FROM profile").map {
                (id: try $0.value("id") as String, number: try $0.value("number") as UInt32)
            }
        }
        for profile in numbers {
            var query = SeriesQuery(.day, from: first, to: last)
            query.profileID = profile.id
            let series = try #require(try await service.projection.series(query))
            for action in Action.allCases {
                let spent = series.points.reduce(Int64(0)) {
                    $0.addingSaturated($1.figures.spend(action))
                }
                #expect(spent == books.profiles[profile.number]?[action] ?? 0, comment)
            }
        }
    }

    @Test(arguments: Array(1...4) as [UInt64])
    func figuresAreTheJournals(_ seed: UInt64) async throws {
        let service = try Self.service(seed: seed)
        try await Self.live(service, seed: seed, steps: 1_200) { step in
            if step % 60 == 59 { try service.catchUp() }
            if step % 400 == 399 {
                try await Self.expectExactness(service, "step \(step) of seed \(seed)")
                // Whatever waits for its sum waits on.
                if step % 800 == 399 { try service.restart() }
            }
        }
    }

    /// What extensions add is never lost or there twice, whatever day it is booked on.
    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func totalsAreTheJournalsWithExtensions(_ seed: UInt64) async throws {
        let service = try Self.service(seed: seed)
        try await Self.live(service, seed: seed, steps: 1_200, extends: true) { step in
            if step % 60 == 59 { try service.catchUp() }
        }
        try service.catchUp()
        let numbers = try await Self.numbers(service)
        let books = try PlainBooks(service, zones: [:])
        let first = ProjectedService.start / 86_400_000 * 86_400_000 - 2 * 86_400_000
        let last = service.now / 86_400_000 * 86_400_000 + 3 * 86_400_000
        for (id, number) in numbers {
            var query = SeriesQuery(.day, from: first, to: last)
            query.tenantID = id
            let days = try #require(try await service.projection.series(query))
            let plain = books.figures { $0.tenant == number }
            for action in Action.allCases {
                let spent = days.points.reduce(Int64(0)) {
                    $0.addingSaturated($1.figures.spend(action))
                }
                let seconds = days.points.reduce(Int64(0)) {
                    $0.addingSaturated($1.figures.callSeconds(action))
                }
                #expect(spent == plain[action]?.amounts[.spend] ?? 0)
                #expect(seconds == plain[action]?.amounts[.callSeconds] ?? 0)
            }
        }
    }

    /// Whatever was summed up is what was not, and a file that is made anew finds the same.
    @Test func summingUpChangesNothing() async throws {
        let service = try Self.service(seed: 3)
        try await Self.live(service, seed: 3, steps: 900) { step in
            if step % 90 == 89 { try service.catchUp() }
        }
        try service.catchUp()
        func shown() async throws -> [[SeriesPoint]] {
            let last = service.now / 86_400_000 * 86_400_000 + 3 * 86_400_000
            var all: [[SeriesPoint]] = []
            for id in [nil] + service.tenantIDs.sorted().map(Optional.some) {
                for interval in SeriesQuery.Interval.allCases {
                    var query = SeriesQuery(interval, from: last - 30 * 86_400_000, to: last)
                    query.tenantID = id
                    all.append(try #require(try await service.projection.series(query)).points)
                }
            }
            return all
        }
        func waiting() async throws -> Int? {
            try await service.projection.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM usage_delta")
            }
        }
        let before = try await shown()
        #expect(try #require(try await waiting()) > 100)
        service.configuration.sumMilliseconds = 0
        try service.openProjection()
        try service.catchUp()
        #expect(try await waiting() == 0)
        #expect(try await shown() == before)
        try service.restart(ProjectedService.removeFile)
        try service.catchUp()
        #expect(try await shown() == before)
    }

    @Test func hoursAndDaysGoWhenTheyAreOld() async throws {
        let service = try ProjectedService()
        service.configuration.usageDays = 40
        service.configuration.hourlyDays = 3
        service.configuration.cleaningMilliseconds = 0
        service.configuration.sumMilliseconds = 0
        try service.openProjection()
        try service.setTenant(TenantSettings(id: "acme"))
        for _ in 0..<60 {
            service.charge("acme", spend: 1)
            try service.catchUp()
            service.advance(86_400_000)
        }
        // What is old is looked for once a minute, and at the start.
        service.charge("acme", spend: 1)
        try service.openProjection()
        try service.catchUp()
        func counts(_ table: String) async throws -> Int? {
            try await service.projection.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM \(table) WHERE profile = -1")
            }
        }
        let kept = [
            try await counts("usage_hourly"), try await counts("usage_daily"),
            try await counts("usage_monthly"),
        ]
        #expect(kept == [3, 40, 2])
    }

    // MARK: Cycles

    /// A tenant's own cycle, as its limit counts it.
    @Test func cyclesAreTheTenants() async throws {
        let service = try ProjectedService()
        var settings = TenantSettings(id: "acme")
        settings.billingCycleDay = 29
        settings.timeZone = "Pacific/Auckland"
        try service.setTenant(settings)
        try service.setTenant(TenantSettings(id: "bravo"))
        // 22:13:20 UTC is the 28th in Auckland.
        service.charge("acme", spend: 5)
        service.charge("bravo", spend: 6)
        service.advance(24 * 3_600_000)
        service.charge("acme", spend: 7)
        service.charge("bravo", spend: 8)
        var overage = CheckOperation(tenantID: "acme", amounts: [.spend: 10])
        overage.action = .sendMessage
        service.check(overage)
        service.perform(.commit(reservation: 1, actual: [.spend: 25]))
        try service.catchUp()
        let current = try await service.projection.invoices(InvoiceQuery(.current), nil).rows
        #expect(current.map(\.settings.id) == ["acme", "bravo"])
        #expect(current[0].figures.spend == 32 && current[0].figures.overage == 15)
        #expect(current[0].figures.spend(.sendMessage) == 25)
        #expect(Self.date(current[0].from) == "2026-03-29")
        #expect(Self.date(current[0].to) == "2026-04-29")
        #expect(current[1].figures.spend == 14 && Self.date(current[1].from) == "2026-03-01")
        let previous = try await service.projection.invoices(InvoiceQuery(.previous), nil).rows
        #expect(previous[0].figures.spend == 5 && Self.date(previous[0].from) == "2026-02-28")
        #expect(previous[1].figures.spend == 0 && Self.date(previous[1].from) == "2026-02-01")
        #expect(previous[0].isFinal && !current[0].isFinal)
        let usage = try #require(service.usage("acme"))
        #expect(usage.limits[.tenantMonthlySpend].committed == current[0].figures.spend)
    }

    /// Extensions and DIDs are told as of the end.
    @Test func countsAreThoseOfTheEnd() async throws {
        let service = try ProjectedService()
        try service.setTenant(TenantSettings(id: "acme"))
        service.record(RecordOperation(tenantID: "acme", amounts: [.extensions: 5, .dids: 2]))
        service.advance(10 * 86_400_000)
        service.record(RecordOperation(tenantID: "acme", amounts: [.extensions: 3, .dids: -1]))
        try service.catchUp()
        func row(_ month: String) async throws -> InvoiceRow {
            let cycle = try #require(InvoiceCycle(month))
            return try #require(
                try await service.projection.invoices(InvoiceQuery(cycle), nil).rows.first)
        }
        let march = try await row("2026-03")
        #expect(march.extensions == 5 && march.dids == 2 && march.figures.extensionChange == 5)
        let april = try await row("2026-04")
        #expect(april.extensions == 8 && april.dids == 1 && april.figures.didChange == -1)
        let before = try await row("2026-02")
        #expect(before.extensions == 0 && before.dids == 0)
    }

    /// What was used stays on the invoice of a tenant that was deleted; one that used nothing is not there.
    @Test func deletedTenantsAreInvoiced() async throws {
        let service = try ProjectedService()
        for id in ["a", "b", "c"] { try service.setTenant(TenantSettings(id: id)) }
        service.charge("a", spend: 5)
        for id in ["a", "b"] { try service.engine.setStatus(ofTenant: id, .closed) }
        try service.catchUp()
        let cycle = try #require(InvoiceCycle("2026-03"))
        var report = try await service.projection.invoices(InvoiceQuery(cycle), Page(size: 1))
        #expect(report.total == 2 && report.totals.spend == 5)
        #expect(report.rows.map(\.settings.id) == ["a"] && report.rows[0].status == .closed)
        report = try await service.projection.invoices(
            InvoiceQuery(cycle), Page(number: 2, size: 1))
        #expect(report.rows.map(\.settings.id) == ["c"] && report.totals.spend == 5)
        report = try await service.projection.invoices(
            InvoiceQuery(cycle), Page(number: 3, size: 1))
        #expect(report.rows.isEmpty && report.total == 2)
        #expect(try await service.projection.invoice(tenantID: "x", cycle) == nil)
    }
}
