internal import ArgumentParser
internal import TollgateClient

/// `tollgate check`
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Asks whether an action fits every limit and, when it does, holds its room.",
        discussion: """
            Prints the decision and, when it is allowed, the reservation's id for commit, release \
            and extend. Exit status 0: allowed; 3: denied.

            Example: tollgate check --tenant acme --action send-message --spend 0.004
            """)

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @Option(help: .init("The messaging profile's id; its daily limit counts too.", valueName: "id"))
    var profile: String?

    @Option(help: .init("What the tenant is about to do.", valueName: "action"))
    var action: ActionName

    @OptionGroup(title: "Quantities") var quantities: QuantityOptions

    @Option(help: .init("Idempotency key: a repeat gets the first answer.", valueName: "key"))
    var key: String?

    @Option(
        help: .init("How long the hold stands, 1s to 24h (default 60s).", valueName: "duration"))
    var ttl: String?

    @Option(
        help:
            "reserve: hold; check-only: change nothing; commit: charge at once; partial: hold what fits."
    )
    var mode = ModeName.reserve

    @Option(help: "What happens to a hold that is neither committed nor released in time.")
    var onExpiry = ExpiryName.release

    @Option(
        help: "What a commit above the hold does: charge all, charge what the caps leave, or fail.")
    var overage = OverageName.record

    @Option(
        help: .init(
            "Your own id of the message, call or order; operators see it.", valueName: "text"))
    var reference: String?

    @Flag(help: "Print every limit that was looked at.")
    var includeLimits = false

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = CheckRequest(
            tenantID: tenant, messagingProfileID: profile ?? "", action: action.action,
            quantities: try quantities.someQuantities(), idempotencyKey: key ?? "",
            ttlMilliseconds: try tollgate.ttlMilliseconds(ttl), mode: mode.mode,
            onExpiry: onExpiry.policy, overage: overage.policy, includesLimits: includeLimits,
            reference: reference ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.check(request))
        }
    }
}
