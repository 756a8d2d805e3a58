internal import ArgumentParser
internal import Limits

/// `tollgate profiles`
struct ProfilesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profiles",
        abstract:
            "Shows and changes messaging profiles and their \(LimitSubject.profileLimit.words.phrase).",
        subcommands: [
            ProfileList.self, ProfileGet.self, ProfileCreate.self, ProfileUpdate.self,
            ProfileDelete.self,
        ])
}

/// A messaging profile, as an argument.
struct ProfileArgument: ParsableArguments {
    @Argument(help: "The messaging profile's id.")
    var id: String

    var path: String { Paths.one(Paths.profiles, id) }
}

struct ProfileList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists messaging profiles.")

    @Option(help: .init("Only those of a tenant.", valueName: "id"))
    var tenant: String?

    @Option(help: .init("Only names that contain this text.", valueName: "text"))
    var name: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    private static let cap = LimitSubject.profileLimit.cap
    static let table = Table(
        columns: [
            .init("ID", "id"), .init("TENANT", "tenant_id"), .init("NAME", "name"),
            .init(cap.heading, cap.name, isNumber: true), .init("ENABLED", cap.toggleName),
            .init("WEBHOOK", "webhook_url"),
        ], none: "No messaging profiles.")

    func run() async throws {
        let filter = query(("filter[tenant_id]", tenant), ("filter[name][contains]", name))
        try await control.list(Paths.profiles, query: filter, list, Self.table)
    }
}

struct ProfileGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one messaging profile.")

    @OptionGroup var profile: ProfileArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(profile.path) }
}

struct ProfileCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a messaging profile of a tenant.",
        discussion: """
            Example: tollgate profiles create --tenant acme --name Alerts \
            --daily-spend-limit 10.00 --daily-spend-limit-enabled
            """)

    @Argument(help: "Its id; without one the service makes a UUID.")
    var id: String?

    @Option(help: .init("The tenant that it belongs to, for ever.", valueName: "id"))
    var tenant: String

    @OptionGroup(title: "Settings") var fields: ProfileFlags
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members = named([("id", id.map { .string($0) }), ("tenant_id", .string(tenant))])
        let body = JSONValue.object(members + (try fields.members()))
        try await control.run { client in
            let answer = try await client.send(.post, Paths.profiles, body: body)
            let id = answer.data["id"]?.string ?? ""
            control.print(done: "Created messaging profile \(id).", answer.data)
        }
    }
}

struct ProfileUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Changes a messaging profile; the next decision obeys.",
        discussion: """
            No change resets what was spent today: only midnight UTC does.

            To override a limit that was reached, for a few more messages: \
            --no-daily-spend-limit-enabled, send them, --daily-spend-limit-enabled.

            Example: tollgate profiles update PROFILE --daily-spend-limit 20.00
            """)

    @OptionGroup var profile: ProfileArgument
    @OptionGroup(title: "Settings") var fields: ProfileFlags
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .patch, profile.path, body: changes(try fields.members()), ifMatch: match.ifMatch,
            done: "Changed messaging profile \(profile.id).")
    }
}

struct ProfileDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Closes a messaging profile for ever; its id is never used again.")

    @OptionGroup var profile: ProfileArgument
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .delete, profile.path, ifMatch: match.ifMatch,
            done: "Deleted messaging profile \(profile.id).")
    }
}

/// `tollgate defaults`
struct DefaultsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "defaults",
        abstract: "Shows and changes the limits that new tenants start with.",
        subcommands: [DefaultsGet.self, DefaultsSet.self])
}

struct DefaultsGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows the tenant defaults.")

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(Paths.defaults) }
}

struct DefaultsSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Changes the tenant defaults; tenants that exist stay.",
        discussion: "Example: tollgate defaults set --max-dids 10 --auto-suspend")

    @OptionGroup(title: "Settings") var fields: LimitFlags
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .patch, Paths.defaults, body: changes(try fields.members()), ifMatch: match.ifMatch,
            done: "Changed the tenant defaults.")
    }
}
