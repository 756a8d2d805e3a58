internal import HTTP2
package import NIOCore
package import Wire

/// One attempt of a unary call on a connection.
///
/// Created by the caller and passed to one event loop; it ends with exactly one call of
/// `completion`.
package final class Call: @unchecked Sendable {
    // SAFETY: the constants are Sendable; the variables are touched by the connection's event loop alone, from
    // the moment the call is handed over.

    let method: LimitServiceMethod
    /// The message without its gRPC prefix.
    let message: [UInt8]
    /// nil: none.
    let deadline: NIODeadline?
    private var completion: ((borrowing CallOutcome) -> Void)?

    var place: StreamPlace?
    /// It was refused once by a connection that ends, and goes over another one: a second refusal is the caller's to hear.
    var hasMoved = false

    /// - Parameter completion: Called once, on the connection's event loop; the outcome's bytes are
    ///   valid until it returns.
    package init(
        method: LimitServiceMethod, message: [UInt8], deadline: NIODeadline?,
        completion: @escaping @Sendable (borrowing CallOutcome) -> Void
    ) {
        self.method = method
        self.message = message
        self.deadline = deadline
        self.completion = completion
    }

    /// The call has ended.
    var isDone: Bool { completion == nil }

    func complete(_ outcome: borrowing CallOutcome) {
        guard let completion else { return }
        self.completion = nil
        completion(outcome)
    }

    // Not inlined: the optimizer of Swift 6.3.1 crashes when it inlines this into `progress`.
    @inline(never)
    func fail(_ error: TollgateError) {
        complete(CallOutcome(error: error, message: UnsafeRawBufferPointer(start: nil, count: 0)))
    }
}

/// How an attempt ended: the response message, or why there is none.
package struct CallOutcome: ~Copyable {
    /// nil: the call succeeded.
    package let error: TollgateError?
    /// The response message without its gRPC prefix; valid while the completion runs.
    package let message: UnsafeRawBufferPointer
}
