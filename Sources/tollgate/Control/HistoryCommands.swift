internal import ArgumentParser
internal import JSON
internal import Limits

/// `tollgate audit`
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Shows the audit log.",
        subcommands: [AuditList.self])
}

/// Which stretch of time.
struct TimeOptions: ParsableArguments {
    @Option(help: .init("From this time, like 2026-11-21T10:00:00Z.", valueName: "time"))
    var from: String?

    @Option(help: .init("Before this time.", valueName: "time"))
    var to: String?
}

struct AuditList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists the audit log, newest first.",
        discussion: """
            --json prints whole entries: the limit with its cap, committed, held and asked, the \
            caller and the reference, the id of the call's trace, and the old and new values of a \
            change.

            Example: tollgate audit list --tenant acme --limit 20
            """)

    @Option(help: .init("Only this tenant.", valueName: "id"))
    var tenant: String?

    @OptionGroup var profile: ProfileOptions

    @Option(help: .init("Only this kind, like denied or tenant_suspended.", valueName: "kind"))
    var kind: String?

    @OptionGroup var time: TimeOptions
    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("TIME", "occurred_at"), .init("KIND", "kind"), .init("TENANT", "tenant_id"),
            .profile,
            .init("CODE", "code"),
            .init("LIMITS") { row in
                .array((row["limits"]?.array ?? []).map(Self.limit))
            },
            .init("CHANGES") { row in
                .array((row["changes"]?.array ?? []).map(Self.change))
            },
            .init("BY", "caller.name"), .init("REFERENCE", "reference"),
        ], none: "No audit log entries.")

    /// "tenant_dids 10 + 0 of 10, asked 1"
    private static func limit(_ limit: JSON) -> JSON {
        let cell = { (name: String) in CellText.text(limit[name] ?? .null) }
        return .string(
            "\(cell("limit")) \(cell("committed")) + \(cell("held")) of \(cell("cap")), asked \(cell("asked"))"
        )
    }

    /// "max_dids 10 → 20"
    private static func change(_ change: JSON) -> JSON {
        let cell = { (name: String) in CellText.text(change[name] ?? .null) }
        return .string("\(cell("name")) \(cell("before")) → \(cell("after"))")
    }

    func run() async throws {
        let filter = query(
            [
                ("filter[tenant_id]", tenant), ("filter[kind]", kind), ("from", time.from),
                ("to", time.to),
            ] + profile.filter)
        try await control.list(Paths.audit, query: filter, list, Self.table)
    }
}

/// `tollgate events`
struct EventsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Shows alerts, suspensions and reinstatements.",
        subcommands: [EventList.self, EventGet.self])
}

struct EventList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists events, newest first.",
        discussion: "Example: tollgate events list --type tenant.suspended")

    @Option(help: .init("Only this type, like tenant.limit-reached.", valueName: "type"))
    var type: String?

    @Option(help: .init("Only this tenant.", valueName: "id"))
    var tenant: String?

    @OptionGroup var time: TimeOptions
    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("TIME", "occurred_at"), .init("TYPE", "event_type"), .init("ID", "id"),
            .init("TENANT", "tenant_id"), .profile,
            .init("LIMIT", "limit.limit"),
            .init("USED", isNumber: true) { Self.used($0["limit"]) },
            .init("CAP", "limit.cap", isNumber: true), .init("REASON", "reason"),
        ], none: "No events.")

    /// Of what is only ever held, what is held.
    private static func used(_ limit: JSON?) -> JSON? {
        let row = limit?["limit"]?.string.flatMap { LimitKind.row(named: $0) }
        return limit?[row?.resource.mayBeCharged == false ? "held" : "committed"]
    }

    func run() async throws {
        let filter = query(
            ("filter[event_type]", type), ("filter[tenant_id]", tenant), ("from", time.from),
            ("to", time.to))
        try await control.list(Paths.events, query: filter, list, Self.table)
    }
}

struct EventGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one event.")

    @Argument(help: "The event's id.")
    var id: String

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(Paths.one(Paths.events, id)) }
}
