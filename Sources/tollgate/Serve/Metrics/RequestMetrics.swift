internal import ControlPlane
internal import GRPCServer
internal import Telemetry

/// Calls over gRPC: how many, how many failed, how long they took.
struct GRPCMetrics: MetricGroup {
    static let title = "gRPC"

    let requests = Metric.counter(
        "tollgate_grpc_requests",
        "Requests that a method has answered, failures included: unary calls, and messages of streams",
        by: "method")
    let failures = Metric.counter(
        "tollgate_grpc_failures",
        """
        Calls that ended with a status other than OK; also those that no method has seen. A series appears with its \
        first failure
        """, by: "method", "code")
    let durations = Metric.histogram(
        "tollgate_grpc_request_duration_seconds",
        "Time from reading a request's last byte until its answer was written, or the disk let it go"
    )
    let decisions = Metric.histogram(
        "tollgate_grpc_decision_duration_seconds",
        "Time from reading a request's last byte until it was decided: the event loop's part")
    let diskWaits = Metric.histogram(
        "tollgate_grpc_disk_wait_seconds",
        "Time from a decision until the disk let the answer go, of answers that wait for the disk themselves"
    )
    let streams = Metric.gauge(
        "tollgate_grpc_streams_open", "HTTP/2 streams that are open; as of the last second")
    let waiting = Metric.gauge(
        "tollgate_grpc_answers_waiting", "Answers that wait for the disk; as of the last second")
    let putOff = Metric.gauge(
        "tollgate_grpc_connections_waiting_for_room",
        "Connections of which a request waits for room in the journal; as of the last second")
}

/// Requests over REST.
struct HTTPMetrics: MetricGroup {
    static let title = "REST and page"

    let requests = Metric.counter(
        "tollgate_http_requests",
        """
        Requests answered. route: the path's pattern, as in /openapi.json; page: the operator's page; none: no such path, \
        not with this method, or refused before the path was looked up (status 400, 408, 414, 431)
        """, by: "method", "route", "status")
    let durations = Metric.histogram(
        "tollgate_http_request_duration_seconds",
        "Time from a request's header until its answer was made; the page's requests are left out")
    let inProgress = Metric.gauge(
        "tollgate_http_requests_in_progress",
        "REST requests in progress, of --http-max-requests")
}

extension ServiceMetrics {
    func families(_ grpc: ServerFigures) -> [MetricFamily] {
        let metrics = MetricCatalogue.grpc
        let methods = grpc.requests.map { String($0.path.drop { $0 == "/" }) }
        var requests = MetricFamily(metrics.requests)
        for (method, request) in zip(methods, grpc.requests) {
            requests.add(.count(request.count), method)
        }
        var failures = MetricFamily(metrics.failures)
        for (failure, count) in grpc.failures.sorted(by: {
            ($0.key.method, $0.key.code.rawValue) < ($1.key.method, $1.key.code.rawValue)
        }) {
            let method = failure.method < methods.count ? methods[failure.method] : "unknown"
            failures.add(.count(count), method, failure.code.name)
        }
        return [
            requests, failures, MetricFamily(metrics.durations, grpc.whole),
            MetricFamily(metrics.decisions, grpc.decided),
            MetricFamily(metrics.diskWaits, grpc.durable),
            MetricFamily(metrics.streams, grpc.openStreams),
            MetricFamily(metrics.waiting, grpc.parkedAnswers),
            MetricFamily(metrics.putOff, grpc.putOffConnections),
        ]
    }

    /// A case of an enum by its name: "resource_exhausted".
    static func label(_ value: some Any) -> String {
        "\(value)".reduce(into: "") { name, letter in
            if letter.isUppercase { name += "_" }
            name += letter.lowercased()
        }
    }

    func families(of rest: RESTFigures) -> [MetricFamily] {
        let metrics = MetricCatalogue.http
        var requests = MetricFamily(metrics.requests)
        for (key, count) in rest.requests.sorted(by: {
            ($0.key.route, $0.key.method, $0.key.status)
                < ($1.key.route, $1.key.method, $1.key.status)
        }) {
            requests.add(.count(count), key.method, key.route, "\(key.status)")
        }
        return [
            requests, MetricFamily(metrics.durations, rest.times),
            MetricFamily(metrics.inProgress, rest.inProgress),
        ]
    }
}
