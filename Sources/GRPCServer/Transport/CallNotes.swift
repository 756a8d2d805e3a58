internal import HTTP2
internal import Limits
internal import Observation

/// What is noted of the calls of one event loop for the access log and traces, from their heads until they end. Only calls
/// that somebody is told of have a note.
///
/// Thread safety: belongs to its event loop.
final class CallNotes {
    /// Fields that tell which trace a call belongs to.
    static let fields = [traceparent, tracestate]
    static let traceparent = KeptField("traceparent")
    static let tracestate = KeptField("tracestate")

    private let observer: CallObserver
    /// By method id, without the leading slash.
    private let methods: [String]
    private var chance = Chance()
    /// At most one for each open stream.
    private var reports: [CallToken: CallReport] = [:]

    /// - Parameter paths: of the methods, in the order of their ids.
    init(_ observer: CallObserver, _ paths: [String]) {
        self.observer = observer
        methods = paths.map { String($0.drop { $0 == "/" }) }
    }

    /// Calls that have a note.
    var count: Int { reports.count }

    func begin(
        _ token: CallToken, route: Int, peer: String, traceparent: String?,
        tracestate: @autoclosure () -> String?, began: UInt64
    ) {
        // A head whose body comes later is looked at twice.
        guard reports[token] == nil else { return }
        let report = observer.begin(
            .grpc, method: methods.indices.contains(route) ? methods[route] : "unknown",
            peer: peer, traceparent: traceparent, tracestate: tracestate(), began: began, &chance)
        if let report { reports[token] = report }
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
        reports[token]?.add("decide", from: began, to: ended)
        // Its end is the call's.
        if isParked { reports[token]?.add("wait for disk", from: ended, to: ended) }
    }

    /// Nothing if it has ended before.
    func end(_ token: CallToken, _ code: GRPCCode, now: UInt64) {
        guard var report = reports.removeValue(forKey: token) else { return }
        report.ended = max(now, report.began)
        if report.steps.last?.name == "wait for disk" {
            report.steps[report.steps.count - 1].ended = report.ended
        }
        report.end(grpc: Int(code.rawValue), "\(code)")
        observer.end(report)
    }
}

/// What a connection notes of its calls. Called only where somebody is told of calls: nothing here is on the way of others.
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

    /// Has a unary request decided, and notes how long that took.
    @inline(never)
    func decideNoted(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        let token = token(stream)
        guard let notes = loop.notes, notes.has(token) else {
            return service.unary(loop.call, request: request, response: &response)
        }
        let began = loop.clock()
        service.note(notes.trace(token))
        let outcome = service.unary(loop.call, request: request, response: &response)
        service.note(nil)
        let ended = loop.clock()
        switch outcome {
        // It is decided later.
        case .putOff: return outcome
        case .done:
            notes.note(
                service.subject(of: loop.call, request: request, isAnswered: true), token)
        case .failed(let failure):
            guard !failure.isStrangers else { break }
            notes.note(
                service.subject(of: loop.call, request: request, isAnswered: false), token)
        }
        notes.decided(
            token, began: began, ended: ended, isParked: loop.call.values.pointee.isParked)
        return outcome
    }

    /// The service has taken a stream, or refused it.
    @inline(never)
    func noteStream(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, _ failure: GRPCFailure?
    ) {
        let token = token(stream)
        guard let notes = loop.notes, notes.has(token), failure?.isStrangers != true else { return }
        notes.note(
            service.subject(of: loop.call, request: request, isAnswered: failure == nil), token)
    }
}
