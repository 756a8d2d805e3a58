import AsyncHTTPClient
import Events
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL
import ServerTrust

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

/// One attempt to post an event.
struct WebhookPost: Sendable {
    var event: Event
    var url: String
    /// From 1.
    var number: Int
    /// The setting of the endpoint; empty: none.
    var recipient = ""
}

/// Posts events.
package struct WebhookSender: Sendable {
    private let settings: WebhookSettings
    private let signer: WebhookSigner
    private let secrets: @Sendable (_ recipient: String) -> [String]
    private let resolver: Resolver
    private let roots: NIOSSLTrustRoots
    private let seconds: @Sendable () -> Int64
    private let pause: @Sendable (Duration) async throws -> Void

    /// - Parameters:
    ///   - secrets: those of the endpoint that a setting is about; none: it has none.
    ///   - roots: of the certificates that receivers over `https` show.
    ///   - seconds: Unix time of the wall clock, which receivers compare with their own.
    ///   - pause: returns when an attempt that began just now has had its time.
    package init(
        _ settings: WebhookSettings, signer: WebhookSigner,
        secrets: @escaping @Sendable (_ recipient: String) -> [String] = { _ in [] },
        resolver: @escaping Resolver = WebhookTarget.systemResolver,
        roots: NIOSSLTrustRoots = .default,
        seconds: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) },
        pause: @escaping @Sendable (Duration) async throws -> Void = {
            try await Task.sleep(for: $0)
        }
    ) {
        self.roots = roots
        self.settings = settings
        self.signer = signer
        self.secrets = secrets
        self.resolver = resolver
        self.seconds = seconds
        self.pause = pause
    }

    /// One attempt: signed anew, to an address that was judged, within the time limit. Only 2xx is success; redirects
    /// are not followed. The status decides: what a receiver says beyond it is not read.
    ///
    /// What is underway when the time is over is left to end by itself: a look-up cannot be interrupted.
    ///
    /// - Parameter began: called when the request has been written to the recipient, if it comes to that.
    func send(
        _ post: WebhookPost, began: @escaping @Sendable () -> Void = {}
    ) async -> AttemptResult {
        let (results, sink) = AsyncStream.makeStream(
            of: AttemptResult.self, bufferingPolicy: .bufferingOldest(1))
        let timeout = settings.timeoutMilliseconds
        let work = Task { await attempt(post, began) { sink.yield($0) } }
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
        _ post: WebhookPost, _ began: @escaping @Sendable () -> Void,
        _ report: (AttemptResult) -> Void
    ) async {
        do {
            let target = try await WebhookTarget(
                post.url, allowed: settings.allowedPrivate, turn: post.number - 1,
                resolver: resolver)
            try Task.checkCancellation()
            let request = try request(post, began)
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
                report(AttemptResult(status: nil, error: Self.sentence(error, target.host)))
            }
            try? await client.shutdown()
        } catch {
            report(AttemptResult(status: nil, error: "\(error)".bounded))
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
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.trustRoots = roots
        if target.isSecure, !TLSNames.isAddress(target.host) {
            let host = target.host
            // Before a byte of the request is written.
            configuration.http1_1ConnectionDebugInitializer = { TLSNames.check(host, of: $0) }
        }
        return HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: configuration)
    }

    private func request(
        _ post: WebhookPost, _ began: @escaping @Sendable () -> Void
    ) throws -> HTTPClientRequest {
        let event = post.event
        let body = EventJSON.body(event, attempt: post.number, deliveredTo: post.url)
        var request = HTTPClientRequest(url: post.url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "user-agent", value: "tollgate-webhooks/1")
        if let occasion = event.occasion {
            request.headers.add(name: "tollgate-occasion", value: occasion.rawValue)
        }
        let secrets = post.recipient.isEmpty ? [] : secrets(post.recipient)
        for (name, value) in try signer.headers(
            id: event.id, timestamp: seconds(), body: body, secrets: secrets)
        {
            request.headers.add(name: name, value: value)
        }
        let bytes = ByteBuffer(string: body)
        request.body = .stream(
            WatchedBody(bytes: bytes, written: began), length: .known(Int64(bytes.readableBytes)))
        return request
    }

    private static func sentence(_ error: any Error, _ host: String) -> String {
        if let error = error as? HTTPClientError,
            error == .deadlineExceeded || error == .connectTimeout
        {
            return "no answer in time"
        }
        if let error = error as? HTTPClientError { return error.shortDescription.bounded }
        return ConnectionText.failure(error, endpoint: host).bounded
    }
}

extension String {
    /// As much of it as is kept of an error.
    fileprivate var bounded: String { String(prefix(300)) }
}

/// A body that says when it has been written.
private struct WatchedBody: AsyncSequence, Sendable {
    let bytes: ByteBuffer
    let written: @Sendable () -> Void

    struct Iterator: AsyncIteratorProtocol {
        var bytes: ByteBuffer?
        let written: @Sendable () -> Void

        /// Whoever asks for more has written what there was.
        mutating func next() async -> ByteBuffer? {
            guard let next = bytes else {
                written()
                return nil
            }
            bytes = nil
            return next
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes, written: written) }
}
