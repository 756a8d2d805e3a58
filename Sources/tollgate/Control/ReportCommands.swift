internal import ArgumentParser
internal import CommandIO
internal import JSON

/// `tollgate report`: what all tenants used, and what is to come.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Prints invoices, usage by day or hour, an overview, a forecast.",
        subcommands: [
            ReportInvoices.self, ReportUsage.self, ReportForecast.self, ReportOverview.self,
        ])
}

/// `tollgate report invoices`
struct ReportInvoices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invoices",
        abstract: "Prints what each tenant used in a month or billing cycle.",
        discussion: """
            Examples:
              tollgate report invoices --cycle 2026-11 --sort=-spend --limit 20
              tollgate report invoices --cycle previous --csv >invoices.csv
              tollgate report invoices --tenant acme --by-day
            """)

    @Option(
        help: .init(
            "A month like 2026-11 (in each tenant's time zone; default: the present one), or each tenant's own billing cycle: current or previous.",
            valueName: "cycle"))
    var cycle: String?

    @Option(help: .init("Only this tenant.", valueName: "id"))
    var tenant: String?

    @Flag(help: "Print the days of the cycle; with --tenant.")
    var byDay = false

    @Option(
        help: .init(
            "tenant_id (default), tenant_name, spend, call_seconds, messages, extensions, dids, overage or denied, ascending; a leading \"-\" reverses the order.",
            valueName: "order"))
    var sort: String?

    @Flag(help: "Print comma-separated values, all rows.")
    var csv = false

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    private static let figures: [Table.Column] = [
        .init("SPEND", "spend", isNumber: true),
        .init("OVERAGE", "overage", isNumber: true),
        .init("SECONDS IN", "inbound_call_seconds", isNumber: true),
        .init("SECONDS OUT", "outbound_call_seconds", isNumber: true),
        .init("MESSAGES", "messages", isNumber: true),
    ]
    private static let answers: [Table.Column] = [
        .init("ALLOWED", "allowed", isNumber: true), .init("DENIED", "denied", isNumber: true),
    ]

    static let table = Table(
        columns: [
            .init("TENANT", "tenant_id"), .init("NAME", "tenant_name"),
            .init("STATUS", "tenant_status"), .init("FROM", "from"), .init("TO", "to"),
        ] + figures + [
            .init("EXTENSIONS", "extensions", isNumber: true),
            .init("DIDS", "dids", isNumber: true),
        ] + answers + [.init("FINAL", "final")], none: "No tenants.")

    static let days = Table(
        columns: [.init("DAY", "date")] + figures + answers, none: "No days.")

    func validate() throws {
        if byDay, tenant == nil { throw ValidationError("--by-day needs --tenant.") }
        if byDay, sort != nil { throw ValidationError("--by-day cannot be combined with --sort.") }
        if csv, control.json {
            throw ValidationError("--csv cannot be combined with --json.")
        }
    }

    func run() async throws {
        let cycle = query(("cycle", cycle))
        if byDay, let tenant {
            let path = Paths.one(Paths.invoices, tenant)
            if csv { return try await control.file(path, query: cycle) }
            return try await control.run { client in
                let days = try await client.send(.get, path, query: cycle).data["days"]?.array ?? []
                control.print(days, total: days.count, Self.days)
            }
        }
        let filter = cycle + query(("filter[tenant_id]", tenant), ("sort", sort))
        if csv { return try await control.file(Paths.invoices, query: filter) }
        try await control.list(Paths.invoices, query: filter, list, Self.table)
    }
}

/// `tollgate report usage`
struct ReportUsage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Prints usage by day or hour, of all tenants or one.",
        discussion: """
            Examples:
              tollgate report usage --from 2026-11-01 --to 2026-11-30 --action send_message
              tollgate report usage --interval hour --tenant acme
            """)

    @Option(help: .init("day (default) or hour.", valueName: "interval"))
    var interval: String?

    @Option(
        help: .init(
            "First day, like 2026-11-01; by hour a time, like 2026-11-21T10:00:00Z.",
            valueName: "date"))
    var from: String?

    @Option(help: .init("Last day; by hour the end, excluded.", valueName: "date"))
    var to: String?

    @Option(help: .init("Only this tenant.", valueName: "id"))
    var tenant: String?

    @OptionGroup var profile: ProfileOptions

    @Option(
        help: .init("Only what was used for this action, like send_message.", valueName: "action"))
    var action: String?

    @Option(help: .init("Count only denials with this code, like 40333.", valueName: "code"))
    var code: String?

    @Flag(help: "Print comma-separated values.")
    var csv = false

    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("START") { $0["date"] ?? $0["time"] },
            .init("SPEND", "spend", isNumber: true),
            .init("SECONDS IN", "inbound_call_seconds", isNumber: true),
            .init("SECONDS OUT", "outbound_call_seconds", isNumber: true),
            .init("MESSAGES", "messages", isNumber: true),
            .init("ALLOWED", "allowed", isNumber: true),
            .init("DENIED", "denied", isNumber: true),
        ], none: "No days.")

    func validate() throws {
        if csv, control.json {
            throw ValidationError("--csv cannot be combined with --json.")
        }
    }

    func run() async throws {
        let filter =
            query(
                ("interval", interval), ("from", from), ("to", to), ("filter[tenant_id]", tenant),
                ("filter[action]", action), ("filter[code]", code)) + query(profile.filter)
        if csv { return try await control.file(Paths.usageSeries, query: filter) }
        try await control.run { client in
            let points =
                try await client.send(.get, Paths.usageSeries, query: filter).data.array ?? []
            control.print(points, total: points.count, Self.table)
        }
    }
}

/// `tollgate report forecast`
struct ReportForecast: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forecast",
        abstract: "Lists tenants that will reach a cap before their billing cycle ends.",
        discussion: "Example: tollgate report forecast --limit 20")

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("TENANT", "tenant_id"), .init("NAME", "tenant_name"), .init("LIMIT", "limit"),
            .init("USED", "used", isNumber: true), .init("CAP", "cap", isNumber: true),
            .init("EXPECTED", "expected", isNumber: true), .init("REACHED", "reached_at"),
            .init("CYCLE ENDS", "cycle_end"),
        ], none: "No tenant is expected to reach a cap.")

    func run() async throws {
        try await control.list(Paths.forecast, query: [], list, Self.table)
    }
}

/// `tollgate report overview`
struct ReportOverview: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overview",
        abstract:
            "Prints tenants by status, total usage, denials, the forecast, alerts, and health.",
        discussion: "Example: tollgate report overview --json")

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(Paths.overview) }
}

extension ControlOptions {
    /// Asks for a file and prints it.
    func file(_ path: String, query: [(String, String)]) async throws {
        try await run { client in
            StandardOutput.write(try await client.file(path, query: query))
        }
    }
}
