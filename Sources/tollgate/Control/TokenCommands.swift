internal import Access
internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import JSON
internal import Notation

/// `tollgate tokens`
struct TokensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Creates, lists and revokes access tokens.",
        subcommands: [TokenCreate.self, TokenList.self, TokenRevoke.self])
}

enum ScopeName: String, ExpressibleByArgument, CaseIterable {
    case admin, `operator`, viewer, reports, check, tenant, metrics
}

extension Role: ExpressibleByArgument {}

struct TokenCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates an access token and prints its secret, once.",
        discussion: """
            admin: tokens and alert recipients; operator: tenants, limits, the data plane; viewer: \
            reads what operators read; reports: usage of all tenants; check: the data plane, for the \
            named tenants or all; tenant: reads the usage of its own tenant; metrics: the \
            service's own metrics. Scopes can be combined. operator alone includes admin. \
            A role is a named set of scopes: owner (admin, operator), operator, viewer, \
            billing (viewer, reports).

            Example: tollgate tokens create switch-1 --scope check --tenant acme --expires-in 90d
            """)

    @Argument(help: "A name for the audit log.")
    var name: String

    @Option(help: "Scope; may be repeated.")
    var scope: [ScopeName] = []

    @Option(help: "Role: a named set of scopes.")
    var role: Role?

    @Option(help: .init("Restrict to this tenant; may be repeated.", valueName: "id"))
    var tenant: [String] = []

    @Option(
        help: .init(
            "Lifetime, like 24h or 90d (default: no expiry).", valueName: "duration"))
    var expiresIn: String?

    @Option(
        help: .init(
            "Calls per second, 1 to 1000000 (default: the service's default).", valueName: "n"))
    var rate: Int?

    @OptionGroup(title: "Service") var control: ControlOptions

    func validate() throws {
        if scope.isEmpty == (role == nil) {
            throw ValidationError("Give either at least one --scope or a --role.")
        }
        let scopes = role?.scopes ?? Scopes(names: scope.map(\.rawValue))
        switch scopes.fault(tenants: tenant.isEmpty ? nil : tenant.count) {
        case nil, .empty?: break
        case .tenantNeedsOne?:
            throw ValidationError("A token with scope tenant needs exactly one --tenant.")
        case .forEverything(let scope)?:
            throw ValidationError(
                "A token with scope \(scope.rawValue) cannot be restricted with --tenant.")
        }
        if let rate, !CallRate.range.contains(rate) {
            throw ValidationError("--rate must be a whole number from 1 to 1000000.")
        }
        if let expiresIn, (DurationText.milliseconds(expiresIn) ?? 0) <= 0 {
            throw ValidationError("--expires-in must be a duration like 24h or 90d.")
        }
    }

    func run() async throws {
        let expiry = expiresIn.flatMap(DurationText.milliseconds).map { Self.fromNow($0) }
        let names = role?.scopes.names ?? scope.map(\.rawValue)
        let members = named([
            ("name", .string(name)),
            // One by itself as ever: operator stands for admin too.
            ("scope", scope.count == 1 ? .string(scope[0].rawValue) : nil),
            ("scopes", scope.count == 1 ? nil : .array(names.map { .string($0) })),
            ("tenant_ids", tenant.isEmpty ? nil : .array(tenant.map { .string($0) })),
            ("expires_at", expiry.map { .string(Instant.text($0)) }),
            ("requests_per_second", rate.map { .integer(Int64($0)) }),
        ])
        try await control.run { client in
            let made = try await client.send(.post, Paths.tokens, body: .object(members)).data
            if control.json { return control.print(made) }
            guard let secret = made["secret"]?.string else {
                throw ControlFailure(
                    .failure, "The service created a token but did not return its secret")
            }
            // The secret alone on standard output: TOKEN=$(tollgate tokens create …).
            StandardOutput.print(secret)
            StandardError.print(
                "store this secret now, it is not shown again; id \(made["id"]?.string ?? "")")
        }
    }

    /// Unix milliseconds.
    private static func fromNow(_ milliseconds: Int64) -> Int64 {
        Int64(Date.now.timeIntervalSince1970 * 1_000) + milliseconds
    }
}

struct TokenList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists access tokens, without their secrets.")

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("NAME", "name"), .init("SCOPES", "scopes"),
            .init("TENANTS", "tenant_ids"), .init("CREATED", "created_at"),
            .init("EXPIRES", "expires_at"), .init("LAST USED", "last_used_at"),
        ], none: "No access tokens.")

    func run() async throws { try await control.list(Paths.tokens, query: [], list, Self.table) }
}

struct TokenRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revokes a token immediately.")

    @Argument(help: "The token's id, as list shows it.")
    var id: String

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(.delete, Paths.one(Paths.tokens, id), done: "Revoked token \(id).")
    }
}
