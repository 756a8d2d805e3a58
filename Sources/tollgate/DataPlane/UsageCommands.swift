internal import ArgumentParser
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
        help: .init("The messaging profile's id; only spend counts against it.", valueName: "id"))
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
        discussion: "Example: tollgate usage --tenant acme --json")

    @Option(help: .init("The tenant's id.", valueName: "id"))
    var tenant: String

    @Option(help: .init("The messaging profile's id.", valueName: "id"))
    var profile: String?

    @Flag(help: "Keep printing changes (this version of the service does not offer it yet).")
    var watch = false

    @OptionGroup(title: "Service") var client: ClientOptions

    func run() async throws {
        if watch {
            StandardError.print("--watch is not offered yet: ask again instead")
            throw ExitStatus.failure.code
        }
        let request = UsageRequest(tenantID: tenant, messagingProfileID: profile ?? "")
        try await client.run { client throws(TollgateError) in
            Outcome(try await client.usage(request), tenantID: request.tenantID)
        }
    }
}
