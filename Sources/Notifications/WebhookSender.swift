import AsyncHTTPClient
package import Events
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// What came of one attempt.
package struct AttemptResult: Sendable, Equatable {
    /// HTTP status or SMTP reply code; nil: there was none.
    package var status: Int?
    /// Why it failed; nil: it did not.
    package var error: String?
    /// The same again would fail again.
    package var isFinal: Bool

    package init(status: Int?, error: String?, isFinal: Bool = false) {
        self.status = status
        self.error = error
        self.isFinal = isFinal
    }
}

/// Posts events.
package struct WebhookSender: Sendable {
    private let settings: WebhookSettings
    private let signer: WebhookSigner
    private let resolver: Resolver
    private let seconds: @Sendable () -> Int64
    private let pause: @Sendable (Duration) async throws -> Void

    /// - Parameters:
    ///   - seconds: Unix time of the wall clock, which receivers compare with their own.
    ///   - pause: returns when an attempt that began just now has had its time.
    package init(
        _ settings: WebhookSettings, signer: WebhookSigner,
        resolver: @escaping Resolver = WebhookTarget.systemResolver,
        seconds: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) },
        pause: @escaping @Sendable (Duration) async throws -> Void = {
            try await Task.sleep(for: $0)
        }
    ) {
        self.settings = settings
        self.signer = signer
        self.resolver = resolver
        self.seconds = seconds
        self.pause = pause
    }

    /// One attempt: signed anew, to an address that was judged, within the time limit. Only 2xx is success; redirects
    /// are not followed. The status decides: what a receiver says beyond it is not read.
    ///
    /// What is underway when the time is over is left to end by itself: a look-up cannot be interrupted.
    ///
    /// - Parameter number: of the attempt, from 1.
    package func post(_ event: Event, to url: String, number: Int) async -> AttemptResult {
        let (results, sink) = AsyncStream.makeStream(
            of: AttemptResult.self, bufferingPolicy: .bufferingOldest(1))
        let timeout = settings.timeoutMilliseconds
        let work = Task { await attempt(event, url, number) { sink.yield($0) } }
        let alarm = Task {
            try? await pause(.milliseconds(timeout))
            sink.yield(AttemptResult(status: nil, error: "no answer within \(timeout) ms"))
        }
        defer {
            work.cancel()
            alarm.cancel()
        }
        for await result in results { return result }
        return AttemptResult(status: nil, error: "the service is stopping")
    }

    /// Says what came of it before the connection is closed: a peer may be slow to let it go.
    private func attempt(
        _ event: Event, _ url: String, _ number: Int, _ report: (AttemptResult) -> Void
    ) async {
        do {
            let target = try await WebhookTarget(
                url, allowed: settings.allowedPrivate, turn: number - 1, resolver: resolver)
            try Task.checkCancellation()
            let request = try request(event, url, number)
            let client = client(for: target)
            do {
                let answer = try await client.execute(
                    request, timeout: .milliseconds(settings.timeoutMilliseconds))
                let status = Int(answer.status.code)
                let isTaken = (200..<300).contains(status)
                report(
                    AttemptResult(
                        status: status, error: isTaken ? nil : "answered with status \(status)"))
            } catch {
                report(AttemptResult(status: nil, error: Self.sentence(error)))
            }
            try? await client.shutdown()
        } catch {
            report(AttemptResult(status: nil, error: Self.sentence(error)))
        }
    }

    /// A client of its own for each attempt: the address is fixed for a client, not for a request.
    private func client(for target: WebhookTarget) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .milliseconds(settings.timeoutMilliseconds)),
            decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        // The name stays what Host, SNI and the certificate are about. An address in the URL is its own.
        configuration.dnsOverride = [target.host: target.address.description]
        return HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: configuration)
    }

    private func request(_ event: Event, _ url: String, _ number: Int) throws -> HTTPClientRequest {
        let body = EventJSON.body(event, attempt: number, deliveredTo: url)
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "tollgate-webhooks/1")
        for (name, value) in try signer.headers(id: event.id, timestamp: seconds(), body: body) {
            request.headers.add(name: name, value: value)
        }
        request.body = .bytes(ByteBuffer(string: body))
        return request
    }

    private static func sentence(_ error: any Error) -> String {
        if let error = error as? HTTPClientError,
            error == .deadlineExceeded || error == .connectTimeout
        {
            return "no answer in time"
        }
        return String("\(error)".prefix(300))
    }
}
