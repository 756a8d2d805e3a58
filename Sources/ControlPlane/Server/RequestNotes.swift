import Access
import HTTPTypes
import Hummingbird
import Limits
import Observation
import Synchronization
import Tracing

/// What is noted of one request for the access log and traces, by whoever comes to know it. Only requests that will be
/// logged or traced have one.
///
/// Thread safety: any thread.
final class RequestNotes: Sendable {
    /// Of the request that the task works on.
    @TaskLocal static var current: RequestNotes?

    private let observer: CallObserver
    private let report: Mutex<CallReport>
    /// nil: the request is not traced.
    private let span: CallSpan?
    /// Bytes of a tenant's id.
    private static let longestID = 64
    private static let methods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .patch, .delete, .options,
    ]
    private static let probes: Set = ["/healthz", "/readyz", "/metrics"]
    private static let traceparent = HTTPField.Name("traceparent")
    private static let tracestate = HTTPField.Name("tracestate")

    /// nil: it is neither logged nor traced.
    ///
    /// - Parameter address: the caller's, behind proxies that are trusted.
    init?(_ request: Request, _ observer: CallObserver, from address: @autoclosure () -> String) {
        let report = observer.begin(
            .http, method: Self.method(request.method), peer: address(),
            traceparent: Self.field(Self.traceparent, of: request),
            tracestate: Self.field(Self.tracestate, of: request), began: MonotonicClock.now)
        guard let report else { return nil }
        self.observer = observer
        self.report = Mutex(report)
        var context = InstrumentationContext.topLevel
        context.trace = report.trace
        span =
            report.isRecorded
            ? observer.tracer?.startSpan(report.spanName, context: context, ofKind: .server) : nil
    }

    private static func method(_ method: HTTPRequest.Method) -> String {
        methods.contains(method) ? method.rawValue : CallReport.otherMethod
    }

    private static func field(_ name: HTTPField.Name?, of request: Request) -> String? {
        guard let name, request.headers.contains(name) else { return nil }
        return request.headers[values: name].joined(separator: ",")
    }

    /// The trace that a request belongs to, whether it is exported or not; nil: none.
    static func trace(of request: Request) -> TraceID? {
        if let noted = current?.report.withLock({ $0.trace }) { return noted.trace }
        return field(traceparent, of: request).flatMap { TraceContext(traceparent: $0)?.trace }
    }

    func note(route: String) { report.withLock { $0.route = route } }

    /// - Parameters:
    ///   - route: the pattern; nil: there is no such path.
    ///   - parameters: the parts of the path by the pattern's names.
    func note(_ route: String?, _ parameters: [String: String]) {
        guard let route else { return }
        let id = route.hasPrefix("/v2/tenants/{id}") ? parameters["id"] : nil
        report.withLock { report in
            report.route = route
            report.isProbe = Self.probes.contains(route)
            // What is longer is no tenant's, and would be kept with those that wait.
            report.tenant = id.flatMap { $0.utf8.count <= Self.longestID ? $0 : nil }
        }
    }

    func note(_ caller: Caller) {
        // 0: nobody was asked.
        if caller.number != 0 { report.withLock { $0.caller = caller.number } }
    }

    func note(tenant: String) { report.withLock { $0.tenant = tenant } }

    /// The request is over when its answer is made; one whose answer is a stream, when that ends or is given up.
    ///
    /// - Returns: what is to be sent.
    func ended(with response: Response) -> Response {
        let status = Int(response.status.code)
        guard response.body.contentLength == nil else {
            end(status)
            return response
        }
        let end = OnceDone { self.end(status) }
        var response = response
        response.body = ResponseBody { [body = response.body] writer in
            defer { end.call() }
            try await body.write(writer)
        }
        return response
    }

    private func end(_ status: Int) {
        let report = report.withLock { report in
            report.ended = MonotonicClock.now
            report.end(http: status)
            return report
        }
        observer.endTraced(report)
        guard let span else { return }
        span.operationName = report.spanName
        span.attributes = report.spanAttributes
        if let status = report.spanStatus { span.setStatus(status) }
        span.end()
    }

    /// Does something, and has a span for how long it took.
    static func timed<T: Sendable, Failure: Error>(
        _ step: String, _ work: () async throws(Failure) -> T
    ) async throws(Failure) -> T {
        guard let notes = current, let span = notes.span else { return try await work() }
        let part = notes.observer.tracer?.startSpan(step, context: span.context)
        defer { part?.end() }
        return try await work()
    }
}
