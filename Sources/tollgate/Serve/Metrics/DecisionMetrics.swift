internal import Engine
internal import Limits
internal import Reservations
internal import Telemetry

/// What was decided, and what has become of it.
struct DecisionMetrics: MetricGroup {
    static let title = "Decisions and holds"

    let decisions = Metric.counter(
        "tollgate_decisions",
        "Decisions of CheckAndReserve and Extend, over gRPC and REST. code: of a denial, the first error code",
        by: "operation", "mode", "answer", "code")
    let storedAnswers = Metric.counter(
        "tollgate_stored_answers",
        "Stored answers given again to CheckAndReserve and Extend with an idempotency key")
    let open = Metric.gauge("tollgate_holds_open", "Reservations that are open")
    let opened = Metric.counter("tollgate_holds_opened", "Reservations made")
    let ended = Metric.counter(
        "tollgate_holds_ended",
        """
        Reservations ended: committed, released, expired (given back; also those that a suspension or deletion ended), \
        expired_charged
        """, by: "how")
    let lateCommits = Metric.counter(
        "tollgate_late_commits", "Commits that came after their reservation's expiry")
    let forgotten = Metric.counter(
        "tollgate_reservations_forgotten",
        "Ended reservations that are no longer remembered: the retention has passed")
}

/// What is in use of bounds that are fixed at the start.
struct TableMetrics: MetricGroup {
    static let title = "Table"

    let used = Metric.gauge(
        "tollgate_table_used",
        """
        Places in use: tenants, profiles (deleted ones included), reservations (open or remembered), keys (idempotency \
        keys), amended (reservations extended, or committed with other amounts), charged (remembered after an expiry \
        that charged)
        """, by: "what")
    let capacity = Metric.gauge(
        "tollgate_table_capacity",
        "The bounds of tollgate_table_used: --max-tenants, --max-profiles, --max-reservations, "
            + "--max-remembered, --max-amended, --max-charged",
        by: "what")
    let refusedOverShare = Metric.counter(
        "tollgate_share_refusals",
        "Requests refused because their tenant has its share of reservations or keys while they are scarce"
    )
}

extension ServiceMetrics {
    var decisionFamilies: [MetricFamily] {
        let metrics = MetricCatalogue.decisions
        let (counts, replays) = engine.decisionCounts
        var decisions = MetricFamily(metrics.decisions)
        for count in counts {
            let (operation, mode) = Self.labels(count.operation)
            decisions.add(.count(count.allowed), operation, mode, "allowed", "")
            for (code, denied) in count.denied.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                decisions.add(.count(denied), operation, mode, "denied", "\(code.row.text)")
            }
        }
        let holds = engine.holdTotals
        var ended = MetricFamily(metrics.ended)
        ended.add(.count(holds.committed), "committed")
        ended.add(.count(holds.released), "released")
        ended.add(.count(holds.expired), "expired")
        ended.add(.count(holds.expiredCharged), "expired_charged")
        return [
            decisions, MetricFamily(metrics.storedAnswers, replays),
            MetricFamily(metrics.open, Double(holds.open)),
            MetricFamily(metrics.opened, holds.opened), ended,
            MetricFamily(metrics.lateCommits, holds.committedLate),
            MetricFamily(metrics.forgotten, holds.forgotten),
        ]
    }

    private static func labels(_ operation: DecidedOperation) -> (operation: String, mode: String) {
        switch operation {
        case .extend: ("extend", "")
        case .check(.reserve): ("check_and_reserve", "reserve")
        case .check(.checkOnly): ("check_and_reserve", "check_only")
        case .check(.commit): ("check_and_reserve", "commit")
        case .check(.partial): ("check_and_reserve", "partial")
        }
    }

    var tableFamilies: [MetricFamily] {
        let metrics = MetricCatalogue.table
        let occupancy = engine.occupancy
        let places = engine.placesInUse
        let bounds = engine.configuration.capacity
        var used = MetricFamily(metrics.used)
        var capacity = MetricFamily(metrics.capacity)
        for (what, count, bound) in [
            ("tenants", places.tenants, bounds.tenants),
            ("profiles", places.profiles, bounds.profiles),
            ("reservations", occupancy.reservations, bounds.reservations),
            ("keys", occupancy.keys, bounds.keys),
            ("amended", occupancy.amended, bounds.bodies),
            ("charged", occupancy.charged, bounds.charged),
        ] {
            used.add(.number(Double(count)), what)
            capacity.add(.number(Double(bound)), what)
        }
        return [used, capacity, MetricFamily(metrics.refusedOverShare, occupancy.refusedOverShare)]
    }
}
