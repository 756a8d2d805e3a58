internal import JSON
package import LogLines
internal import Logging
internal import Synchronization

/// A line for each call that is told of. Servers hand reports over; whoever runs `write` makes lines of them, and nobody
/// waits for it. What is beyond the bounds is dropped and counted, on a line of its own.
///
/// Thread safety: any thread; `write` on one at a time.
package final class AccessLog: Sendable {
    private struct Waiting {
        var reports: [(report: CallReport, time: Int64)] = []
        var dropped = 0
        var droppedEver: UInt64 = 0
        /// Lines of the present second, and which that is.
        var count = 0
        var second: Int64 = 0
    }

    private let maximum: Int
    private let rate: Int?
    private let line: @Sendable (LogLine) -> Void
    private let waiting = Mutex(Waiting())

    /// - Parameters:
    ///   - maximum: calls that may wait to be written.
    ///   - rate: lines in a second at most; nil: any number.
    ///   - line: writes one; must not wait.
    package init(maximum: Int, rate: Int?, line: @escaping @Sendable (LogLine) -> Void) {
        self.maximum = maximum
        self.rate = rate
        self.line = line
    }

    /// - Parameter time: when the call was over, Unix milliseconds.
    func add(_ report: CallReport, at time: Int64) {
        waiting.withLock { waiting in
            if time / 1_000 != waiting.second {
                waiting.second = time / 1_000
                waiting.count = 0
            }
            guard waiting.reports.count < maximum, waiting.count < rate ?? .max else {
                waiting.dropped += 1
                waiting.droppedEver += 1
                return
            }
            waiting.count += 1
            waiting.reports.append((report, time))
        }
    }

    /// Calls that have no line because of the bounds, ever.
    package var dropped: UInt64 { waiting.withLock { $0.droppedEver } }

    /// Writes what waits, until the task is cancelled, and then what is left.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(100), clock: .suspending)
            write()
        }
        write()
    }

    /// Writes what waits.
    package func write() {
        let (reports, dropped) = waiting.withLock { waiting in
            let found = (waiting.reports, waiting.dropped)
            waiting.reports = []
            waiting.dropped = 0
            return found
        }
        for (report, time) in reports { line(Self.line(report, time)) }
        guard dropped > 0 else { return }
        line(
            LogLine(
                time: WallClock().milliseconds, level: .warning,
                message: "lines of the access log were dropped",
                fields: [("count", .integer(dropped))]))
    }

    private static func line(_ report: CallReport, _ time: Int64) -> LogLine {
        var fields: [JSON.Member] = [
            ("protocol", .string(report.transport.rawValue)), ("method", .string(report.method)),
        ]
        if let route = report.route { fields.append(("route", .string(route))) }
        fields.append(("status", .string(report.status)))
        if let answer = report.answer { fields.append(("answer", .string(answer))) }
        let took = report.ended > report.began ? report.ended - report.began : 0
        fields.append(("duration_ms", .decimal(Double(took / 1_000) / 1_000)))
        fields.append(("peer", .string(report.peer)))
        if let caller = report.caller {
            fields.append(("caller", .string(Hexadecimal.text(caller))))
        }
        if let tenant = report.tenant { fields.append(("tenant", .string(tenant))) }
        if let trace = report.trace { fields.append(("trace_id", .string("\(trace.trace)"))) }
        return LogLine(time: time, level: .info, message: "call", source: "access", fields: fields)
    }
}
