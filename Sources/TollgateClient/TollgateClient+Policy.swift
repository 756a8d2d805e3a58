internal import Glibc
internal import NIOCore
internal import Synchronization
public import Wire

extension TollgateClient {
    /// Checks an action against every limit; without an answer, the policy decides.
    ///
    /// Under `FailurePolicy.failOpen` a request without an idempotency key gets one, so that it is
    /// repeated safely and settled once. A request that could not be settled fails closed:
    /// `Mode.checkOnly`, `OveragePolicy.reject`, a key of more than 120 bytes.
    ///
    /// - Parameters:
    ///   - request: The action.
    ///   - policy: What happens to it when the service is slow or unreachable.
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

    /// Independent decisions in one round trip, one outcome for each request, in their order. The
    /// policy decides each entry that got no answer as it would a single check: all of them if the
    /// batch got none, otherwise those that the service could not decide. Checks that the service
    /// decided stay decided.
    ///
    /// - Parameters:
    ///   - requests: 1 ... 1 000, at most 1 MiB in total.
    ///   - policy: What happens to those that got no answer.
    ///   - timeout: For the whole call, retries included; nil: the configuration's.
    /// - Throws: `TollgateError` if the whole batch failed and the policy let none of it through.
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

    /// Opens a stream of checks under a policy, which decides each check that got no answer as it
    /// would a single one: all unanswered checks if the stream fails, otherwise those that the
    /// service could not decide.
    ///
    /// - Parameters:
    ///   - policy: What happens to checks that got no answer.
    ///   - answerTimeout: How long a reader waits for an outstanding answer before the stream fails
    ///     with DEADLINE_EXCEEDED. More than 0; nil: the configuration's `timeout`.
    ///   - timeout: For the whole stream; nil: no limit.
    public func checkStream(
        onFailure policy: FailurePolicy, answerTimeout: Duration? = nil, timeout: Duration? = nil
    ) -> CheckOutcomeStream {
        let patience = TimeAmount(answerTimeout ?? configuration.timeout)
        return CheckOutcomeStream(
            self, openStream(patience: patience, timeout: timeout), policy)
    }

    // MARK: Applying the policy

    /// The action, if the policy lets a check without an answer through; nil: the error remains.
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

    /// The outcome of a failed entry.
    func outcome(
        of request: CheckRequest, _ policy: FailurePolicy, _ error: TollgateError
    ) -> Result<CheckOutcome, TollgateError> {
        letThrough(request, policy, error).map { .success(.letThrough($0)) } ?? .failure(error)
    }

    /// The outcomes of entries that failed together.
    ///
    /// - Throws: `error`, if none is let through.
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
    /// The budget for a request; nil: none, because the policy fails closed or the request could
    /// not be settled.
    fileprivate func budget(for request: CheckRequest) -> [Quantity]? {
        guard request.mode != .checkOnly, request.overage != .reject,
            request.idempotencyKey.utf8.count <= LetThrough.maximumKeyBytes
        else { return nil }
        return budget
    }

    /// The request, with a generated key if it may be let through and has none.
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
    /// The error of a failed entry of a batch or a stream.
    init(_ statusCode: Int32, _ errors: [ErrorEntry]) {
        self.init(Code(statusCode), errors.first?.detail ?? "The entry failed", entries: errors)
    }
}
