internal import Access
internal import Admission
internal import ControlPlane
internal import GRPCServer
internal import HTTP2
internal import Telemetry
internal import TransportSecurity

/// Connections, and what keeps peers within their bounds.
struct ConnectionMetrics: MetricGroup {
    static let title = "Connections and defences"

    let connections = Metric.gauge("tollgate_connections", "Connections that are open", by: "port")
    let limit = Metric.gauge(
        "tollgate_connections_limit",
        """
        Maximum connections: --max-connections, --http-max-connections and --ops-max-connections, or fewer for want of \
        file descriptors
        """,
        by: "port")
    let opened = Metric.counter("tollgate_connections_opened", "Connections accepted", by: "port")
    let evicted = Metric.counter(
        "tollgate_connections_evicted",
        "Connections closed because all places were taken and another one came", by: "port")
    let refused = Metric.counter(
        "tollgate_connections_refused",
        "Connections refused because all places were taken by connections in use", by: "port")
    let resets = Metric.counter(
        "tollgate_http2_resets",
        "HTTP/2 streams reset, by error code. A series appears with its first reset",
        by: "direction", "code")
    let ends = Metric.counter(
        "tollgate_http2_connections_ended",
        "HTTP/2 connections ended for an error of the peer, by error code. A series appears with its first end",
        by: "code")
    let defences = Metric.counter(
        "tollgate_http2_defences",
        """
        HTTP/2 connections ended because the peer used up a budget: control_frames, resets (its own), refusals, \
        stray_frames, header_bytes
        """, by: "defence")
    let attempts = Metric.counter(
        "tollgate_authentication_failures",
        "Failed attempts to authenticate, over gRPC, REST and page", by: "reason")
    let hurried = Metric.counter(
        "tollgate_rate_limited", "Requests refused because their caller exceeded its rate")
    let memory = Metric.gauge(
        "tollgate_peer_memory_bytes",
        "Bytes that wait for peers: incomplete requests and unread answers")
    let memoryLimit = Metric.gauge(
        "tollgate_peer_memory_limit_bytes", "Maximum bytes that wait for peers: --peer-memory")
    let lateness = Metric.histogram(
        "tollgate_event_loop_delay_seconds",
        "How late event loops run what is due, measured ten times a second", by: "loops")
    let handshakes = Metric.counter(
        "tollgate_tls_handshake_failures",
        "TLS handshakes that failed, those that the peer broke off among them; only with TLS",
        by: "port")
    let expiry = Metric.gauge(
        "tollgate_tls_certificate_expiry_timestamp_seconds",
        "When the server's certificate expires, Unix time; only with TLS", by: "port")
}

extension ServiceMetrics {
    func connectionFamilies(_ grpc: ServerFigures, _ rest: RESTFigures) -> [MetricFamily] {
        let metrics = MetricCatalogue.connections
        var lateness = MetricFamily(metrics.lateness)
        lateness.add(.times(grpc.lateness), "grpc")
        lateness.add(.times(rest.lateness), "rest")
        var handshakes = MetricFamily(metrics.handshakes)
        var expiry = MetricFamily(metrics.expiry)
        for (port, tls) in [("grpc", tls.grpc), ("http", tls.http)] {
            guard let tls else { continue }
            handshakes.add(.count(tls.counts.failed), port)
            expiry.add(.number(Double(tls.notAfter)), port)
        }
        var attempts = MetricFamily(metrics.attempts)
        let counts = authority.attempts.counts
        for reason in AttemptFailure.allCases {
            attempts.add(.count(UInt64(counts[reason] ?? 0)), reason.label)
        }
        return placeFamilies + resetFamilies(grpc) + [
            attempts, MetricFamily(metrics.hurried, UInt64(authority.hurried)),
            MetricFamily(metrics.memory, admittance.memory.used),
            MetricFamily(metrics.memoryLimit, admittance.memory.limit), lateness, handshakes,
            expiry,
        ]
    }

    private var placeFamilies: [MetricFamily] {
        let metrics = MetricCatalogue.connections
        var families = [
            metrics.connections, metrics.limit, metrics.opened, metrics.evicted, metrics.refused,
        ].map { MetricFamily($0) }
        for (port, places) in admittance.places {
            let counts = places.counts
            families[0].add(.number(Double(places.count)), port)
            families[1].add(.number(Double(places.total)), port)
            families[2].add(.count(places.opened), port)
            families[3].add(.count(counts.evicted), port)
            families[4].add(.count(counts.refused), port)
        }
        return families
    }

    private func resetFamilies(_ grpc: ServerFigures) -> [MetricFamily] {
        let metrics = MetricCatalogue.connections
        var resets = MetricFamily(metrics.resets)
        var ends = MetricFamily(metrics.ends)
        for (code, name) in SessionCounts.codes.enumerated() {
            if grpc.resetsSent[code] > 0 { resets.add(.count(grpc.resetsSent[code]), "sent", name) }
            if grpc.resetsReceived[code] > 0 {
                resets.add(.count(grpc.resetsReceived[code]), "received", name)
            }
            if grpc.connectionsEnded[code] > 0 {
                ends.add(.count(grpc.connectionsEnded[code]), name)
            }
        }
        var defences = MetricFamily(metrics.defences)
        for defence in SessionDefence.allCases {
            defences.add(.count(grpc.defencesUsed[defence.rawValue]), Self.label(defence))
        }
        return [resets, ends, defences]
    }

}
