internal import AsyncHTTPClient
internal import CommandIO
internal import ControlPlane
internal import Foundation
internal import LogLines
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Observation
internal import ServerTrust

/// The access log and the export of traces, as settings want them.
struct CallTelling: Sendable {
    /// To be told of calls by both servers.
    let observer: CallObserver
    private let accessLog: AccessLog?
    private let export: SpanExport?
    private let client: HTTPClient?

    /// What is left at a stop may take so long to be sent.
    private static let lastWord = Duration.seconds(1)
    /// Bytes of a collector's answer that are read.
    private static let longestAnswer = 64 << 10

    /// nil: neither is wanted.
    init?(_ settings: ServeSettings, _ logger: Logger) {
        guard settings.accessLog != .off || settings.otlpEndpoint != nil else { return nil }
        accessLog = Self.accessLog(settings)
        var tracer: CallTracer?
        if let endpoint = settings.otlpEndpoint {
            let queue = SpanQueue(maximum: settings.traceQueue)
            let client = Self.client(for: endpoint, settings)
            tracer = CallTracer(queue)
            export = Self.export(queue, to: endpoint, by: client, settings, logger)
            self.client = client
        } else {
            export = nil
            client = nil
        }
        observer = CallObserver(
            accessLog: accessLog,
            logShare: settings.accessLog == .all ? 1 : settings.accessLogShare, tracer: tracer,
            traceShare: settings.traceShare)
    }

    private static func accessLog(_ settings: ServeSettings) -> AccessLog? {
        guard settings.accessLog != .off else { return nil }
        let format = settings.logFormat
        return AccessLog(
            maximum: settings.accessLogQueue,
            rate: settings.accessLog == .all ? nil : settings.accessLogRate,
            output: AccessLog.Output(
                hasRoom: { BackgroundLines.standardError.isHalfEmpty },
                write: { BackgroundLines.standardError.write($0.encoded(as: format)) }))
    }

    private static func client(
        for endpoint: CollectorURL, _ settings: ServeSettings
    ) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        let timeout = TimeAmount.milliseconds(settings.otlpTimeoutMilliseconds)
        configuration.timeout.connect = timeout
        configuration.timeout.read = timeout
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.requireName(of: endpoint.parts)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    private static func export(
        _ queue: SpanQueue, to endpoint: CollectorURL, by client: HTTPClient,
        _ settings: ServeSettings, _ logger: Logger
    ) -> SpanExport {
        var logger = logger
        logger[metadataKey: "collector"] = "\(endpoint.place)"
        let document = OTLPDocument(
            version: Tollgate.version, instance: UUID().uuidString.lowercased())
        let timeout = Duration.milliseconds(settings.otlpTimeoutMilliseconds)
        return SpanExport(queue, document, logger: logger, now: { LineLogHandler.now }) { body in
            let request = Task { try await send(body, to: endpoint, by: client, timeout) }
            // To the last byte: a collector may answer ever so slowly.
            guard let answer = try await request.value(within: timeout) else {
                request.cancel()
                throw SendFailure(description: "the collector did not answer in time")
            }
            return answer
        }
    }

    private static func send(
        _ body: [UInt8], to endpoint: CollectorURL, by client: HTTPClient, _ timeout: Duration
    ) async throws -> CollectorAnswer {
        var request = HTTPClientRequest(url: endpoint.traces)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: "tollgate/\(Tollgate.version)")
        request.body = .bytes(body)
        do {
            let response = try await client.execute(request, timeout: TimeAmount(timeout))
            // What is too long to be an answer is none that could be understood.
            let found = try? await response.body.collect(upTo: longestAnswer)
            return CollectorAnswer(
                status: Int(response.status.code),
                retryAfter: response.headers.first(name: "Retry-After"),
                body: found.map { Array($0.readableBytesView) } ?? [])
        } catch {
            throw SendFailure(description: reason(error))
        }
    }

    /// Without the URL, whose path may be a secret.
    private static func reason(_ error: any Error) -> String {
        if let error = error as? HTTPClientError { return error.shortDescription }
        return TLSText.failure(error, endpoint: "the collector") ?? ConnectionText.reason(error)
    }

    /// What has become of spans; nil: none are made.
    var spans: SpanQueue.Counts? { observer.tracer?.queue.counts }

    /// Calls that the access log had no room for.
    var unlogged: UInt64 { accessLog?.dropped ?? 0 }

    /// Tells of calls until the task is cancelled, and then of what is left.
    func run() async {
        await withDiscardingTaskGroup { group in
            if let accessLog { group.addTask { await accessLog.run() } }
            if let export { group.addTask { await export.run() } }
        }
        // In a task of its own: a stop has cancelled this one.
        let last = Task {
            async let lines: Void? = accessLog?.flush(within: Self.lastWord)
            await flushSpans()
            await lines
        }
        await last.value
        // Nothing is to be done about a failure.
        try? await client?.shutdown()
    }

    private func flushSpans() async {
        guard let export else { return }
        let flush = Task<Void, any Error> { await export.flush() }
        _ = try? await flush.value(within: Self.lastWord)
        flush.cancel()
    }
}

private struct SendFailure: Error, CustomStringConvertible {
    let description: String
}
