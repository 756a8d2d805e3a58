internal import Foundation

extension Report {
    /// For people.
    var text: String {
        var lines = [
            "\(endpoint): \(actions) actions, \(calls) calls over \(Self.number(scheduledSeconds, 1)) s"
                + (interrupted ? " (interrupted)" : ""),
            "  mix \(mixText), \(tenants) tenants (Zipf \(skew)), \(profilesPerTenant) profiles each, "
                + "seed \(seed)",
            "  asked for \(Self.number(requestedActionsPerSecond, 1)) actions/s; "
                + "\(Self.number(achievedCallsPerSecond, 1)) calls/s were answered in time",
            "  \(connections) connections, at most \(maxInFlight) in flight: peak \(inFlightPeak), "
                + "\(queuePeak) more were due",
            "", measured, "",
            "latency, ms             calls       p50       p90       p99     p99.9       max",
            Self.row("all calls", latencyMs),
        ]
        for step in Step.allCases {
            if let percentiles = latencyMsByMethod[step.method] {
                lines.append(Self.row("  \(step.method)", percentiles))
            }
        }
        lines.append(Self.row("from sending, only", fromSendingMs))
        lines.append(Self.row("sent late by", sentLateMs))
        lines += [
            "", "allowed \(allowed), denied \(denied), settled \(settled), failed \(failed)",
        ]
        lines += deniedByCode.sorted { $0.value > $1.value }.map {
            "  denied \($0.key): \($0.value)"
        }
        lines += failedByStatus.sorted { $0.value > $1.value }
            .map { "  failed \($0.key): \($0.value)" }
        lines.append(
            "processor time a call: load test \(Self.number(loadTestCpuUsPerCall, 2)) µs"
                + (serverCpuUsPerCall.map { ", server \(Self.number($0, 2)) µs" } ?? ""))
        lines += ["", verdict]
        lines += check.findings.map { "  \($0)" }
        if check.wrongDecisions > check.findings.count { lines.append("  …") }
        return lines.joined(separator: "\n")
    }

    private var verdict: String {
        var text =
            check.wrongDecisions == 0
            ? "No wrong decision was found." : "WRONG: \(check.wrongDecisions) findings."
        if let incomplete = check.incomplete {
            text += " The final usage could not be read: \(incomplete)"
        } else {
            text += " \(check.limitsCompared) limits compared with the answers' sum"
            text += check.limitsNotJudged == 0 ? "." : ", \(check.limitsNotJudged) not judged."
        }
        return text
    }

    private var mixText: String {
        mix.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.number($0.value, 2))" }
            .joined(separator: ",")
    }

    private static func row(_ name: String, _ percentiles: Percentiles) -> String {
        let values = [
            percentiles.p50, percentiles.p90, percentiles.p99, percentiles.p999, percentiles.max,
        ]
        return pad(name, 18, left: true) + pad("\(percentiles.count)", 11)
            + values.map { pad(number($0, 3), 10) }.joined()
    }

    private static func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
        let fill = String(repeating: " ", count: max(0, width - text.count))
        return left ? text + fill : fill + text
    }

    static func number(_ value: Double, _ decimals: Int) -> String {
        String(format: "%.\(decimals)f", value)
    }
}

/// The line that tells every second how it goes.
struct LoadProgress {
    var seconds: UInt64
    var started: Int
    var recent: Latencies
    var inFlight: Int
    var queued: Int
    var denied: Int
    var failed: Int

    var line: String {
        let percentiles = Report.Percentiles(recent)
        return "\(seconds) s: \(started) actions, \(percentiles.count) calls in the last second, "
            + "p99 \(Report.number(percentiles.p99, 2)) ms, max \(Report.number(percentiles.max, 2)) ms, "
            + "\(inFlight) in flight, \(queued) queued; denied \(denied), failed \(failed) so far"
    }
}
