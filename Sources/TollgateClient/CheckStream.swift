internal import NIOCore
public import Wire

/// A long-lived stream of checks: answers come in the order of the requests, each entry on its own.
///
/// Send from one task and read `responses` in another; the service stops reading at 256 unanswered
/// requests. The answer to a failed entry has a non-zero `statusCode`; the stream continues.
/// Nothing is repeated: if the stream fails, requests without an answer may have been processed.
public final class CheckStream: Sendable {
    let call: StreamCall<CheckResponse>
    let connection: Connection

    init(_ call: StreamCall<CheckResponse>, _ connection: Connection) {
        self.call = call
        self.connection = connection
    }

    deinit { cancel() }

    /// Sends a request; waits while 64 KiB of earlier ones are unsent because the service does not
    /// read them. Waiting senders are served in order.
    ///
    /// A cancelled task cancels the stream.
    ///
    /// - Throws: `TollgateError` if the stream has ended, before this call or while it waits: with
    ///   the stream's error, or FAILED_PRECONDITION if there is none (after `finish`, or when the
    ///   service has ended it with OK). The request was not sent then.
    public func send(_ request: CheckRequest) async throws(TollgateError) {
        try await send(request) {}
    }

    /// - Parameter queued: called on the loop, in the order of the requests, before the answer comes.
    func send(
        _ request: CheckRequest, queued: @escaping @Sendable () -> Void
    ) async throws(TollgateError) {
        let message = request.encoded()
        let error: TollgateError? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                connection.loop.execute { [call, connection] in
                    call.send(message) { error in
                        if error == nil { queued() }
                        continuation.resume(returning: error)
                    }
                    connection.expiryChanged(call)
                }
            }
        } onCancel: {
            cancel()
        }
        if let error { throw error }
    }

    /// Announces that there are no further requests, except those whose `send` is waiting.
    /// Everything sent is still answered.
    public func finish() {
        connection.loop.execute { [call] in call.finish() }
    }

    /// Ends the stream at once; the reader gets CANCELLED.
    public func cancel() {
        connection.loop.execute { [call] in call.cancel() }
    }

    /// The next answer.
    func answer() async -> StreamCall<CheckResponse>.Answer {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                connection.loop.execute { [call, connection] in
                    call.receive { continuation.resume(returning: $0) }
                    connection.expiryChanged(call)
                }
            }
        } onCancel: {
            cancel()
        }
    }

    /// The answers, in the order of the requests. One reader at a time.
    public var responses: Responses { Responses(stream: self) }

    /// See `CheckStream.responses`.
    public struct Responses: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let stream: CheckStream

        public func makeAsyncIterator() -> Responses { self }

        /// The next answer; nil: there are no more. A cancelled task cancels the stream.
        public func next() async throws(TollgateError) -> CheckResponse? {
            try await stream.answer().get()
        }

        public func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TollgateError) -> CheckResponse? {
            try await next()
        }
    }
}
