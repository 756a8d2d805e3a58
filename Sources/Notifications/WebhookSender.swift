import AsyncHTTPClient
package import Events
import NIOCore
import NIOHTTP1
import NIOPosix

/// What came of one attempt.
package struct AttemptResult: Sendable, Equatable {
    /// HTTP status or SMTP reply code; nil: there was none.
    package var status: Int?
    /// Why it failed; nil: it did not.
    package var error: String?

    package init(status: Int?, error: String?) {
        self.status = status
        self.error = error
    }
}

/// Posts events.
package struct WebhookSender: Sendable {
    private let settings: WebhookSettings
    private let signer: WebhookSigner
    private let resolver: Resolver

    package init(
        _ settings: WebhookSettings, signer: WebhookSigner,
        resolver: @escaping Resolver = WebhookTarget.systemResolver
    ) {
        self.settings = settings
        self.signer = signer
        self.resolver = resolver
    }

    /// One attempt: signed anew, to an address that was judged, within the time limit. Only 2xx is success; redirects
    /// are not followed.
    ///
    /// - Parameters:
    ///   - number: of the attempt, from 1.
    ///   - now: Unix milliseconds.
    package func post(
        _ event: Event, to url: String, number: Int, now: Int64
    ) async -> AttemptResult {
        let timeout = settings.timeoutMilliseconds
        let limited = await withTaskGroup(of: AttemptResult?.self) { group in
            group.addTask {
                do {
                    return try await attempt(event, url, number, now)
                } catch {
                    return AttemptResult(status: nil, error: Self.sentence(error))
                }
            }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(timeout))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        return limited
            ?? AttemptResult(status: nil, error: "no answer within \(timeout) ms")
    }

    private func attempt(
        _ event: Event, _ url: String, _ number: Int, _ now: Int64
    ) async throws -> AttemptResult {
        let target = try await WebhookTarget(
            url, allowed: settings.allowedPrivate, resolver: resolver)
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .milliseconds(settings.timeoutMilliseconds)),
            decompression: .disabled)
        configuration.httpVersion = .http1Only
        // A client of its own for each attempt: the address is fixed for a client, not for a request.
        configuration.dnsOverride = [target.host: target.address.description]
        let client = HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: configuration)
        let result: AttemptResult
        do {
            let answer = try await client.execute(
                request(event, url, number, now),
                timeout: .milliseconds(settings.timeoutMilliseconds))
            let status = Int(answer.status.code)
            result = AttemptResult(
                status: status,
                error: (200..<300).contains(status) ? nil : "answered with status \(status)")
        } catch {
            try? await client.shutdown()
            throw error
        }
        try? await client.shutdown()
        return result
    }

    private func request(
        _ event: Event, _ url: String, _ number: Int, _ now: Int64
    ) throws -> HTTPClientRequest {
        let body = EventJSON.body(event, attempt: number, deliveredTo: url)
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "tollgate-webhooks/1")
        for (name, value) in try signer.headers(id: event.id, timestamp: now / 1_000, body: body) {
            request.headers.add(name: name, value: value)
        }
        request.body = .bytes(ByteBuffer(string: body))
        return request
    }

    private static func sentence(_ error: any Error) -> String {
        if let error = error as? HTTPClientError, error == .deadlineExceeded {
            return "no answer in time"
        }
        return String("\(error)".prefix(300))
    }
}
