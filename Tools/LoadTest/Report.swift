internal import Histogram
internal import JSON

/// What a run found out, ready to be printed.
struct Report {
    /// Milliseconds.
    struct Percentiles {
        var count: UInt64
        var p50: Double
        var p90: Double
        var p99: Double
        var p999: Double
        var max: Double

        init(_ latencies: Latencies) {
            func at(_ percentile: Double) -> Double {
                Double(latencies.histogram.valueAtPercentile(percentile)) / 1_000
            }
            count = latencies.count
            (p50, p90, p99, p999) = (at(50), at(90), at(99), at(99.9))
            max = count == 0 ? 0 : Double(latencies.histogram.max) / 1_000
        }
    }

    /// One second of the schedule; calls by the second in which they were due.
    struct Second {
        var calls: Int
        var meanMs: Double
        var maxMs: Double
    }

    struct Bucket {
        var latencyUs: UInt64
        var calls: UInt64
    }

    struct Check {
        var wrongDecisions: Int
        var wrongByKind: [String: Int]
        /// The first of them.
        var findings: [String]
        var limitsCompared: Int
        var limitsNotJudged: Int
        /// Why the final usage could not be read; nil: it was.
        var incomplete: String?
    }

    var endpoint: String
    var mix: [String: Double]
    var tenants: Int
    var profilesPerTenant: Int
    var skew: Double
    var seed: UInt64
    var connections: Int
    var maxInFlight: Int
    var keys: Bool
    /// What the numbers are.
    var measured: String

    var requestedActionsPerSecond: Double
    var scheduledSeconds: Double
    var totalSeconds: Double
    var interrupted: Bool
    var actions: Int
    var calls: Int
    /// Calls that ended while the schedule ran, a second.
    var achievedCallsPerSecond: Double

    var allowed: Int
    var settled: Int
    var denied: Int
    /// By catalogue codes; several limits that refused together are joined with "+".
    var deniedByCode: [String: Int]
    var failed: Int
    var failedByStatus: [String: Int]

    var latencyMs: Percentiles
    var latencyMsByMethod: [String: Percentiles]
    var fromSendingMs: Percentiles
    var sentLateMs: Percentiles
    var inFlightPeak: Int
    var queuePeak: Int
    var loadTestCpuUsPerCall: Double
    /// nil: no process was named.
    var serverCpuUsPerCall: Double?

    var check: Check
    var seconds: [Second]
    /// Every recorded latency, three significant digits.
    var histogram: [Bucket]

    static let measured = """
        Open loop: actions start at a fixed rate, whatever the service does; a further call of an action is due a \
        fixed pause after the answer before it. A latency runs from the moment at which a call was due to its \
        answer, waiting for a place in flight included, failed calls too.
        """
}

extension Report {
    mutating func take(_ measurements: Measurements) {
        for (ending, count) in measurements.endings {
            switch ending {
            case .allowed: allowed += count
            case .done: settled += count
            case .denied(let codes):
                deniedByCode[codes.joined(separator: "+"), default: 0] += count
            case .failed(let code): failedByStatus["\(code)", default: 0] += count
            case .unsent: failedByStatus["unsent", default: 0] += count
            }
        }
        calls = measurements.callCount
        denied = measurements.deniedCount
        failed = measurements.failedCount
        latencyMs = Percentiles(measurements.all)
        for step in Step.allCases where measurements.bySteps[step.rawValue].count > 0 {
            latencyMsByMethod[step.method] = Percentiles(measurements.bySteps[step.rawValue])
        }
        fromSendingMs = Percentiles(measurements.fromSending)
        sentLateMs = Percentiles(measurements.lateness)
        inFlightPeak = measurements.inFlightPeak
        queuePeak = measurements.queuePeak
        seconds = measurements.seconds.map {
            Second(
                calls: $0.calls,
                meanMs: $0.calls == 0
                    ? 0 : Double($0.sumNanoseconds / UInt64($0.calls) / 1_000) / 1_000,
                maxMs: Double($0.maxNanoseconds / 1_000) / 1_000)
        }
        histogram = measurements.all.histogram.recordedValues().map {
            Bucket(latencyUs: $0.value, calls: $0.count)
        }
    }

    /// One object, its members in the order of their names.
    var json: JSON {
        let run: JSON = [
            "endpoint": .string(endpoint), "mix": Self.object(mix) { .decimal($0) },
            "tenants": .integer(tenants), "profiles_per_tenant": .integer(profilesPerTenant),
            "skew": .decimal(skew), "seed": .integer(seed), "connections": .integer(connections),
            "max_in_flight": .integer(maxInFlight), "keys": .bool(keys),
            "measured": .string(measured),
            "requested_actions_per_second": .decimal(requestedActionsPerSecond),
            "scheduled_seconds": .decimal(scheduledSeconds),
            "total_seconds": .decimal(totalSeconds), "interrupted": .bool(interrupted),
        ]
        let outcomes: JSON = [
            "actions": .integer(actions), "calls": .integer(calls),
            "achieved_calls_per_second": .decimal(achievedCallsPerSecond),
            "allowed": .integer(allowed), "settled": .integer(settled), "denied": .integer(denied),
            "denied_by_code": Self.object(deniedByCode) { .integer($0) },
            "failed": .integer(failed),
            "failed_by_status": Self.object(failedByStatus) { .integer($0) }, "check": check.json,
        ]
        let times: JSON = [
            "latency_ms": latencyMs.json,
            "latency_ms_by_method": Self.object(latencyMsByMethod) { $0.json },
            "from_sending_ms": fromSendingMs.json, "sent_late_ms": sentLateMs.json,
            "in_flight_peak": .integer(inFlightPeak), "queue_peak": .integer(queuePeak),
            "load_test_cpu_us_per_call": .decimal(loadTestCpuUsPerCall),
            "seconds": .array(seconds.map(\.json)), "histogram": .array(histogram.map(\.json)),
        ]
        let server = serverCpuUsPerCall.map { [("server_cpu_us_per_call", JSON.decimal($0))] }
        return (run + outcomes + times + .object(server ?? [])).sorted
    }

    private static func object<Value>(
        _ values: [String: Value], _ json: (Value) -> JSON
    ) -> JSON { .object(values.map { ($0.key, json($0.value)) }) }
}

extension Report.Percentiles {
    var json: JSON {
        [
            "count": .integer(count), "p50": .decimal(p50), "p90": .decimal(p90),
            "p99": .decimal(p99), "p999": .decimal(p999), "max": .decimal(max),
        ]
    }
}

extension Report.Second {
    var json: JSON {
        ["calls": .integer(calls), "mean_ms": .decimal(meanMs), "max_ms": .decimal(maxMs)]
    }
}

extension Report.Bucket {
    var json: JSON { ["latency_us": .integer(latencyUs), "calls": .integer(calls)] }
}

extension Report.Check {
    var json: JSON {
        let members: JSON = [
            "wrong_decisions": .integer(wrongDecisions),
            "wrong_by_kind": .object(wrongByKind.map { ($0.key, .integer($0.value)) }),
            "findings": .array(findings.map { .string($0) }),
            "limits_compared": .integer(limitsCompared),
            "limits_not_judged": .integer(limitsNotJudged),
        ]
        return incomplete.map { members + ["incomplete": .string($0)] } ?? members
    }
}
