internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import JSON
internal import Limits
internal import TollgateClient

/// The flags that every command has which asks a running service.
struct ClientOptions: ParsableArguments {
    @Option(
        help: .init(
            "The service's address, or several separated by commas (environment TOLLGATE_ENDPOINT; default 127.0.0.1:50051).",
            valueName: "host:port"))
    var endpoint: String?

    @Option(help: .init("Access token (environment TOLLGATE_TOKEN).", valueName: "token"))
    var token: String?

    @Option(
        help: .init("Timeout for the answer, like 500ms or 10s.", valueName: "duration"))
    var timeout = "1s"

    @OptionGroup var security: TLSOptions

    @Flag(help: "Print one JSON object on one line, with the field names of the REST API.")
    var json = false

    /// Asks the service, prints what it says, and ends with the exit status that belongs to it.
    ///
    /// - Parameter ask: makes the call; returns what to print and the exit status.
    func run(_ ask: (TollgateClient) async throws(TollgateError) -> Outcome) async throws {
        let client = TollgateClient(try configuration())
        defer { client.shutdown() }
        let outcome: Outcome
        do {
            outcome = try await ask(client)
        } catch {
            outcome = Outcome(error)
        }
        if json {
            StandardOutput.print(outcome.json.text)
        } else if outcome.isFailure {
            StandardError.print(outcome.text)
        } else {
            StandardOutput.print(outcome.text)
        }
        if outcome.status != .done { throw outcome.status.code }
    }

    /// Asks the service for updates, and prints each as it comes; ends when the service ends them, with the exit status
    /// that belongs to it.
    ///
    /// - Parameter render: what to print of an update; nil: nothing.
    func follow(
        _ ask: (TollgateClient) -> UsageUpdates, render: (UsageUpdate) -> Outcome?
    ) async throws {
        let client = TollgateClient(try configuration())
        defer { client.shutdown() }
        StandardOutput.endWhenUnread()
        do {
            for try await update in ask(client) {
                guard let outcome = render(update) else { continue }
                StandardOutput.print(json ? outcome.json.text : outcome.text)
                // Each update is for a reader now.
                StandardOutput.flush()
                StandardOutput.endWhenOver()
            }
        } catch {
            let outcome = Outcome(error)
            StandardError.print(outcome.text)
            throw outcome.status.code
        }
    }

    private func configuration() throws -> TollgateClient.Configuration {
        CommandEnvironment.warnOfUnknown()
        return try configuration(EnvironmentVariables.all)
    }

    /// - Throws: `ValidationError` for flags that are wrong.
    func configuration(_ environment: [String: String]) throws -> TollgateClient.Configuration {
        let text = endpoint ?? environment["TOLLGATE_ENDPOINT"] ?? "127.0.0.1:50051"
        guard let milliseconds = DurationText.milliseconds(timeout), milliseconds > 0 else {
            throw ValidationError("--timeout must be a duration like 500ms or 10s.")
        }
        let token = token ?? environment["TOLLGATE_TOKEN"]
        if let token, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) == false {
            throw ValidationError("The token must be printable ASCII without spaces.")
        }
        return TollgateClient.Configuration(
            endpoints: try Self.endpoints(text),
            tls: try security.files(environment).map { try TollgateClient.Configuration.TLS($0) },
            token: token, timeout: .milliseconds(milliseconds),
            connectTimeout: .milliseconds(milliseconds))
    }

    private static let mostEndpoints = 64

    private static func endpoints(_ text: String) throws -> [Endpoint] {
        let endpoints = text.split(separator: ",", omittingEmptySubsequences: false).map {
            NetworkAddress(String($0))
        }
        return try endpoints.map { address in
            guard let address, address.port > 0, endpoints.count <= mostEndpoints else {
                throw ValidationError(
                    "The endpoint must be HOST:PORT, like 127.0.0.1:50051, or several separated by commas, not \"\(text)\"."
                )
            }
            return Endpoint(host: address.host, port: address.port)
        }
    }
}

extension TollgateClient.Configuration.TLS {
    /// - Throws: `ValidationError` with a sentence.
    init(_ files: CertificateFiles) throws {
        do throws(TollgateError) {
            try self.init(
                caFile: files.ca, certificateFile: files.certificate,
                keyFile: files.certificateKey, serverName: files.serverName)
        } catch {
            throw ValidationError("\(error.message).")
        }
    }
}

/// What a command found out: for people, for scripts, and as an exit status.
struct Outcome: Sendable {
    var text: String
    var json: JSON
    var status: ExitStatus
    /// `text` explains a failure rather than an answer.
    var isFailure = false

    init(text: String, json: JSON, status: ExitStatus = .done) {
        self.text = text
        self.json = json
        self.status = status
    }

    /// A call that failed as a whole.
    init(_ error: TollgateError) {
        isFailure = true
        status = ExitStatus(error.code)
        text = error.description
        let row = error.catalogueCode.flatMap { UInt32($0) }
            .flatMap(ErrorCode.init(rawValue:))?.row
        let fields = error.details?.fieldViolations ?? []
        let entries =
            fields.isEmpty ? [(nil, error.message)] : fields.map { ($0.field, $0.description) }
        if entries.count > 1 {
            text += entries.map { "\n  \($0.0 ?? ""): \($0.1)" }.joined()
        }
        json = .object([
            ("status", .string("\(error.code)")),
            (
                "errors",
                .array(entries.map { Self.entry(row, pointer: $0, detail: $1) })
            ),
        ])
    }

    /// An entry of `errors`; without a row of the catalogue the title is the sentence.
    private static func entry(_ row: ErrorRow?, pointer: String?, detail: String) -> JSON {
        guard let row else { return .object([("title", .string(detail))]) }
        var members: [JSON.Member] = [
            ("code", .string("\(row.text)")), ("title", .string("\(row.title)")),
            ("detail", .string(detail)), ("meta", .object([("url", .string("\(row.url)"))])),
        ]
        if let pointer { members.append(("source", .object([("pointer", .string(pointer))]))) }
        return .object(members)
    }
}

extension ExitStatus {
    init(_ code: TollgateError.Code) {
        switch code {
        case .invalidArgument, .notFound, .failedPrecondition: self = .refusedInput
        case .unavailable, .deadlineExceeded: self = .unavailable
        case .unauthenticated, .permissionDenied: self = .notPermitted
        default: self = .failure
        }
    }
}
