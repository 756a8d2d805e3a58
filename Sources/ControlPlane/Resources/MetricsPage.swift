import Access
import HTTPTypes
import Hummingbird
import NIOCore
package import Telemetry

/// Takes all figures of the service, REST's among them, without waiting for the disk.
package typealias MetricsSource = @Sendable (RESTFigures) async -> [MetricFamily]

/// What REST counts and measures of itself.
package struct RESTFigures: Sendable {
    /// Requests since the process began.
    package var requests: [RequestCounts.Key: UInt64]
    /// How long they took, from the head until the answer was made; the page's are not among them.
    package var times: LatencyHistogram
    /// Requests that are worked on.
    package var inProgress: Int
    /// How late the event loop came to what was due.
    package var lateness: LatencyHistogram
}

/// `/metrics`: what the service counts and measures of itself, for Prometheus.
struct MetricsPage: Sendable {
    /// Scrapes that are made at one time; more are told to come back.
    static let atOnce = 8

    private let source: @Sendable () async -> [MetricFamily]
    private let limiter = ConcurrencyLimiter(maximum: MetricsPage.atOnce)

    init(_ source: @escaping @Sendable () async -> [MetricFamily]) { self.source = source }

    var routes: [Route] {
        var route = Route(.get, "/metrics", .readStatistics, Operations.metrics, get)
        route.waitsForDisk = false
        return [route]
    }

    func get(_ exchange: Exchange) async throws -> Reply {
        try await limiter.within("Too many scrapes in progress") {
            let format = Self.format(AcceptedTypes(exchange.headers[.accept]))
            let text = MetricsText.text(await source(), format)
            return Reply(text: text, contentType: format.contentType)
        }
    }

    /// Whoever takes neither gets Prometheus'.
    static func format(_ accepted: AcceptedTypes) -> MetricsText.Format {
        let openMetrics = accepted.weight(of: "application/openmetrics-text", version: "1.0.0")
        let prometheus = max(
            accepted.weight(of: "text/plain", version: "0.0.4"),
            accepted.weight(of: "text/*", "*/*"))
        return openMetrics > 0 && openMetrics >= prometheus ? .openMetrics : .prometheus
    }
}
