internal import ArgumentParser
internal import JSON
internal import Limits

/// `tollgate profiles`
struct ProfilesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profiles",
        abstract:
            "Manages messaging and outbound voice profiles and their \(ProfileKind.messaging.limit.words.phrase).",
        subcommands: [
            ProfileList.self, ProfileGet.self, ProfileCreate.self, ProfileUpdate.self,
            ProfileDelete.self,
        ])
}

/// Profiles of which kind.
enum ProfileKindName: String, ExpressibleByArgument, CaseIterable {
    case messaging, voice

    var kind: ProfileKind { .named(rawValue) ?? .messaging }
}

/// Which kind of profile a command is about.
struct ProfileKindOption: ParsableArguments {
    @Option(name: .customLong("kind"), help: "The kind of profile.")
    var name = ProfileKindName.messaging

    var kind: ProfileKind { name.kind }
    var collection: String { Paths.profiles(kind) }
}

/// A profile, as an argument.
struct ProfileArgument: ParsableArguments {
    @Argument(help: "The profile's id.")
    var id: String

    @OptionGroup var of: ProfileKindOption

    var path: String { Paths.one(of.collection, id) }
    /// "messaging profile alerts"
    var called: String { "\(of.kind.noun) \(id)" }
}

struct ProfileList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the profiles of one kind.")

    @OptionGroup var of: ProfileKindOption

    @Option(help: .init("Only those of this tenant.", valueName: "id"))
    var tenant: String?

    @Option(help: .init("Only names containing this text.", valueName: "text"))
    var name: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    private static let cap = ProfileKind.messaging.limit.cap
    static let table = Table(
        columns: [
            .init("ID", "id"), .init("TENANT", "tenant_id"), .init("NAME", "name"),
            .init(cap.heading, cap.name, isNumber: true), .init("ENABLED", cap.toggleName),
            .init("WEBHOOK", "webhook_url"),
        ], none: "No profiles.")

    func run() async throws {
        let filter = query(("filter[tenant_id]", tenant), ("filter[name][contains]", name))
        try await control.list(of.collection, query: filter, list, Self.table)
    }
}

struct ProfileGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one profile.")

    @OptionGroup var profile: ProfileArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(profile.path) }
}

struct ProfileCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates a profile.",
        discussion: """
            Example: tollgate profiles create --tenant acme --name Alerts \
            --daily-spend-limit 10.00 --daily-spend-limit-enabled

            An outbound voice profile: --kind voice.
            """)

    @Argument(help: "The id (default: a generated UUID).")
    var id: String?

    @OptionGroup var of: ProfileKindOption

    @Option(help: .init("The tenant that it belongs to; cannot be changed later.", valueName: "id"))
    var tenant: String

    @OptionGroup(title: "Settings") var fields: CatalogueOptions<ProfileFlags>
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members = named([("id", id.map { .string($0) }), ("tenant_id", .string(tenant))])
        let body = JSON.object(members + (try fields.members()))
        try await control.run { client in
            let answer = try await client.send(.post, of.collection, body: body)
            let id = answer.data["id"]?.string ?? ""
            control.print(done: "Created \(of.kind.noun) \(id).", answer.data)
        }
    }
}

struct ProfileUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Updates a profile, effective immediately.",
        discussion: """
            No change resets today's spend; only midnight UTC does.

            To allow a few more messages after a limit is reached: \
            --no-daily-spend-limit-enabled, send them, --daily-spend-limit-enabled.

            Example: tollgate profiles update PROFILE --daily-spend-limit 20.00
            """)

    @OptionGroup var profile: ProfileArgument
    @OptionGroup(title: "Settings") var fields: CatalogueOptions<ProfileFlags>
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .patch, profile.path, body: changes(try fields.members()), ifMatch: match.ifMatch,
            done: "Changed \(profile.called).")
    }
}

struct ProfileDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Deletes a profile permanently; its id is never reused.")

    @OptionGroup var profile: ProfileArgument
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .delete, profile.path, ifMatch: match.ifMatch,
            done: "Deleted \(profile.called).")
    }
}

/// `tollgate defaults`
struct DefaultsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "defaults",
        abstract: "Manages the default limits of new tenants.",
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
        commandName: "set",
        abstract: "Updates the tenant defaults; existing tenants keep their limits.",
        discussion: "Example: tollgate defaults set --max-dids 10 --auto-suspend")

    @OptionGroup(title: "Settings") var fields: CatalogueOptions<LimitFlags>
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .patch, Paths.defaults, body: changes(try fields.members()), ifMatch: match.ifMatch,
            done: "Changed the tenant defaults.")
    }
}
