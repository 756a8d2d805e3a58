internal import ArgumentParser
internal import JSON
internal import Limits

/// `tollgate tenants`
struct TenantsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenants", abstract: "Manages tenants and their limits.",
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
        commandName: "list", abstract: "Lists tenants with their limits; \"-\" means no limit.",
        discussion: """
            A limit other than those of the preset new-tenant has a column when one of the tenants shown has it.
            """)

    @Option(help: .init("Only names containing this text.", valueName: "text"))
    var name: String?

    @Option(help: .init("Only this status: active or suspended.", valueName: "status"))
    var status: String?

    @Option(
        help: .init(
            "id, name, created_at, \(LimitSubject.tenant.limits[0].sortName), …, ascending; nearest_to_limit, nearest first; a leading \"-\" reverses the order.",
            valueName: "order"))
    var sort: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("NAME", "name"), .init("STATUS", "status"),
        ]
            + TenantLimits.settings.compactMap { setting in
                setting.heading.map { heading in
                    let column = Table.Column(
                        heading, setting.name, isNumber: setting.shape != .flag)
                    return column.onlyIfCapped(setting.cap, has: column.cell)
                }
            }, none: "No tenants.")

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
        commandName: "create", abstract: "Creates a tenant.",
        discussion: """
            Settings not given come from the tenant defaults or the preset.

            Example: tollgate tenants create acme --name "Acme" --preset new-tenant --max-dids 20
            """)

    @OptionGroup var tenant: TenantArgument

    @Option(
        help: .init(
            "new-tenant (500.00 USD, 50, 10, 5000 minutes, 80%, auto-suspend) or unlimited.",
            valueName: "name"))
    var preset: String?

    @OptionGroup(title: "Settings") var fields: CatalogueOptions<TenantFlags>
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members = named([
            ("id", .string(tenant.id)), ("preset", preset.map { .string($0) }),
        ])
        let body = JSON.object(members + (try fields.members()))
        try await control.act(
            .post, Paths.tenants, body: body, done: "Created tenant \(tenant.id).")
    }
}

struct TenantUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Updates a tenant, effective immediately.",
        discussion: """
            Prints by how much current usage exceeds a new cap: the tenant is not suspended by the \
            change itself, but its next charge or creation will trigger the limit.

            Example: tollgate tenants update acme --monthly-spend-limit 750.00 --max-dids none
            """)

    @OptionGroup var tenant: TenantArgument
    @OptionGroup(title: "Settings") var fields: CatalogueOptions<TenantFlags>
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
        commandName: "delete", abstract: "Deletes a tenant permanently; its id is never reused.")

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
    @Option(help: .init("The reason, for the audit log.", valueName: "text"))
    var reason: String?

    /// nil: no body at all.
    var body: JSON? { reason.map { .object([("reason", .string($0))]) } }
}

struct TenantSuspend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend", abstract: "Suspends a tenant: every request is refused.")

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
        abstract: "Resets the limit fields to the tenant defaults.")

    @OptionGroup var tenant: TenantArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .post, tenant.path("/actions/reset_limits"),
            done: "Tenant \(tenant.id) now has the default limits.")
    }
}

struct TenantSetCounts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-counts",
        abstract:
            "Sets how many \(Resource.standing.map(\.plural).listed("and")) a tenant has, to correct a count.",
        discussion: "Example: tollgate tenants set-counts acme --extensions 12 --reference audit-7")

    @OptionGroup var tenant: TenantArgument

    enum Counts: OptionCatalogue {
        static let options = Resource.standing.map {
            CatalogueOption(
                name: $0.option, help: $0.countHelp ?? "", valueName: "n", isWhole: true)
        }
    }

    @OptionGroup var counts: CatalogueOptions<Counts>

    @Option(help: .init("Your own reference; operators see it.", valueName: "text"))
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
                "Give \(options) or \(Resource.standing.count == 2 ? "both" : "several").")
        }
        let body = JSON.object(counts + named([("reference", reference.map { .string($0) })]))
        try await control.act(
            .post, tenant.path("/actions/set_counts"), body: body,
            done: "Set the counts of tenant \(tenant.id).")
    }
}
