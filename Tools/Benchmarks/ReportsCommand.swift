internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Glibc
internal import Journal
internal import Limits
internal import Projection
internal import Reservations

/// `reports`: how long reports of many tenants take.
struct ReportsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reports",
        abstract: "Invoices, overview, series and lists of many tenants over a generated history.",
        discussion: """
            Writes a history of usage straight into a projection's file: a tenth of the tenants is active on a day, \
            with three actions in twelve hours, half of them with a profile. Then times what people ask for, warm, and \
            checks that the totals agree.
            """)

    @Option(help: "Tenants, with four caps each.")
    var tenants = 100_000

    @Option(help: "Days of history by day.")
    var days = 400

    @Option(help: "Of those, the last that are there by hour too.")
    var hourlyDays = 35

    @Option(help: "Times that each is asked for.")
    var rounds = 20

    @Option(help: "Where the journal's directory is made; it is removed at the end.")
    var directory = "."

    private static let day: Int64 = 86_400_000

    func validate() throws {
        guard (100...1_000_000).contains(tenants), (1...4_000).contains(days),
            (0...days).contains(hourlyDays), rounds > 0
        else {
            throw ValidationError(
                "tenants are 100 ... 1000000, days 1 ... 4000, hourly days no more, rounds above 0")
        }
    }

    func run() async throws {
        let place = try JournalDirectory(in: directory)
        let capacity = TableCapacity(
            tenants: tenants + 16, profiles: 16, reservations: 1_000_000, bodies: 1_024,
            keys: 1_024, lanes: 4)
        let engine = try place.open(capacity, .filling).engine
        defer { engine.close() }
        try engine.makeTenants(tenants)
        try charge(engine)
        let path = place.path + "/" + Projection.fileName
        let first = try Projection.open(path: path, engine: engine)
        first.start()
        try await catchUp(first)
        first.stop()
        let today = engine.clock.now / Self.day * Self.day
        let began = monotonicNanoseconds()
        let rows = try GeneratedHistory(
            tenants: tenants, days: days, hourlyDays: hourlyDays, today: today
        ).write(path)
        let seconds = (monotonicNanoseconds() - began) / 1_000_000_000
        StandardOutput.print("history: \(rows) rows in \(seconds) s")
        StandardOutput.flush()
        let projection = try Projection.open(path: path, engine: engine)
        projection.start()
        defer { projection.stop() }
        try await catchUp(projection)
        try await check(projection, today: today)
        try await measure(projection, today: today)
    }

    /// Charges that bring some tenants near their caps, and one in a hundred suspended.
    private func charge(_ engine: Engine) throws {
        guard let lane = try engine.makeLanes(1).first else { return }
        let ids = IDs(count: tenants) { TableBenchmark.tenantID($0) }
        defer { ids.deallocate() }
        lane.beginBatch()
        for index in 0..<tenants {
            let amount = Int64.max / 4 / 100 * Int64(index * 7_919 % 100)
            var command = CheckCommand(
                tenantID: ids[index], action: .charge, amounts: Amounts(.spend, max(1, amount)))
            command.mode = .commit
            var answer = CheckAnswer()
            try engine.insist { lane.check(command, answer: &answer) }
            if index % 100 == 0 {
                try engine.setStatus(ofTenant: TableBenchmark.tenantID(index), .suspended)
            }
        }
        _ = lane.takeTicket()
    }

    private func catchUp(_ projection: Projection) async throws {
        while projection.status.behindBytes > 0 { try await Task.sleep(for: .milliseconds(50)) }
    }

    /// Of the day before yesterday: whole, and nothing but what was generated.
    private func check(_ projection: Projection, today: Int64) async throws {
        guard days > 1 else { return }
        let from = today - 2 * Self.day
        let query = SeriesQuery(.day, from: from, to: from + Self.day)
        let everybody = try await projection.series(query)?.points.first?.figures
        var sum = UsageFigures()
        let part = (days - 1) % 10
        for index in stride(from: part, to: tenants, by: 10) {
            var own = query
            own.tenantID = TableBenchmark.tenantID(index)
            if let figures = try await projection.series(own)?.points.first?.figures {
                sum.add(figures)
            }
        }
        let agrees = everybody == sum && sum.spend > 0
        StandardOutput.print("totals of a day agree with its tenants: \(agrees ? "yes" : "NO")")
        guard agrees else { throw SystemError("the totals are not the tenants' sum") }
    }

    private func measure(_ projection: Projection, today: Int64) async throws {
        let month = InvoiceCycle(String(day(today - 31 * Self.day).prefix(7))) ?? .current
        var bySpend = InvoiceQuery(month)
        bySpend.sort = .spend
        bySpend.descending = true
        try await time("invoices of a month, 20 by spend") { [bySpend] in
            _ = try await projection.invoices(bySpend, Page(size: 20))
        }
        try await time("invoices of a month, 250 by id") {
            _ = try await projection.invoices(InvoiceQuery(month), Page(size: 250))
        }
        try await time("invoices of the billing cycles, 20") {
            _ = try await projection.invoices(InvoiceQuery(.current), Page(size: 20))
        }
        try await time("invoices of a month, all rows") {
            _ = try await projection.invoices(InvoiceQuery(month), nil)
        }
        try await time("one invoice by day") {
            _ = try await projection.invoice(tenantID: TableBenchmark.tenantID(5), month)
        }
        try await time("usage by day, all tenants, \(days) days") {
            _ = try await projection.series(
                SeriesQuery(.day, from: today - Int64(days) * Self.day, to: today))
        }
        try await time("usage by hour, a tenant, \(hourlyDays) days") {
            var query = SeriesQuery(
                .hour, from: today - Int64(hourlyDays) * Self.day, to: today)
            query.tenantID = TableBenchmark.tenantID(5)
            _ = try await projection.series(query)
        }
        try await time("overview") { _ = try await projection.overview() }
        try await time("forecast, 20") { _ = try await projection.forecast(Page(size: 20)) }
        for status in [TenantStatus.suspended, .active] {
            var query = TenantQuery()
            query.status = status
            try await time("tenants that are \(status.name), 20 by id") { [query] in
                _ = try await projection.tenants(query, Page(size: 20))
            }
            query.sort = .nearestToLimit
            query.descending = true
            try await time("tenants that are \(status.name), 20 nearest to a limit") { [query] in
                _ = try await projection.tenants(query, Page(size: 20))
            }
        }
    }

    /// "2026-11-21"
    private func day(_ date: Int64) -> String {
        var time = time_t(date / 1_000)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }

    private func time(_ name: String, _ body: () async throws -> Void) async throws {
        // Warm.
        try await body()
        var times: [Int64] = []
        for _ in 0..<rounds {
            let began = monotonicNanoseconds()
            try await body()
            times.append(monotonicNanoseconds() - began)
        }
        let quantiles = Quantiles(times)
        StandardOutput.print(
            "\(name): p50 \(quantiles[0.5]) ms, p95 \(quantiles[0.95]) ms, longest \(quantiles[1]) ms"
        )
        StandardOutput.flush()
    }
}
