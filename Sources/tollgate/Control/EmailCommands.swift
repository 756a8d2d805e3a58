internal import ArgumentParser
internal import JSON

/// `tollgate emails`
struct EmailsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "emails",
        abstract: "Manages e-mail recipients of alerts. Tenants are never mailed.",
        subcommands: [EmailList.self, EmailCreate.self, EmailUpdate.self, EmailDelete.self])
}

/// An e-mail recipient, as an argument.
struct EmailArgument: ParsableArguments {
    @Argument(help: "The recipient's id.")
    var id: String

    func path(_ rest: String = "") -> String { Paths.one(Paths.emails, id, rest) }
}

struct EmailList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists e-mail recipients.")

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("ADDRESS", "address"), .init("NAME", "name"),
            .init("ENABLED", "enabled"), .init("EVENTS", "event_types"),
        ], none: "No e-mail recipients.")

    func run() async throws {
        try await control.list(Paths.emails, query: [], list, Self.table)
    }
}

struct EmailCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Adds an e-mail recipient.",
        discussion: "Example: tollgate emails create ops@example.com --name \"On call\"")

    @Argument(help: "The address.")
    var address: String

    @Option(help: .init("Display name.", valueName: "text"))
    var name: String?

    @OptionGroup(title: "Settings") var fields: RecipientFlags
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members =
            named([("address", .string(address)), ("name", name.map { .string($0) })])
            + fields.members()
        try await control.run { client in
            let answer = try await client.send(.post, Paths.emails, body: .object(members))
            let id = answer.data["id"]?.string ?? ""
            control.print(done: "Created e-mail recipient \(id).", answer.data)
        }
    }
}

struct EmailUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Updates an e-mail recipient.")

    @OptionGroup var email: EmailArgument

    @Option(help: .init("New address.", valueName: "address"))
    var address: String?

    @Option(help: .init("Display name.", valueName: "text"))
    var name: String?

    @OptionGroup(title: "Settings") var fields: RecipientFlags
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members =
            named([("address", address.map { .string($0) }), ("name", name.map { .string($0) })])
            + fields.members()
        try await control.act(
            .patch, email.path(), body: changes(members), ifMatch: match.ifMatch,
            done: "Changed e-mail recipient \(email.id).")
    }
}

struct EmailDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes an e-mail recipient.")

    @OptionGroup var email: EmailArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .delete, email.path(), done: "Deleted e-mail recipient \(email.id).")
    }
}

/// `tollgate email`
struct EmailCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "email", abstract: "Tests the mail settings.", subcommands: [EmailTest.self])
}

struct EmailTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Sends a test e-mail from the service.",
        discussion: """
            Prints the mail server's answer; exit status 70 if it did not accept the mail.

            Example: tollgate email test ops@example.com
            """)

    @Argument(help: "The recipient's address.")
    var address: String

    @OptionGroup var wait: WaitOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let body = JSON.object([("address", .string(address))])
        try await control.runTest(Paths.emailTest, body: body, wait)
    }
}
