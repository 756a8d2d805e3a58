internal import HTTP2
internal import Limits
internal import Observation

/// What is noted of the calls of one event loop for the access log and traces, from their heads until they end. Only calls
/// that will be logged or traced have a note.
///
/// Thread safety: belongs to its event loop.
final class CallNotes {
    /// Fields that tell which trace a call belongs to.
    static let fields = [traceparent, tracestate]
    static let traceparent = KeptField("traceparent")
    static let tracestate = KeptField("tracestate")

    private let observer: CallObserver
    /// By method id: its name without the leading slash, and whether it is asked by probes.
    private let methods: [(name: String, isProbe: Bool)]
    private var chance = Chance()
    /// At most one for each open stream.
    private var reports: [CallToken: CallReport] = [:]

    /// - Parameter paths: of the methods, in the order of their ids.
    init(_ observer: CallObserver, _ paths: [String]) {
        self.observer = observer
        methods = paths.map { path in
            (String(path.drop { $0 == "/" }), path.hasPrefix("/grpc.health.v1.Health/"))
        }
    }

    /// Calls that have a note.
    var count: Int { reports.count }

    /// To be called once for each call.
    func begin(
        _ token: CallToken, route: Int, peer: String, traceparent: String?,
        tracestate: @autoclosure () -> String?, began: UInt64
    ) {
        let method =
            methods.indices.contains(route) ? methods[route] : (name: "unknown", isProbe: false)
        guard
            var report = observer.begin(
                .grpc, method: method.name, peer: peer, traceparent: traceparent,
                tracestate: tracestate(), began: began, &chance)
        else { return }
        report.isProbe = method.isProbe
        reports[token] = report
    }

    func has(_ token: CallToken) -> Bool { reports[token] != nil }

    /// The trace that a call is a part of; nil: none.
    func trace(_ token: CallToken) -> TraceID? { reports[token]?.trace?.trace }

    func note(_ subject: CallSubject, _ token: CallToken) {
        reports[token]?.caller = subject.caller
        reports[token]?.tenant = subject.tenant
        reports[token]?.answer = subject.answer
    }

    /// A request was decided.
    ///
    /// - Parameter isParked: its answer waits for the disk.
    func decided(_ token: CallToken, began: UInt64, ended: UInt64, isParked: Bool) {
        reports[token]?.decision = CallReport.Interval(from: began, to: ended)
        // Its end is the call's.
        if isParked { reports[token]?.diskWait = CallReport.Interval(from: ended, to: ended) }
    }

    /// Nothing if it has ended before.
    func end(_ token: CallToken, _ code: GRPCCode, now: UInt64) {
        guard var report = reports.removeValue(forKey: token) else { return }
        report.ended = max(now, report.began)
        report.diskWait?.ended = report.ended
        // An answer that did not leave is taken back.
        if code != .ok { report.answer = nil }
        report.end(grpc: Int(code.rawValue), code.name)
        observer.end(report)
    }

    /// It was no call of gRPC.
    func drop(_ token: CallToken) { reports[token] = nil }
}

/// What a connection notes of its calls. Called only where calls are logged or traced: nothing here is on the way of others.
extension ConnectionHandler {
    @inline(never)
    func noteBeginning(_ stream: StreamHandle, _ head: UnsafePointer<RequestHead>) {
        loop.notes?.begin(
            token(stream), route: Int(head.pointee.route), peer: peer,
            traceparent: session.kept(CallNotes.traceparent, stream),
            tracestate: session.kept(CallNotes.tracestate, stream),
            began: head.pointee.receivedNanoseconds)
    }

    @inline(never)
    func noteEnd(_ stream: StreamHandle, _ code: GRPCCode) {
        loop.notes?.end(token(stream), code, now: loop.clock())
    }
}
