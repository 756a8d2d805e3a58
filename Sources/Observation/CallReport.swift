/// What the access log and traces say about one call.
package struct CallReport: Sendable {
    package enum Transport: String, Sendable { case grpc, http }

    /// A part of a call's duration, on the monotonic clock, nanoseconds.
    package struct Interval: Sendable, Equatable {
        package var began: UInt64
        package var ended: UInt64

        package init(from began: UInt64, to ended: UInt64) {
            self.began = began
            self.ended = max(began, ended)
        }
    }

    package var transport: Transport
    /// For gRPC "package.Service/Method", for HTTP the method.
    package var method: String
    /// For HTTP the route's pattern, like "/v2/tenants/{id}"; never the path, whose query and ids may be secrets.
    package var route: String?
    /// The address that the call came from; for gRPC including the port.
    package var peer: String
    /// On the monotonic clock, nanoseconds.
    package var began: UInt64
    package var ended: UInt64 = 0
    /// `Caller.number`; nil: callers are not authenticated, or this one was not.
    package var caller: UInt64?
    package var tenant: String?
    /// What was decided, where the status does not show it.
    package var answer: String?
    /// For gRPC its name, for HTTP the number.
    package var status = ""
    package var statusCode = 0
    /// The call failed, whoever is to blame; one that its caller cancelled did not.
    package var hasFailed = false
    /// The call failed through the service's fault.
    package var isFault = false
    /// Decoding, decision and encoding; nil: nothing was decided, or it has spans already.
    package var decision: Interval?
    /// nil: the answer did not wait for the disk.
    package var diskWait: Interval?
    /// A health check or a scrape: the access log includes it only if it fails.
    package var isProbe = false

    /// The trace that it belongs to, with the caller's span; nil: none.
    package let trace: TraceContext?
    /// It has a line in the access log.
    package let isLogged: Bool
    /// Its spans are exported.
    package let isRecorded: Bool

    /// A gRPC call is over.
    ///
    /// - Parameters:
    ///   - code: the status code's number.
    ///   - status: its name: "DEADLINE_EXCEEDED".
    package mutating func end(grpc code: Int, _ status: String) {
        statusCode = code
        self.status = status
        // OK, CANCELLED.
        hasFailed = ![0, 1].contains(code)
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        isFault = [2, 4, 12, 13, 14, 15].contains(code)
    }

    /// An HTTP request has been answered.
    package mutating func end(http status: Int) {
        statusCode = status
        self.status = "\(status)"
        hasFailed = status >= 400
        isFault = status >= 500
    }
}
