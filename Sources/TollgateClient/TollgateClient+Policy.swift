internal import Glibc
internal import NIOCore
internal import Synchronization
public import Wire

extension TollgateClient {
    /// Does this action fit every limit? And if nobody answers: what the policy says.
    ///
    /// Under `FailurePolicy.failOpen` a request without an idempotency key gets one, so that it is repeated safely and
    /// settled once. What could not be settled fails closed: `Mode.checkOnly`, `OveragePolicy.reject`, a key of more than
    /// 120 bytes.
    ///
    /// - Parameters:
    ///   - request: The action.
    ///   - policy: What becomes of it when the service is late or gone.
    ///   - timeout: For the whole call, retries included; nil: the configuration's.
    /// - Throws: `TollgateError`. A denial is an answer, not an error.
    public func check(
        _ request: CheckRequest, onFailure policy: FailurePolicy, timeout: Duration? = nil
    ) async throws(TollgateError) -> CheckOutcome {
        let request = policy.keyed(request)
        do throws(TollgateError) {
            return .answered(try await check(request, timeout: timeout))
        } catch {
            guard let action = letThrough(request, policy, error) else { throw error }
            return .letThrough(action)
        }
    }

    /// Independent decisions in one round trip, one outcome for each request, in their order. The policy judges each entry
    /// that got no answer as it would a single check: all of them when the batch got none, else those that the service
    /// could not decide. What it decided stands.
    ///
    /// - Parameters:
    ///   - requests: 1 ... 1 000, in all at most 1 MiB.
    ///   - policy: What becomes of those that got no answer.
    ///   - timeout: For the whole call, retries included; nil: the configuration's.
    /// - Throws: `TollgateError` when the batch failed as a whole and the policy let none of it through.
    public func check(
        _ requests: [CheckRequest], onFailure policy: FailurePolicy, timeout: Duration? = nil
    ) async throws(TollgateError) -> [Result<CheckOutcome, TollgateError>] {
        let requests = requests.map(policy.keyed)
        let results: [CheckResult]
        do throws(TollgateError) {
            results = try await check(requests, timeout: timeout)
        } catch {
            return try outcomes(of: requests, policy, error)
        }
        guard results.count == requests.count else {
            throw TollgateError(
                .internal, "The service answered \(results.count) of \(requests.count) entries")
        }
        return zip(requests, results).map { request, result in
            if let response = result.response { return .success(.answered(response)) }
            return outcome(of: request, policy, TollgateError(result.statusCode, result.errors))
        }
    }

    /// Opens a stream of checks under a policy, which judges each check that got no answer as it would a single one: when
    /// the stream fails, all that are unanswered; else those that the service could not decide.
    ///
    /// - Parameters:
    ///   - policy: What becomes of checks that got no answer.
    ///   - answerTimeout: How long a reader waits for an answer that is owed; then the stream fails with
    ///     DEADLINE_EXCEEDED. More than 0; nil: the configuration's `timeout`.
    ///   - timeout: For the life of the stream; nil: none.
    public func checkStream(
        onFailure policy: FailurePolicy, answerTimeout: Duration? = nil, timeout: Duration? = nil
    ) -> CheckOutcomeStream {
        let patience = TimeAmount(answerTimeout ?? configuration.timeout)
        return CheckOutcomeStream(
            self, openStream(patience: patience, timeout: timeout), policy)
    }

    // MARK: Judging

    /// What the policy makes of a check without an answer; nil: the error stands.
    private func letThrough(
        _ request: CheckRequest, _ policy: FailurePolicy, _ error: TollgateError
    ) -> LetThrough? {
        guard let budget = policy.budget(for: request), FailurePolicy.isOutage(error),
            isShutDown == false
        else { return nil }
        let action = LetThrough(
            request: request, atMilliseconds: Self.unixMilliseconds, cause: error.code)
        let minute = Int64(NIODeadline.now().uptimeNanoseconds / 60_000_000_000)
        guard outage.withLock({ $0.letThrough(action, budget: budget, minute: minute) }) else {
            outcomes.count(.notLetThrough)
            return nil
        }
        outcomes.count(.letThrough)
        return action
    }

    /// What becomes of an entry that failed.
    func outcome(
        of request: CheckRequest, _ policy: FailurePolicy, _ error: TollgateError
    ) -> Result<CheckOutcome, TollgateError> {
        letThrough(request, policy, error).map { .success(.letThrough($0)) } ?? .failure(error)
    }

    /// What becomes of entries that failed together.
    ///
    /// - Throws: `error`, when none is let through.
    func outcomes(
        of requests: [CheckRequest], _ policy: FailurePolicy, _ error: TollgateError
    ) throws(TollgateError) -> [Result<CheckOutcome, TollgateError>] {
        let all = requests.map { outcome(of: $0, policy, error) }
        guard all.contains(where: { (try? $0.get()) != nil }) else { throw error }
        return all
    }

    private static var unixMilliseconds: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }
}

extension FailurePolicy {
    /// What may be let through of a request; nil: nothing, because the policy fails closed, or because it could not be
    /// settled.
    fileprivate func budget(for request: CheckRequest) -> [Quantity]? {
        guard request.mode != .checkOnly, request.overage != .reject,
            request.idempotencyKey.utf8.count <= LetThrough.maximumKeyBytes
        else { return nil }
        return budget
    }

    /// A request that may be let through has a key.
    func keyed(_ request: CheckRequest) -> CheckRequest {
        guard request.idempotencyKey.isEmpty, budget(for: request) != nil else { return request }
        var request = request
        request.idempotencyKey =
            "drawn-" + String(UInt64.random(in: 0 ... .max), radix: 36)
            + String(UInt64.random(in: 0 ... .max), radix: 36)
        return request
    }
}

extension TollgateError {
    /// Why an entry of a batch or a stream failed.
    init(_ statusCode: Int32, _ errors: [ErrorEntry]) {
        self.init(Code(statusCode), errors.first?.detail ?? "The entry failed", entries: errors)
    }
}
