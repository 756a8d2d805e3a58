internal import ArgumentParser
internal import CommandIO
internal import Foundation

/// `tollgate tokens`
struct TokensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Makes and revokes access tokens.",
        subcommands: [TokenCreate.self, TokenList.self, TokenRevoke.self])
}

enum ScopeName: String, ExpressibleByArgument, CaseIterable { case `operator`, check, tenant }

struct TokenCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes an access token and prints its secret, once.",
        discussion: """
            operator: everything; check: the data plane, for the named tenants or all; tenant: \
            reads the usage of its own tenant.

            Example: tollgate tokens create switch-1 --scope check --tenant acme --expires-in 90d
            """)

    @Argument(help: "A name for the audit log.")
    var name: String

    @Option(help: "What it may do.")
    var scope: ScopeName

    @Option(help: .init("Only for this tenant; may be repeated.", valueName: "id"))
    var tenant: [String] = []

    @Option(
        help: .init(
            "How long it is good, like 24h or 90d (default: for ever).", valueName: "duration"))
    var expiresIn: String?

    @OptionGroup(title: "Service") var control: ControlOptions

    func validate() throws {
        if scope == .tenant && tenant.count != 1 {
            throw ValidationError("A token of scope tenant needs exactly one --tenant.")
        }
        if scope == .operator && tenant.isEmpty == false {
            throw ValidationError("A token of scope operator is for everything: name no --tenant.")
        }
        if let expiresIn, (DurationText.milliseconds(expiresIn) ?? 0) <= 0 {
            throw ValidationError("--expires-in must be a duration like 24h or 90d.")
        }
    }

    func run() async throws {
        let expiry = expiresIn.flatMap(DurationText.milliseconds).map { Self.fromNow($0) }
        let members = named([
            ("name", .string(name)), ("scope", .string(scope.rawValue)),
            ("tenant_ids", tenant.isEmpty ? nil : .array(tenant.map { .string($0) })),
            ("expires_at", expiry.map { .string(InstantText.text($0)) }),
        ])
        try await control.run { client in
            let made = try await client.send(.post, Paths.tokens, body: .object(members)).data
            if control.json { return control.print(made) }
            guard let secret = made["secret"]?.string else {
                throw ControlFailure(.failure, "The service made a token and did not say it")
            }
            // The secret alone on standard output: TOKEN=$(tollgate tokens create …).
            StandardOutput.print(secret)
            StandardError.print("this secret is shown only now; id \(made["id"]?.string ?? "")")
        }
    }

    /// Unix milliseconds.
    private static func fromNow(_ milliseconds: Int64) -> Int64 {
        Int64(Date.now.timeIntervalSince1970 * 1_000) + milliseconds
    }
}

struct TokenList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists access tokens, never their secrets.")

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("NAME", "name"), .init("SCOPE", "scope"),
            .init("TENANTS", "tenant_ids"), .init("CREATED", "created_at"),
            .init("EXPIRES", "expires_at"),
        ], none: "No access tokens.")

    func run() async throws { try await control.list(Paths.tokens, query: [], list, Self.table) }
}

struct TokenRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Makes a token worthless at once.")

    @Argument(help: "The token's id, as list shows it.")
    var id: String

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(.delete, Paths.one(Paths.tokens, id), done: "Revoked token \(id).")
    }
}
