internal import ArgumentParser
internal import JSON

/// `tollgate webhooks`
struct WebhooksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhooks",
        abstract: "Manages webhook endpoints and shows deliveries.",
        subcommands: [
            WebhookList.self, WebhookGet.self, WebhookCreate.self, WebhookUpdate.self,
            WebhookDelete.self, WebhookRotate.self, WebhookTest.self, DeliveryList.self,
            DeliveryResend.self,
        ])
}

/// A webhook endpoint, as an argument.
struct WebhookArgument: ParsableArguments {
    @Argument(help: "The endpoint's id.")
    var id: String

    func path(_ rest: String = "") -> String { Paths.one(Paths.webhooks, id, rest) }
}

/// Which events somebody wants.
struct RecipientFlags: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: .init("Only these event types, or \"all\".", valueName: "type"))
    var events: [String] = []

    @Flag(inversion: .prefixedEnableDisable, help: "Whether events are sent to it.")
    var sending: Bool?

    func members() -> [JSON.Member] {
        named([
            ("enabled", sending.map { .bool($0) }),
            (
                "event_types",
                events.isEmpty
                    ? nil : .array(events == ["all"] ? [] : events.map { .string($0) })
            ),
        ])
    }
}

struct WebhookFlags: ParsableArguments {
    @Option(help: .init("Failover URL after three failures, or none.", valueName: "url"))
    var failoverURL: String?

    @Option(help: .init("Description.", valueName: "text"))
    var description: String?

    @OptionGroup var recipient: RecipientFlags

    func members() -> [JSON.Member] {
        named([
            ("failover_url", failoverURL.map { $0 == "none" ? .null : .string($0) }),
            ("description", description.map { .string($0) }),
        ]) + recipient.members()
    }
}

struct WebhookList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists webhook endpoints.")

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("URL", "url"), .init("FAILOVER", "failover_url"),
            .init("ENABLED", "enabled"), .init("EVENTS", "event_types"),
            .init("DESCRIPTION", "description"),
        ], none: "No webhook endpoints.")

    func run() async throws {
        try await control.list(Paths.webhooks, query: [], list, Self.table)
    }
}

struct WebhookGet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one webhook endpoint.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws { try await control.get(webhook.path()) }
}

struct WebhookCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Creates a webhook endpoint.",
        discussion: """
            Example: tollgate webhooks create https://example.com/tollgate --events \
            tenant.suspended tenant.limit-reached
            """)

    @Argument(help: "The URL.")
    var to: String

    @OptionGroup(title: "Settings") var fields: WebhookFlags
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let body = JSON.object([("url", .string(to))] + fields.members())
        try await control.run { client in
            let answer = try await client.send(.post, Paths.webhooks, body: body)
            let id = answer.data["id"]?.string ?? ""
            let secret = answer.data["secret"]?.string ?? ""
            control.print(
                done: "Created webhook endpoint \(id). Its secret, shown only once: \(secret)",
                answer.data)
        }
    }
}

struct WebhookUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Updates a webhook endpoint.",
        discussion: "Example: tollgate webhooks update ID --to https://example.com/other")

    @OptionGroup var webhook: WebhookArgument

    @Option(help: .init("New URL.", valueName: "url"))
    var to: String?

    @OptionGroup(title: "Settings") var fields: WebhookFlags
    @OptionGroup var match: MatchOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        let members = named([("url", to.map { .string($0) })]) + fields.members()
        try await control.act(
            .patch, webhook.path(), body: changes(members), ifMatch: match.ifMatch,
            done: "Changed webhook endpoint \(webhook.id).")
    }
}

struct WebhookDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes a webhook endpoint.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .delete, webhook.path(), done: "Deleted webhook endpoint \(webhook.id).")
    }
}

struct WebhookRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-secret",
        abstract: "Rotates an endpoint's secret; the old one stays valid for one more day.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.run { client in
            let answer = try await client.send(.post, webhook.path("/actions/rotate_secret"))
            let secret = answer.data["secret"]?.string ?? ""
            control.print(done: "The new secret, shown only once: \(secret)", answer.data)
        }
    }
}

