internal import AsyncHTTPClient
internal import ControlPlane
internal import Foundation
internal import JSON
internal import Limits
internal import NIOCore
internal import NIOHTTP1
internal import Notation
internal import ServerTrust
internal import TollgateClient

/// What the service answered.
struct ControlAnswer: Sendable {
    /// 200 ... 299.
    var httpStatus: Int
    /// null: an empty body.
    var body: JSON
    /// For `If-Match`; nil: the resource has none.
    var etag: String?

    /// The resource, or the resources of a page.
    var data: JSON { body["data"] ?? .null }
}

/// The REST API as commands use it. One connection pool; safe to use from several tasks.
struct ControlClient: Sendable {
    enum Method: String, Sendable {
        case get = "GET", post = "POST", patch = "PATCH", delete = "DELETE"
    }

    /// The longest answer that is read: a page of 250 rows is far below.
    static let maximumAnswerBytes = 64 << 20
    static let largestPage = 250

    private let client: HTTPClient
    /// Without a slash at the end.
    let url: String
    private let token: String?
    private let timeoutMilliseconds: Int64

    /// - Parameter tls: For https: whose certificates are trusted, and which is shown; nil: the system's roots, none.
    init(
        url: String, token: String?, timeoutMilliseconds: Int64,
        tls: TollgateClient.Configuration.TLS? = nil
    ) {
        var configuration = HTTPClient.Configuration()
        // A redirect would carry the token to somebody else.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .milliseconds(timeoutMilliseconds)
        // A service that is not there is told at once, not at the end of the time.
        configuration.connectionPool.retryConnectionEstablishment = false
        var base = url.hasSuffix("/") ? String(url.dropLast()) : url
        if let tls {
            configuration.tlsConfiguration = tls.httpConfiguration
            if let name = tls.serverName, var parts = URLComponents(string: base),
                let host = parts.host
            {
                // Asked for by the name that the certificate has, at the host's address.
                configuration.dnsOverride = [name: host]
                parts.host = name
                base = parts.string ?? base
            }
        }
        configuration.requireName(of: URLComponents(string: base))
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        self.url = base
        self.token = token
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    func close() async {
        // Nothing is underway any more, and the process ends: there is nothing to do about a failure.
        try? await client.shutdown()
    }

    /// One request.
    ///
    /// - Parameters:
    ///   - path: From `/v2` on; ids in it escaped, see `PercentEncoding.segment`.
    ///   - ifMatch: The `ETag` that the resource must still have.
    /// - Throws: `ControlFailure`, also for every answer that is no success.
    func send(
        _ method: Method, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        ifMatch: String? = nil
    ) async throws -> ControlAnswer {
        var request = HTTPClientRequest(url: url + path + Self.text(query))
        request.method = .RAW(value: method.rawValue)
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: "tollgate/\(Tollgate.version)")
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let ifMatch { request.headers.add(name: "If-Match", value: ifMatch) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body.text))
        }
        let (status, bytes, etag) = try await exchange(request)
        let json =
            bytes.readableBytes == 0 ? .null : try? JSONParser.parse(Array(bytes.readableBytesView))
        guard (200..<300).contains(status), let json else {
            if (200..<300).contains(status) {
                throw ControlFailure(.failure, "\(url) did not answer with JSON")
            }
            throw ControlFailure(httpStatus: status, body: json)
        }
        return ControlAnswer(httpStatus: status, body: json, etag: etag)
    }

    /// A file of comma-separated values.
    ///
    /// - Throws: as `send`.
    func file(_ path: String, query: [(String, String)]) async throws -> String {
        var request = HTTPClientRequest(url: url + path + Self.text(query))
        request.headers.add(name: "Accept", value: "text/csv, application/json;q=0.5")
        request.headers.add(name: "User-Agent", value: "tollgate/\(Tollgate.version)")
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        let (status, bytes, _) = try await exchange(request)
        guard (200..<300).contains(status) else {
            throw ControlFailure(
                httpStatus: status, body: try? JSONParser.parse(Array(bytes.readableBytesView)))
        }
        return String(buffer: bytes)
    }

    private func exchange(_ request: HTTPClientRequest) async throws -> (Int, ByteBuffer, String?) {
        do {
            // The library's time ends at the head.
            let (client, time) = (client, timeoutMilliseconds)
            let work = Task {
                let response = try await client.execute(request, timeout: .milliseconds(time))
                let bytes = try await response.body.collect(upTo: Self.maximumAnswerBytes)
                return (Int(response.status.code), bytes, response.headers.first(name: "ETag"))
            }
            guard let answer = try await work.value(within: .milliseconds(time)) else {
                work.cancel()
                throw HTTPClientError.deadlineExceeded
            }
            return answer
        } catch let error as HTTPClientError
            where error == .deadlineExceeded || error == .connectTimeout
        {
            let duration = DurationText.text(timeoutMilliseconds)
            throw ControlFailure(.unavailable, "\(url) did not answer within \(duration)")
        } catch is NIOTooManyBytesError {
            throw ControlFailure(.failure, "\(url) sent an answer that is too large")
        } catch let error as HTTPClientError where Self.isWrongURL(error) {
            throw ControlFailure(.usage, "\"\(url)\" is not a service URL")
        } catch {
            let text = TLSText.failure(error, endpoint: url)
            throw ControlFailure(
                .unavailable, text ?? "\(url) cannot be reached: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error as? HTTPClientError {
        case .remoteConnectionClosed: "the peer closed the connection"
        case let error?: error.shortDescription
        case nil: ConnectionText.reason(error)
        }
    }

    private static func isWrongURL(_ error: HTTPClientError) -> Bool {
        [.invalidURL, .emptyHost, .emptyScheme, .missingSocketPath].contains(error)
    }

    // MARK: Lists

    /// How often a list is begun anew because it became shorter while it was read.
    static let attempts = 5
    /// Lists that take `filter[id][after]`.
    private static let byID = [Paths.tenants] + ProfileKind.allCases.map(Paths.profiles)
    /// The newest come first, and only the oldest go: no row comes to an earlier page.
    private static let logs = [Paths.audit, Paths.events]

    private struct Part {
        var rows: [JSON]
        /// Of all pages.
        var total: Int
        var isLast: Bool
    }

    /// The rows of a list, page after page, until `limit` (nil: all). What is there all the time is not left out,
    /// whatever is deleted meanwhile.
    ///
    /// - Returns: the rows, and how many there are in all.
    func list(
        _ path: String, query: [(String, String)] = [], limit: Int?
    ) async throws -> (rows: [JSON], total: Int) {
        if Self.byID.contains(path), !query.contains(where: { $0.0 == "sort" }) {
            return try await listByID(path, query, limit)
        }
        for _ in 0..<Self.attempts {
            if let found = try await listByPage(path, query, limit) { return found }
        }
        throw ControlFailure(
            .unavailable,
            "\(url)\(path) kept changing while it was read; try again"
        )
    }

    /// Each page begins behind the last row of the one before.
    private func listByID(
        _ path: String, _ query: [(String, String)], _ limit: Int?
    ) async throws -> (rows: [JSON], total: Int) {
        var rows: [JSON] = []
        var total: Int?
        var after: [(String, String)] = []
        while true {
            let part = try await part(path, query + after, 1, limit)
            rows += part.rows
            total = total ?? part.total
            if let limit, rows.count >= limit {
                return (Array(rows.prefix(limit)), max(total ?? 0, limit))
            }
            guard !part.isLast, let last = part.rows.last?["id"]?.string else {
                return (rows, rows.count)
            }
            after = [("filter[id][after]", last)]
        }
    }

    /// nil: rows went away while it was read, and others may have come to pages that had been read.
    private func listByPage(
        _ path: String, _ query: [(String, String)], _ limit: Int?
    ) async throws -> (rows: [JSON], total: Int)? {
        var rows: [JSON] = []
        var total = 0
        var page = 1
        while true {
            let part = try await part(path, query, page, limit)
            if part.total < total, !Self.logs.contains(path) { return nil }
            total = part.total
            rows += part.rows
            if let limit, rows.count >= limit { return (Array(rows.prefix(limit)), total) }
            if part.isLast { return (rows, max(total, rows.count)) }
            page += 1
        }
    }

    private func part(
        _ path: String, _ query: [(String, String)], _ page: Int, _ limit: Int?
    ) async throws -> Part {
        // The size must not change from page to page: it places them.
        let size = min(limit ?? Self.largestPage, Self.largestPage)
        let paging = [("page[number]", "\(page)"), ("page[size]", "\(size)")]
        let answer = try await send(.get, path, query: query + paging)
        guard let rows = answer.data.array else {
            throw ControlFailure(.failure, "\(url)\(path) did not answer with a list")
        }
        let meta = answer.body["meta"]
        let pages = Int(meta?["total_pages"]?.integer ?? 1)
        return Part(
            rows: rows, total: Int(meta?["total_results"]?.integer ?? Int64(rows.count)),
            isLast: rows.isEmpty || page >= pages)
    }

    // MARK: Texts

    private static func text(_ query: [(String, String)]) -> String {
        if query.isEmpty { return "" }
        let parts = query.map { name, value in
            "\(PercentEncoding.component(name))=\(PercentEncoding.component(value))"
        }
        return "?" + parts.joined(separator: "&")
    }
}
