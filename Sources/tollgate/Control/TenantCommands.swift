internal import ArgumentParser
internal import Limits

/// `tollgate tenants`
struct TenantsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenants", abstract: "Shows and changes tenants and their limits.",
        subcommands: [
            TenantList.self, TenantGet.self, TenantCreate.self, TenantUpdate.self,
            TenantDelete.self, TenantSuspend.self, TenantReinstate.self, TenantReset.self,
            TenantSetCounts.self,
        ])
}

/// A tenant, as an argument.
struct TenantArgument: ParsableArguments {
    @Argument(help: "The tenant's id.")
    var id: String

    func path(_ rest: String = "") -> String { Paths.one(Paths.tenants, id, rest) }
}

struct TenantList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists tenants with their limits; \"-\" is no limit.")

    @Option(help: .init("Only names that contain this text.", valueName: "text"))
    var name: String?

    @Option(help: .init("Only active or suspended ones.", valueName: "status"))
    var status: String?

    @Option(
        help: .init(
            "id, name, created_at, \(LimitSubject.tenant.limits[0].sortName), …, the lowest first; nearest_to_limit, the nearest first; with \"-\" before it the other way.",
            valueName: "order"))
    var sort: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("NAME", "name"), .init("STATUS", "status"),
        ] + CapSetting.all.map { .init($0.heading, $0.name, isNumber: true) } + [
            .init("ALERT %", "alert_threshold", isNumber: true),
            .init("AUTO-SUSPEND", "auto_suspend"),
        ], none: "No tenants.")

    func run() async throws {
        let filter = query(
            ("filter[name][contains]", name), ("filter[status]", status), ("sort", sort))
        try await control.list(Paths.tenants, query: filter, list, Self.table)
    }
}

struct TenantGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one tenant.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(tenant.path()) }
}

struct TenantCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a tenant.",
        discussion: """
            What is not named comes from the tenant defaults, or from the preset.

            Example: tollgate tenants create acme --name "Acme" --preset new-tenant --max-dids 20
            """)

    @OptionGroup var tenant: TenantArgument

    @Option(
        help: .init(
            "new-tenant (500.00 USD, 50, 10, 5000 minutes, 80 %, auto-suspend) or unlimited.",
            valueName: "name"))
    var preset: String?

    @OptionGroup(title: "Settings") var fields: TenantFlags
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members = named([
            ("id", .string(tenant.id)), ("preset", preset.map { .string($0) }),
        ])
        let body = JSONValue.object(members + (try fields.members()))
        try await control.act(
            .post, Paths.tenants, body: body, done: "Created tenant \(tenant.id).")
    }
}

struct TenantUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Changes a tenant; the next decision obeys.",
        discussion: """
            Says by how much present usage is over a cap that was just set: nobody is suspended by \
            that, but the next charge or creation will trip it.

            Example: tollgate tenants update acme --monthly-spend-limit 750.00 --max-dids none
            """)

    @OptionGroup var tenant: TenantArgument
    @OptionGroup(title: "Settings") var fields: TenantFlags
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .patch, tenant.path(), body: changes(try fields.members()), ifMatch: match.ifMatch,
            done: "Changed tenant \(tenant.id).")
    }
}

struct TenantDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Closes a tenant for ever; its id is never used again.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .delete, tenant.path(), ifMatch: match.ifMatch, done: "Deleted tenant \(tenant.id).")
    }
}

/// Why, for the audit log.
struct ReasonOption: ParsableArguments {
    @Option(help: .init("Why; operators read it in the audit log.", valueName: "text"))
    var reason: String?

    /// nil: no body at all.
    var body: JSONValue? { reason.map { .object([("reason", .string($0))]) } }
}

struct TenantSuspend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend", abstract: "Suspends a tenant: everything is refused.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup var reason: ReasonOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .post, tenant.path("/actions/suspend"), body: reason.body,
            done: "Suspended tenant \(tenant.id).")
    }
}

struct TenantReinstate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reinstate", abstract: "Ends a suspension; the caps stay as they are.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup var reason: ReasonOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .post, tenant.path("/actions/reinstate"), body: reason.body,
            done: "Reinstated tenant \(tenant.id).")
    }
}

struct TenantReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset-limits",
        abstract: "Sets the six limit fields to the tenant defaults.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .post, tenant.path("/actions/reset_limits"),
            done: "Tenant \(tenant.id) has the limits of the tenant defaults.")
    }
}

struct TenantSetCounts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-counts",
        abstract:
            "Sets how many \(Resource.standing.map(\.plural).listed("and")) a tenant has, where the count went astray.",
        discussion: "Example: tollgate tenants set-counts acme --extensions 12 --reference audit-7")

    @OptionGroup var tenant: TenantArgument

    enum Counts: OptionCatalogue {
        static let options = Resource.standing.map {
            CatalogueOption(
                name: $0.option, help: $0.countHelp ?? "", valueName: "n", isWhole: true)
        }
    }

    @OptionGroup var counts: CatalogueOptions<Counts>

    @Option(help: .init("Your own id of the occasion; operators see it.", valueName: "text"))
    var reference: String?

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let counts = named(
            Resource.standing.map { row in
                (row.name, self.counts.whole(row.option).map { .integer($0) })
            })
        if counts.isEmpty {
            let options = Resource.standing.map { "--" + $0.option }.joined(separator: ", ")
            throw ValidationError(
                "Name \(options) or \(Resource.standing.count == 2 ? "both" : "several").")
        }
        let body = JSONValue.object(counts + named([("reference", reference.map { .string($0) })]))
        try await control.act(
            .post, tenant.path("/actions/set_counts"), body: body,
            done: "Set the counts of tenant \(tenant.id).")
    }
}
