internal import Foundation
internal import Histogram

/// What a run found out, ready to be printed; in JSON with these names in snake_case.
struct Report: Encodable {
    /// Milliseconds.
    struct Percentiles: Encodable {
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
    struct Second: Encodable {
        var calls: Int
        var meanMs: Double
        var maxMs: Double
    }

    struct Bucket: Encodable {
        var latencyUs: UInt64
        var calls: UInt64
    }

    struct Check: Encodable {
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

    /// One JSON object.
    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
