import Access
import HTTPTypes
import Hummingbird
import Limits
import Observation
import Synchronization

/// What is noted of one request for the access log and traces, by whoever comes to know it. Only requests that somebody is
/// told of have one.
///
/// Thread safety: any thread.
final class RequestNotes: Sendable {
    /// Of the request that the task works on.
    @TaskLocal static var current: RequestNotes?

    private let report: Mutex<CallReport>
    /// Bytes of a tenant's id.
    private static let longestID = 64

    /// nil: nobody is told of the request.
    ///
    /// - Parameter address: the caller's, behind proxies that are trusted.
    init?(_ request: Request, _ observer: CallObserver, from address: String) {
        let report = observer.begin(
            .http, method: Self.method(request.method), peer: address,
            traceparent: Self.field("traceparent", of: request),
            tracestate: Self.field("tracestate", of: request), began: MonotonicClock.now)
        guard let report else { return nil }
        self.report = Mutex(report)
    }

    /// What is no method that is known may be anything.
    private static func method(_ method: HTTPRequest.Method) -> String {
        let known: Set<HTTPRequest.Method> = [.get, .head, .post, .put, .patch, .delete, .options]
        return known.contains(method) ? method.rawValue : "_OTHER"
    }

    private static func field(_ name: String, of request: Request) -> String? {
        let values = HTTPField.Name(name).map { request.headers[values: $0] } ?? []
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    /// The trace that a request belongs to, whether it is exported or not; nil: none.
    static func trace(of request: Request) -> TraceID? {
        if let noted = current?.report.withLock({ $0.trace }) { return noted.trace }
        return field("traceparent", of: request).flatMap { TraceContext(traceparent: $0)?.trace }
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
            // What is longer is no tenant's, and would be kept with those that wait.
            report.tenant = id.flatMap { $0.utf8.count <= Self.longestID ? $0 : nil }
        }
    }

    func note(_ caller: Caller) {
        // 0: nobody was asked.
        if caller.number != 0 { report.withLock { $0.caller = caller.number } }
    }

    func note(tenant: String) { report.withLock { $0.tenant = tenant } }

    func end(_ status: Int) -> CallReport {
        report.withLock { report in
            report.ended = MonotonicClock.now
            report.end(http: status)
            return report
        }
    }

    /// Does something, and notes how long it took.
    static func timed<T: Sendable, Failure: Error>(
        _ step: String, _ work: () async throws(Failure) -> T
    ) async throws(Failure) -> T {
        guard let notes = current else { return try await work() }
        let began = MonotonicClock.now
        defer {
            let ended = MonotonicClock.now
            notes.report.withLock { $0.add(step, from: began, to: ended) }
        }
        return try await work()
    }
}