struct WebhookTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Sends a signed test event to an endpoint.",
        discussion: "Prints the response; exit status 70 if the endpoint did not accept the event.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var wait: WaitOption
    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.runTest(webhook.path("/actions/test"), body: nil, wait)
    }
}

struct DeliveryList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries",
        abstract: "Lists webhook and e-mail deliveries, newest first.",
        discussion: "Example: tollgate webhooks deliveries --status failed")

    @Option(help: .init("Only this status: pending, delivered or failed.", valueName: "status"))
    var status: String?

    @Option(help: .init("Only this event.", valueName: "id"))
    var event: String?

    @Option(help: .init("Only this event type.", valueName: "type"))
    var type: String?

    @Option(help: .init("Only this channel: webhook or email.", valueName: "channel"))
    var channel: String?

    @OptionGroup var list: ListOptions
    @OptionGroup(title: "Service") var control: ControlOptions

    static let table = Table(
        columns: [
            .init("ID", "id"), .init("STATUS", "status"),
            .init("EVENT", "event_type"), .init("TO", "url"),
            .init("ATTEMPTS") { .integer(Int64($0["attempts"]?.array?.count ?? 0)) },
            .init("LAST") {
                let last = $0["attempts"]?.array?.first
                return last?["error"].flatMap { $0.isNull ? nil : $0 } ?? last?["status_code"]
            },
            .init("NEXT", "next_attempt_at"),
        ], none: "No deliveries.")

    func run() async throws {
        let filter = query(
            ("filter[status]", status), ("filter[event_id]", event), ("filter[event_type]", type),
            ("filter[channel]", channel))
        try await control.list(Paths.deliveries, query: filter, list, Self.table)
    }
}

struct DeliveryResend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resend", abstract: "Resends a delivery with the same event id.")

    @Argument(help: "The delivery's id.")
    var id: String

    @OptionGroup(title: "Service") var control: ControlOptions

    func run() async throws {
        try await control.act(
            .post, Paths.one(Paths.deliveries, id, "/actions/resend"),
            done: "Delivery \(id) is sent again.")
    }
}

/// How long to wait for what becomes of a test message.
struct WaitOption: ParsableArguments {
    @Option(
        help: .init("How long to wait for the response, like 20s.", valueName: "duration"))
    var wait = "20s"

    func validate() throws {
        guard let milliseconds = DurationText.milliseconds(wait), milliseconds > 0 else {
            throw ValidationError("--wait must be a duration like 500ms or 20s.")
        }
    }

    var duration: Duration { .milliseconds(DurationText.milliseconds(wait) ?? 0) }
}

extension ControlOptions {
    /// Has a test message sent and tells what became of its first attempt.
    func runTest(_ path: String, body: JSON?, _ wait: WaitOption) async throws {
        try await run { client in
            var delivery = try await client.send(.post, path, body: body).data
            let id = delivery["id"]?.string ?? ""
            let end = ContinuousClock.now + wait.duration
            while delivery["attempts"]?.array?.isEmpty ?? true, .now < end {
                // The service has no call that waits for a delivery.
                try await Task.sleep(for: .milliseconds(100))
                delivery = try await client.send(.get, Paths.one(Paths.deliveries, id)).data
            }
            guard let attempt = delivery["attempts"]?.array?.first else {
                throw ControlFailure(
                    .unavailable,
                    "nothing was sent within \(wait.wait); delivery \(id) is still pending"
                )
            }
            let error = attempt["error"]?.string
            let status = attempt["status_code"]?.integer.map { " (\($0))" } ?? ""
            let target = CellText.text(attempt["target"] ?? .null)
            self.print(
                done: error.map {
                    "\(target) did not accept it: \(CellText.printable($0))\(status)"
                }
                    ?? "\(target) accepted it\(status).", delivery)
            if error != nil { throw ExitStatus.failure.code }
        }
    }
}
