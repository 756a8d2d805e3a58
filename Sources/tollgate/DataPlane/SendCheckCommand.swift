internal import ArgumentParser
internal import TollgateClient

/// `tollgate check`
struct SendCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Checks an action against every limit and, if it fits, holds the amounts.",
        discussion: """
            Prints the decision and, if allowed, the reservation id for commit, release \
            and extend. Exit status 0: allowed; 3: denied.

            Example: tollgate check --tenant acme --action send-message --spend 0.004
            """)

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @OptionGroup var profile: ProfileOptions

    @Option(help: .init("What the tenant is about to do.", valueName: "action"))
    var action: ActionName

    @OptionGroup(title: "Quantities") var quantities: QuantityOptions<Asked>

    @Option(help: .init("Idempotency key: a retry gets the first answer.", valueName: "key"))
    var key: String?

    @Option(
        help: .init("Lifetime of the hold, 1s to 24h (default 60s).", valueName: "duration"))
    var ttl: String?

    @Option(
        help:
            "reserve: hold; check-only: change nothing; commit: charge at once; partial: hold what fits."
    )
    var mode = ModeName.reserve

    @Option(help: "What happens to the hold when it expires.")
    var onExpiry = ExpiryName.release

    @Option(
        help: "What a commit above the hold does: charge all, charge what the caps allow, or fail.")
    var overage = OverageName.record

    @Option(
        help: .init(
            "Your own id for the message, call or order; operators see it.", valueName: "text"))
    var reference: String?

    @Flag(help: "Print every limit that was checked.")
    var includeLimits = false

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = CheckRequest(
            tenantID: tenant, messagingProfileID: profile.messaging ?? "", action: action.action,
            quantities: try quantities.someQuantities(), idempotencyKey: key ?? "",
            ttlMilliseconds: try tollgate.ttlMilliseconds(ttl), mode: mode.mode,
            onExpiry: onExpiry.policy, overage: overage.policy, includesLimits: includeLimits,
            reference: reference ?? "", voiceProfileID: profile.voice ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.check(request))
        }
    }
}
