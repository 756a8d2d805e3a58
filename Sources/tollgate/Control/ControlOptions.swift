internal import ArgumentParser
internal import CommandIO
internal import Foundation
internal import JSON
internal import TollgateClient

/// The flags that every command has which asks a running service over its REST API.
struct ControlOptions: ParsableArguments {
    @Option(
        help: .init(
            "The service's REST API (environment TOLLGATE_URL; default http://127.0.0.1:8080).",
            valueName: "url"))
    var url: String?

    @Option(help: .init("Access token (environment TOLLGATE_TOKEN).", valueName: "token"))
    var token: String?

    @Option(
        help: .init("Timeout for an answer, like 500ms or 10s.", valueName: "duration"))
    var timeout = "5s"

    @OptionGroup var certificates: CertificateOptions

    @Flag(help: "Print JSON, one object a line, with the field names of the REST API.")
    var json = false

    /// Runs what needs the service; a failure is printed and becomes the exit status.
    func run(_ body: (ControlClient) async throws -> Void) async throws {
        CommandEnvironment.warnOfUnknown()
        let client = try makeClient(EnvironmentVariables.all)
        do {
            try await body(client)
            await client.close()
        } catch let failure as ControlFailure {
            await client.close()
            if json {
                StandardOutput.print(failure.json.text)
            } else {
                StandardError.print(failure.text)
            }
            throw failure.status.code
        } catch {
            await client.close()
            throw error
        }
    }

    /// - Throws: `ValidationError` for flags that are wrong.
    func makeClient(_ environment: [String: String]) throws -> ControlClient {
        let environment = EnvironmentVariables.set(in: environment)
        let text = url ?? environment["TOLLGATE_URL"] ?? "http://127.0.0.1:8080"
        guard let parts = URLComponents(string: text), parts.host?.isEmpty == false,
            parts.scheme == "http" || parts.scheme == "https", parts.query == nil
        else {
            throw ValidationError(
                "The URL must be like http://127.0.0.1:8080 or https://tollgate.example, not \"\(text)\"."
            )
        }
        guard let milliseconds = DurationText.milliseconds(timeout), milliseconds > 0 else {
            throw ValidationError("--timeout must be a duration like 500ms or 10s.")
        }
        let token = token ?? environment["TOLLGATE_TOKEN"]
        if let token, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) == false {
            throw ValidationError("The token must be printable ASCII without spaces.")
        }
        let isSecure = parts.scheme == "https"
        if certificates.isGiven, isSecure == false {
            throw ValidationError(
                "--ca, --certificate, --certificate-key and --server-name need https, not \"\(text)\"."
            )
        }
        let tls =
            try isSecure
            ? TollgateClient.Configuration.TLS(certificates.files(environment)) : nil
        return ControlClient(url: text, token: token, timeoutMilliseconds: milliseconds, tls: tls)
    }

    // MARK: - Output

    /// One resource.
    func print(_ resource: JSON) {
        StandardOutput.print(json ? resource.text : RecordText.text(resource))
    }

    /// What was done; in JSON what the service said of it, or `{}`.
    ///
    /// - Parameter meta: beside the resource: the limits that are now below present usage.
    func print(done sentence: String, _ resource: JSON = .null, meta: JSON? = nil) {
        if json {
            var members: [JSON.Member] = []
            if case .object(let own) = resource { members = own }
            if let overBy = meta?["over_by"] { members.append(("over_by", overBy)) }
            StandardOutput.print(JSON.object(members).text)
        } else {
            StandardOutput.print(sentence)
            for line in RecordText.overBy(meta ?? .null) { StandardOutput.print(line) }
        }
    }

    /// A list; says on standard error when there is more than was asked for.
    func print(_ rows: [JSON], total: Int, _ table: Table) {
        if json {
            for row in rows { StandardOutput.print(row.text) }
        } else {
            StandardOutput.print(table.text(rows))
        }
        if rows.count < total {
            StandardError.print("\(rows.count) of \(total) shown; --limit shows more")
        }
    }
}

/// How much of a list.
struct ListOptions: ParsableArguments {
    @Option(help: .init("Maximum number of entries, or \"all\".", valueName: "n"))
    var limit = "100"

    /// nil: all.
    func rows() throws -> Int? {
        if limit == "all" { return nil }
        guard let count = Int(limit), count > 0 else {
            throw ValidationError("--limit must be a whole number of at least 1, or all.")
        }
        return count
    }
}

extension ControlOptions {
    /// Asks for a list and prints it.
    func list(
        _ path: String, query: [(String, String)], _ options: ListOptions, _ table: Table
    ) async throws {
        let limit = try options.rows()
        try await run { client in
            let (rows, total) = try await client.list(path, query: query, limit: limit)
            print(rows, total: total, table)
        }
    }

    /// Asks for one resource and prints it.
    func get(_ path: String) async throws {
        try await run { client in print(try await client.send(.get, path).data) }
    }

    /// Changes something and says so.
    func act(
        _ method: ControlClient.Method, _ path: String, body: JSON? = nil,
        ifMatch: String? = nil, done sentence: String
    ) async throws {
        try await run { client in
            let answer = try await client.send(method, path, body: body, ifMatch: ifMatch)
            print(done: sentence, answer.data, meta: answer.body["meta"])
        }
    }
}

/// Query parameters of those flags that were given.
func query(_ pairs: (String, String?)...) -> [(String, String)] { query(pairs) }

func query(_ pairs: [(String, String?)]) -> [(String, String)] {
    pairs.compactMap { name, value in value.map { (name, $0) } }
}
