internal import Observation
internal import Telemetry

/// What becomes of the lines and spans that tell of single calls.
struct CallMetrics: MetricGroup {
    static let title = "Access log and traces"

    let exported = Metric.counter(
        "tollgate_spans_exported", "Spans that the collector has taken")
    let dropped = Metric.counter(
        "tollgate_spans_dropped",
        "Spans that were not exported: the queue was full, or the collector did not take them")
    let waiting = Metric.gauge("tollgate_spans_waiting", "Spans that wait to be exported")
    let unlogged = Metric.counter(
        "tollgate_access_log_dropped",
        "Calls without a line in the access log, beyond its rate or its queue")
}

extension ServiceMetrics {
    var callFamilies: [MetricFamily] {
        let metrics = MetricCatalogue.calls
        let spans = calls?.spans
        return [
            MetricFamily(metrics.exported, .count(spans?.exported ?? 0)),
            MetricFamily(metrics.dropped, .count(spans?.dropped ?? 0)),
            MetricFamily(metrics.waiting, spans?.waiting ?? 0),
            MetricFamily(metrics.unlogged, .count(calls?.unlogged ?? 0)),
        ]
    }
}
