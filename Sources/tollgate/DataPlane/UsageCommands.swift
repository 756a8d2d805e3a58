internal import ArgumentParser
internal import Limits
internal import TollgateClient

/// `tollgate record`
struct RecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Records usage that needed no permission: fees, late charges, de-provisioning.",
        discussion: """
            No limit refuses it. Counts may be negative, down to zero in total.

            Example: tollgate record --tenant acme --extensions -1 --reference order-7
            """)

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @Option(
        help: .init(
            "The messaging profile's id; only \(LimitSubject.profileLimit.resource.row.plural) counts against it.",
            valueName: "id"))
    var profile: String?

    @Option(help: .init("What it was for.", valueName: "action"))
    var action = ActionName.charge

    @OptionGroup(title: "Quantities") var quantities: QuantityOptions

    @Option(help: .init("Idempotency key: a repeat gets the first answer.", valueName: "key"))
    var key: String?

    @Option(
        help: .init(
            "Your own id of the message, call or order; operators see it.", valueName: "text"))
    var reference: String?

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        let request = RecordUsageRequest(
            tenantID: tenant, messagingProfileID: profile ?? "", action: action.action,
            quantities: try quantities.someQuantities(), idempotencyKey: key ?? "",
            reference: reference ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.record(request))
        }
    }
}

/// `tollgate usage --tenant ...`, the default of `tollgate usage`.
struct UsageNowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "now",
        abstract: "Prints committed and held usage of a tenant and, with --profile, of a profile.",
        discussion: """
            With --watch it prints what stands now, of the tenant and its profiles, and then every \
            change, until it is interrupted.

            Example: tollgate usage --tenant acme --json
            """)

    @Option(
        help: .init(
            "The tenant's id. With --watch it may be left out: every tenant, for operators.",
            valueName: "id"))
    var tenant: String?

    @Option(help: .init("The messaging profile's id.", valueName: "id"))
    var profile: String?

    @Flag(help: "Go on and print every change.")
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
        let request = UsageRequest(tenantID: tenant, messagingProfileID: profile ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.usage(request), tenantID: request.tenantID)
        }
    }

    /// With --profile other profiles are passed over.
    private func isWanted(_ update: UsageUpdate) -> Bool {
        guard let profile, let state = update.limits.first,
            let subject = state.limit?.row.subject, subject != .tenant
        else { return true }
        return state.subjectID.hasSameBytes(as: profile)
    }
}
