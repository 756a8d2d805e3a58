/// What the access log and traces say of one call.
package struct CallReport: Sendable {
    package enum Transport: String, Sendable { case grpc, http }

    /// A part of the time that a call took, on the monotonic clock, nanoseconds.
    package struct Interval: Sendable, Equatable {
        package var began: UInt64
        package var ended: UInt64

        package init(from began: UInt64, to ended: UInt64) {
            self.began = began
            self.ended = max(began, ended)
        }
    }

    package var transport: Transport
    /// Of gRPC "package.Service/Method", of HTTP the method.
    package var method: String
    /// Of HTTP the route's pattern, "/v2/tenants/{id}"; never the path, whose query and ids may be secrets.
    package var route: String?
    /// The address that the call came from; over gRPC with the port.
    package var peer: String
    /// On the monotonic clock, nanoseconds.
    package var began: UInt64
    package var ended: UInt64 = 0
    /// `Caller.number`; nil: nobody was asked, or it is nobody.
    package var caller: UInt64?
    package var tenant: String?
    /// What was decided, where the status does not say it.
    package var answer: String?
    /// Of gRPC its name, of HTTP the number.
    package var status = ""
    package var statusCode = 0
    /// It was not answered as it was meant to be, whoever is to blame; a call that its caller has given up was.
    package var hasFailed = false
    /// The service did not do what it is there for.
    package var isFault = false
    /// Decoding, decision and encoding; nil: it was not decided, or there are spans of it already.
    package var decision: Interval?
    /// nil: the answer did not wait for the disk.
    package var diskWait: Interval?
    /// A question about the service's health, or a scrape: the access log has only those that fail.
    package var isProbe = false

    /// The trace that it belongs to, with the caller's span; nil: none.
    package let trace: TraceContext?
    /// It has a line in the access log.
    package let isLogged: Bool
    /// Its spans are exported.
    package let isRecorded: Bool

    /// A call of gRPC is over.
    ///
    /// - Parameters:
    ///   - code: the status' number.
    ///   - status: its name: "DEADLINE_EXCEEDED".
    package mutating func end(grpc code: Int, _ status: String) {
        statusCode = code
        self.status = status
        // OK, CANCELLED.
        hasFailed = ![0, 1].contains(code)
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        isFault = [2, 4, 12, 13, 14, 15].contains(code)
    }

    /// A request of HTTP is answered.
    package mutating func end(http status: Int) {
        statusCode = status
        self.status = "\(status)"
        hasFailed = status >= 400
        isFault = status >= 500
    }
}
