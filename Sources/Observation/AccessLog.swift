internal import JSON
package import LogLines
internal import Logging
internal import Synchronization

/// Writes one line per logged call. Servers hand over reports; whoever runs `run` makes lines of them, and nobody waits
/// for it. What exceeds the bounds is dropped and counted in a line of its own.
///
/// Thread safety: any thread; `run`, `write` and `flush` on one at a time.
package final class AccessLog: Sendable {
    private struct Waiting {
        var reports = SlicedQueue<(report: CallReport, time: Int64)>()
        /// Calls dropped since the last line that reported any, and in total.
        var dropped: UInt64 = 0
        var droppedEver: UInt64 = 0
        /// When that line was written, Unix milliseconds.
        var toldAt: Int64?
        /// Lines of the current second, and which second that is.
        var count = 0
        var second: Int64 = 0
    }

    /// Where lines go.
    package struct Output: Sendable {
        /// Writes a line; must not block.
        package var write: @Sendable (LogLine) -> Void
        /// Whether there is room for a few hundred lines.
        package var hasRoom: @Sendable () -> Bool

        package init(
            hasRoom: @escaping @Sendable () -> Bool = { true },
            write: @escaping @Sendable (LogLine) -> Void
        ) {
            self.hasRoom = hasRoom
            self.write = write
        }
    }

    /// The time between two lines that report dropped calls, milliseconds.
    private static let silence: Int64 = 60_000

    private let maximum: Int
    private let rate: Int?
    private let output: Output
    private let waiting = Mutex(Waiting())

    /// - Parameters:
    ///   - maximum: calls that may wait to be written.
    ///   - rate: lines per second at most; nil: no limit.
    package init(maximum: Int, rate: Int?, output: Output) {
        self.maximum = maximum
        self.rate = rate
        self.output = output
    }

    /// - Parameter time: when the call ended, Unix milliseconds.
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

    /// Calls that have no line because of the bounds, in total.
    package var dropped: UInt64 { waiting.withLock { $0.droppedEver } }

    /// Writes the waiting calls until the task is cancelled; `flush` is for what is left then.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(100), clock: .suspending)
            await write(now: WallClock().milliseconds)
        }
    }

    /// Writes the waiting calls, as far as there is room: a slice at a time, so as not to occupy a thread for long.
    ///
    /// - Parameter now: Unix milliseconds.
    func write(now: Int64) async {
        // Calls that arrive meanwhile are written the next time.
        var left = waiting.withLock { $0.reports.count }
        while left > 0, output.hasRoom() {
            let slice = waiting.withLock { $0.reports.takeSlice() }
            left -= slice.count
            for (report, time) in slice { output.write(Self.line(report, time)) }
            await Task.yield()
        }
        tellDropped(now, after: Self.silence)
    }

    /// Writes what is left, before the process ends. What finds no room within `limit` counts as dropped.
    package func flush(within limit: Duration) async {
        let end = ContinuousClock.now + limit
        await write(now: WallClock().milliseconds)
        while waiting.withLock({ $0.reports.count }) > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(5), clock: .suspending)
            await write(now: WallClock().milliseconds)
        }
        waiting.withLock { waiting in
            let left = UInt64(waiting.reports.count)
            waiting.reports = SlicedQueue()
            waiting.dropped += left
            waiting.droppedEver += left
        }
        tellDropped(WallClock().milliseconds, after: 0)
    }

    /// - Parameter silence: the least time since the last such line, milliseconds.
    private func tellDropped(_ now: Int64, after silence: Int64) {
        let dropped = waiting.withLock { waiting -> UInt64 in
            guard waiting.dropped > 0, now - (waiting.toldAt ?? .min / 2) >= silence else {
                return 0
            }
            defer { waiting.dropped = 0 }
            waiting.toldAt = now
            return waiting.dropped
        }
        guard dropped > 0 else { return }
        output.write(
            LogLine(
                time: now, level: .warning, message: "lines of the access log were dropped",
                fields: [("count", .integer(Int(dropped)))]))
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
