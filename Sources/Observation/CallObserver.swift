internal import Limits
internal import Synchronization

/// Selects the calls that are logged or traced, and passes on their reports when they end. If neither is configured,
/// there is no observer, and servers do no work for it.
///
/// Thread safety: any thread.
package final class CallObserver: Sendable {
    private let logShare: CallShare
    private let traceShare: CallShare
    package let accessLog: AccessLog?
    package let tracer: CallTracer?
    /// For servers whose calls may run on any thread.
    private let chance = Mutex(Chance())

    /// - Parameters:
    ///   - accessLog: nil: there is none.
    ///   - logShare: the share of calls that it has, 0 ... 1.
    ///   - tracer: nil: no spans are exported.
    ///   - traceShare: the share of traces that begin here and are recorded, 0 ... 1. For traces that callers began,
    ///     the callers decide.
    package init(accessLog: AccessLog?, logShare: Double, tracer: CallTracer?, traceShare: Double) {
        self.accessLog = accessLog
        self.logShare = CallShare(accessLog == nil ? 0 : logShare)
        self.tracer = tracer
        self.traceShare = CallShare(tracer == nil ? 0 : traceShare)
    }

    /// A call begins.
    ///
    /// - Parameters:
    ///   - traceparent: the header field; nil: it was not sent.
    ///   - began: when, on the monotonic clock, nanoseconds.
    /// - Returns: nil: the call is neither logged nor traced; otherwise what to call `end` with.
    package func begin(
        _ transport: CallReport.Transport, method: String, peer: @autoclosure () -> String,
        traceparent: String?, tracestate: @autoclosure () -> String?, began: UInt64,
        _ chance: inout Chance
    ) -> CallReport? {
        let isLogged = !logShare.isNone && logShare.takes(chance.next())
        var trace = traceparent.flatMap { text in
            TraceContext(traceparent: text, tracestate: tracestate())
        }
        var isRecorded = false
        if tracer != nil {
            if let trace {
                isRecorded = trace.isSampled
            } else if !traceShare.isNone, traceShare.takes(chance.next()) {
                isRecorded = true
                trace = TraceContext(
                    trace: TraceID(high: chance.id(), low: chance.id()), span: 0, isSampled: true)
            }
        }
        guard isLogged || isRecorded else { return nil }
        // The log needs the trace's id only.
        if !isRecorded { trace?.state = "" }
        return CallReport(
            transport: transport, method: method, peer: peer(), began: began, trace: trace,
            isLogged: isLogged, isRecorded: isRecorded)
    }

    /// The same for a server whose calls may run on any thread.
    package func begin(
        _ transport: CallReport.Transport, method: String, peer: @autoclosure () -> String,
        traceparent: String?, tracestate: @autoclosure () -> String?, began: UInt64
    ) -> CallReport? {
        // A generator of its own, so that the caller's closures do not run under the lock.
        var own = chance.withLock { Chance(seed: $0.next()) }
        return begin(
            transport, method: method, peer: peer(), traceparent: traceparent,
            tracestate: tracestate(), began: began, &own)
    }

    /// A call is over: its line and its spans are made from the report later, elsewhere. Never waits for them.
    package func end(_ report: CallReport) {
        let clock = WallClock()
        log(report, clock)
        if report.isRecorded { tracer?.queue.add(report, clock) }
    }

    /// A call is over, and its spans have already been made with the tracer.
    package func endTraced(_ report: CallReport) { log(report, WallClock()) }

    private func log(_ report: CallReport, _ clock: WallClock) {
        guard report.isLogged, report.hasFailed || !report.isProbe else { return }
        accessLog?.add(report, at: clock.milliseconds)
    }
}
