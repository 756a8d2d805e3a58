internal import ArgumentParser
internal import Limits
internal import TollgateClient

/// `tollgate record`
struct SendRecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Records usage without a check: fees, late charges, de-provisioning.",
        discussion: """
            No limit refuses it. Counts may be negative, down to zero in total. Only \
            \(ProfileKind.messaging.limit.resource.row.plural) counts against a profile.

            Example: tollgate record --tenant acme --extensions -1 --reference order-7
            """)

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @OptionGroup var profile: ProfileOptions

    @Option(help: .init("The action it was for.", valueName: "action"))
    var action = ActionName.charge

    @OptionGroup(title: "Quantities") var quantities: QuantityOptions<Charged>

    @Option(help: .init("Idempotency key: a retry gets the first answer.", valueName: "key"))
    var key: String?

    @Option(
        help: .init(
            "Your own id for the message, call or order; operators see it.", valueName: "text"))
    var reference: String?

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = RecordUsageRequest(
            tenantID: tenant, messagingProfileID: profile.messaging ?? "", action: action.action,
            quantities: try quantities.someQuantities(), idempotencyKey: key ?? "",
            reference: reference ?? "", voiceProfileID: profile.voice ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.record(request))
        }
    }
}

/// `tollgate usage --tenant ...`, the default of `tollgate usage`.
struct UsageNowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "now",
        abstract:
            "Prints committed and held usage of a tenant and, with --profile or --voice-profile, of a profile.",
        discussion: """
            With --watch it prints the current state of the tenant and its profiles, then every \
            change, until it is interrupted.

            Example: tollgate usage --tenant acme --json
            """)

    @Option(
        help: .init(
            "The tenant's id. With --watch it may be left out: every tenant, for operators.",
            valueName: "id"))
    var tenant: String?

    @OptionGroup var profile: ProfileOptions

    @Flag(help: "Keep running and print every change.")
    var watch = false

    @OptionGroup(title: "Service") var client: ClientOptions

    func validate() throws {
        if tenant == nil && watch == false {
            throw ValidationError("--tenant is missing.")
        }
    }

    func run() async throws {
        let tenant = tenant ?? ""
        if watch {
            return try await client.follow({ $0.watchUsage(tenant) }) { update in
                isWanted(update) ? Outcome(update) : nil
            }
        }
        let request = UsageRequest(
            tenantID: tenant, messagingProfileID: profile.messaging ?? "",
            voiceProfileID: profile.voice ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.usage(request), tenantID: request.tenantID)
        }
    }

    /// Other profiles than the one that is named are passed over.
    private func isWanted(_ update: UsageUpdate) -> Bool {
        guard let profile = profile.named, let state = update.limits.first,
            let kind = state.limit?.row.subject.profileKind
        else { return true }
        return kind == profile.kind && state.subjectID.hasSameBytes(as: profile.id)
    }
}
