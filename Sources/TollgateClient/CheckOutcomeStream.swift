internal import NIOCore
internal import Synchronization
public import Wire

/// A stream of checks under a `FailurePolicy`: each check that was sent has one outcome, in the
/// order of the requests, whatever happens to the stream.
///
/// If the stream fails, the policy decides all unanswered checks; their outcomes come first, then
/// the error is thrown. If it lets none of them through, the error is thrown at once, as it is when
/// the reader's task is cancelled. Use another stream for further checks: a check that `send`
/// refuses was not sent.
public final class CheckOutcomeStream: Sendable {
    public typealias Outcome = Result<CheckOutcome, TollgateError>

    private struct State {
        /// Sent and not answered.
        var asked = CircularBuffer<CheckRequest>()
        /// Outcomes of the checks that were unanswered when the stream failed.
        var rest = CircularBuffer<Outcome>()
    }

    private let client: TollgateClient
    private let stream: CheckStream
    private let policy: FailurePolicy
    private let state = Mutex(State())

    init(_ client: TollgateClient, _ stream: CheckStream, _ policy: FailurePolicy) {
        self.client = client
        self.stream = stream
        self.policy = policy
    }

    /// As `CheckStream.send`.
    public func send(_ request: CheckRequest) async throws(TollgateError) {
        let request = policy.keyed(request)
        try await stream.send(request) { [self] in
            state.withLock { $0.asked.append(request) }
        }
    }

    /// As `CheckStream.finish`.
    public func finish() { stream.finish() }

    /// Ends the stream at once; the reader gets CANCELLED, and nothing is let through.
    public func cancel() { stream.cancel() }

    /// The outcomes, in the order of the requests. One reader at a time.
    public var outcomes: Outcomes { Outcomes(stream: self) }

    /// See `CheckOutcomeStream.outcomes`.
    public struct Outcomes: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let stream: CheckOutcomeStream

        public func makeAsyncIterator() -> Outcomes { self }

        /// The next outcome; nil: there are no more. A cancelled task cancels the stream.
        public func next() async throws(TollgateError) -> Outcome? { try await stream.next() }

        public func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TollgateError) -> Outcome? {
            try await next()
        }
    }

    private func next() async throws(TollgateError) -> Outcome? {
        if let outcome = state.withLock({ $0.rest.popFirst() }) { return outcome }
        switch await stream.answer() {
        case .success(let answer?):
            guard let request = state.withLock({ $0.asked.popFirst() }) else {
                throw TollgateError(
                    .internal, "The service answered a check that was not sent")
            }
            return outcome(of: request, answer)
        case .success(nil):
            return try rest(
                TollgateError(
                    .unavailable, "The service ended the stream before answering every check"),
                isOver: true)
        case .failure(let error):
            return try rest(error, isOver: false)
        }
    }

    private func outcome(of request: CheckRequest, _ answer: CheckResponse) -> Outcome {
        if answer.statusCode != 0 {
            return client.outcome(
                of: request, policy, TollgateError(answer.statusCode, answer.errors))
        }
        client.outcomes.count(answer.decision)
        return .success(.answered(answer))
    }

    /// Applies the policy to all unanswered checks and returns the first outcome.
    ///
    /// - Parameter isOver: The stream ended with OK: no error if every check was answered.
    private func rest(_ error: TollgateError, isOver: Bool) throws(TollgateError) -> Outcome? {
        let asked = state.withLock { state in
            defer { state.asked.removeAll() }
            return Array(state.asked)
        }
        if asked.isEmpty, isOver { return nil }
        let outcomes = try client.outcomes(of: asked, policy, error)
        return state.withLock { state in
            state.rest.append(contentsOf: outcomes)
            return state.rest.popFirst()
        }
    }
}
