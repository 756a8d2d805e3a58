import HTTPTypes
import Synchronization
import Telemetry

/// REST's requests since the process began, and how long they took.
///
/// Thread safety: any thread.
package final class RequestCounts: Sendable {
    package struct Key: Sendable, Hashable {
        /// A method that some route has, or "other", also where it is not known.
        package var method: String
        /// The path of the route, with the names of its parameters: "/v2/tenants/{id}"; "none": there is none with this
        /// method, or the request was refused before anybody looked for it; "page": the operator's page.
        package var route: String
        package var status: Int
    }

    private struct State {
        var counts: [Key: UInt64] = [:]
        var times = LatencyHistogram()
    }

    static let noRoute = "none"
    static let page = "page"
    private static let otherMethod = "other"
    private static let methods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .patch, .delete, .options,
    ]

    private let state = Mutex(State())

    /// - Parameter elapsed: from the request's head until its answer was made; nil: it is not measured.
    func add(
        _ method: HTTPRequest.Method, _ route: String, status: Int, elapsed: Duration? = nil
    ) {
        let key = Key(
            method: Self.methods.contains(method) ? method.rawValue : Self.otherMethod,
            route: route,
            status: status)
        state.withLock { state in
            state.counts[key, default: 0] += 1
            if let elapsed {
                state.times.record(nanoseconds: UInt64(max(0, elapsed / .nanoseconds(1))))
            }
        }
    }

    /// A request that its connection has refused: its header, or what came of it, is not one that anybody is asked about.
    func addRefusal(status: Int) {
        let key = Key(method: Self.otherMethod, route: Self.noRoute, status: status)
        state.withLock { $0.counts[key, default: 0] += 1 }
    }

    var counts: [Key: UInt64] { state.withLock { $0.counts } }

    /// Of all but the page, whose streams of events are as long as somebody looks.
    var times: LatencyHistogram { state.withLock { $0.times } }
}
