internal import Engine
internal import Notifications
internal import Projection
internal import Telemetry

/// What follows the journal; without a journal there are none of these.
struct SideMetrics: MetricGroup {
    static let title = "Lists, logs and deliveries"

    let behind = Metric.gauge(
        "tollgate_projection_behind_bytes",
        "Journal that lists, logs and alerts do not reflect yet")
    let lag = Metric.gauge(
        "tollgate_projection_lag_seconds",
        "Age of the last record that lists, logs and alerts reflect, while there are later ones; else 0"
    )
    let trouble = Metric.gauge(
        "tollgate_projection_trouble",
        "1: lists, logs and alerts are not updating; the log says why")
    let attempts = Metric.counter(
        "tollgate_delivery_attempts",
        "Attempts to deliver an event: delivered, retried (failed, tried again later), failed (given up)",
        by: "channel", "outcome")
    let underway = Metric.gauge("tollgate_deliveries_in_progress", "Attempts in progress")
    let pending = Metric.gauge(
        "tollgate_deliveries_pending",
        "Deliveries that wait, retries included; 10000: that many or more")
    let oldest = Metric.gauge(
        "tollgate_delivery_oldest_age_seconds",
        "Age of the oldest delivery that waits, of the 10000 that fall due first; 0: none waits")
}

extension ServiceMetrics {
    /// - Parameter pending: nil: it is not known now, or there is no projection.
    func sideFamilies(_ pending: (count: Int, oldest: Int64?)?) -> [MetricFamily] {
        guard let projection, let deliveries else { return [] }
        let metrics = MetricCatalogue.sides
        let status = projection.status
        let now = engine.clock.now
        let lag = status.behindBytes > 0 ? max(0, now - status.time) : 0
        var attempts = MetricFamily(metrics.attempts)
        let counts = deliveries.attempts
        for attempt in DeliveryCounts.Attempt.allCases {
            attempts.add(
                .count(counts[attempt] ?? 0), attempt.channel.rawValue, attempt.outcome.rawValue)
        }
        var families = [
            MetricFamily(metrics.behind, status.behindBytes),
            MetricFamily(metrics.lag, Double(lag) / 1_000),
            MetricFamily(metrics.trouble, status.trouble != nil),
            attempts, MetricFamily(metrics.underway, deliveries.underway),
        ]
        if let pending {
            let age = pending.oldest.map { max(0, now - $0) } ?? 0
            families.append(MetricFamily(metrics.pending, pending.count))
            families.append(MetricFamily(metrics.oldest, Double(age) / 1_000))
        }
        return families
    }
}
