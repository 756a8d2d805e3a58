/// What the access log and traces say of one call.
package struct CallReport: Sendable {
    package enum Transport: String, Sendable { case grpc, http }

    /// A part of the time that a call took.
    package struct Step: Sendable {
        package var name: String
        /// On the monotonic clock, nanoseconds.
        package var began: UInt64
        package var ended: UInt64
    }

    package var transport: Transport
    /// Of gRPC "package.Service/Method", of HTTP the method.
    package var method: String
    /// Of HTTP the route's pattern, "/v2/tenants/{id}"; never the path, whose query and ids may be secrets.
    package var route: String?
    /// The address that the call came from, with a port where it is the connection's.
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
    /// The service did not do what it is there for.
    package var isFault = false
    package var steps: [Step] = []

    /// The trace that it belongs to, with the caller's span; nil: none.
    package let trace: TraceContext?
    /// It has a line in the access log.
    package let isLogged: Bool
    /// Its spans are exported.
    package let isRecorded: Bool

    package mutating func add(_ name: String, from began: UInt64, to ended: UInt64) {
        steps.append(Step(name: name, began: began, ended: max(began, ended)))
    }

    /// A call of gRPC is over.
    ///
    /// - Parameters:
    ///   - code: the status' number.
    ///   - status: its name, in lower camel case.
    package mutating func end(grpc code: Int, _ status: String) {
        statusCode = code
        self.status = status.reduce(into: "") { name, letter in
            if letter.isUppercase { name.append("_") }
            name.append(letter.uppercased())
        }
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
        isFault = [2, 4, 12, 13, 14, 15].contains(code)
    }

    /// A request of HTTP is answered.
    package mutating func end(http status: Int) {
        statusCode = status
        self.status = "\(status)"
        isFault = status >= 500
    }
}
