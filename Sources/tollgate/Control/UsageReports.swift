internal import ArgumentParser
internal import Foundation
internal import JSON
internal import Limits

/// `tollgate usage`: now over gRPC, lists and days over the REST API.
struct UsageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Prints current usage of a tenant or all tenants, or daily usage.",
        discussion: """
            The default sub-command is "now".

            Example: tollgate usage --tenant acme
            """,
        subcommands: [UsageNowCommand.self, UsageList.self, UsageDaily.self],
        defaultSubcommand: UsageNowCommand.self)
}

/// `tollgate usage list`
struct UsageList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the usage of all tenants, nearest to a limit first.",
        discussion: """
            Each cell is used (committed and held) / cap.

            Example: tollgate usage list --sort=-monthly_spend --limit 20
            """)

    @Option(
        help: .init(
            "nearest_to_limit (default, nearest first); \(LimitSubject.tenant.limits.map(\.sortName).joined(separator: ", ")), id or name, ascending; a leading \"-\" reverses the order.",
            valueName: "order"))
    var sort: String?

    @Option(help: .init("Only this status: active or suspended.", valueName: "status"))
    var status: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("TENANT", "tenant_id"),
            .init("NAME", "tenant_name"),
            .init("STATUS", "tenant_status"),
        ]
            + LimitSubject.tenant.limits.map { limit in
                Table.Column(limit.words.heading) { LimitCell.text($0, limit) }
                    .onlyIfCapped(limit.cap) { LimitCell.cap($0, limit) }
            } + [.init("NEAREST %", "nearest_limit_percent", isNumber: true)], none: "No tenants.")

    func run() async throws {
        let filter = query(("sort", sort), ("filter[status]", status))
        try await control.list(Paths.usage, query: filter, list, Self.table)
    }
}

/// "12.50 / 500.00" of one limit in a row's `limits`.
enum LimitCell {
    static func text(_ row: JSON, _ kind: LimitRow) -> JSON? {
        guard let limit = limit(row, kind) else { return nil }
        let isMinutes = kind.cap.unit == .minutes
        let used = sum(limit["committed"], limit["held"], isMinutes: isMinutes)
        let cap = isMinutes ? limit["cap_minutes"] : limit["cap"]
        guard let cap, cap.isNull == false else { return .string(used) }
        return .string("\(used) / \(CellText.text(cap))")
    }

    /// null: there is no cap.
    static func cap(_ row: JSON, _ kind: LimitRow) -> JSON? { limit(row, kind)?["cap"] }

    private static func limit(_ row: JSON, _ kind: LimitRow) -> JSON? {
        row["limits"]?.array?.first { $0["limit"]?.string == kind.name }
    }

    private static func sum(
        _ committed: JSON?, _ held: JSON?, isMinutes: Bool
    ) -> String {
        if let committed = committed?.integer {
            let (total, overflows) = committed.addingReportingOverflow(held?.integer ?? 0)
            if overflows { return CellText.text(.integer(committed)) }
            // A minute that has begun is shown as one that is used.
            return String(isMinutes ? (total + 59) / 60 : total)
        }
        let amounts = [committed, held].compactMap { $0?.string.flatMap { Decimal(string: $0) } }
        let total = amounts.reduce(Decimal(0), +)
        return held?.string.map { Decimal(string: $0) == 0 } == true
            ? CellText.text(committed ?? .null) : "\(total)"
    }
}

/// `tollgate usage daily`
struct UsageDaily: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daily", abstract: "Prints a tenant's usage by day, in its time zone.",
        discussion: "Example: tollgate usage daily --tenant acme --from 2026-11-01 --to 2026-11-30")

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @OptionGroup var profile: ProfileOptions

    @Option(help: .init("First day, like 2026-11-01.", valueName: "date"))
    var from: String?

    @Option(help: .init("Last day.", valueName: "date"))
    var to: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("DAY", "date"), .profile,
        ]
            + Resource.charged.map {
                .init($0.heading, "usage.\($0.name)", isNumber: true)
            } + [
                .init("ALLOWED", "allowed", isNumber: true),
                .init("DENIED", "denied", isNumber: true),
            ], none: "No usage on these days.")

    func run() async throws {
        let filter = query([("from", from), ("to", to)] + profile.filter)
        try await control.list(
            Paths.one(Paths.tenants, tenant, "/usage/daily"), query: filter, list, Self.table)
    }
}
