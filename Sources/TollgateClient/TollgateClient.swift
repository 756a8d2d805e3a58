internal import NIOCore
internal import NIOPosix
internal import Synchronization
internal import Wire

/// A client of Tollgate's data plane: a few connections, many calls at once.
///
/// ```swift
/// let client = TollgateClient(.init(host: "127.0.0.1", port: 50051))
/// let answer = try await client.check(
///     CheckRequest(tenantID: "acme", action: .sendMessage, quantities: [Quantity(.spend, 4_000_000)]))
/// if answer.decision == .allowed { … }
/// await client.shutdown()
/// ```
///
/// Connections are made when they are needed, and again when they are lost. A call ends at its
/// deadline at the latest, and at once when its task is cancelled; the service is informed in both
/// cases.
///
/// Thread safety: all methods from any task.
public final class TollgateClient: Sendable {
    public typealias Configuration = ClientConfiguration
    public typealias CircuitBreakerLimits = BreakerLimits
    public typealias Counters = ClientCounters

    public let configuration: Configuration
    package let connections: [Connection]
    private let next = Atomic<Int>(0)
    private let breaker: SharedBreaker?
    let outcomes = OutcomeCounters()
    let outage: Mutex<OutageLedger>
    private let hasShutDown = Atomic<Bool>(false)

    /// Creates a client; it does not connect yet.
    public init(_ configuration: Configuration = Configuration()) {
        configuration.checkRanges()
        self.configuration = configuration
        breaker = configuration.circuitBreaker.map(SharedBreaker.init)
        outage = Mutex(OutageLedger(maximumUnsettled: configuration.maximumUnsettled))
        let endpoints = Endpoints(configuration, outcomes)
        let group = MultiThreadedEventLoopGroup.singleton
        connections = (0..<configuration.connections).map { [outcomes] number in
            Connection(
                configuration, endpoints: endpoints,
                preferred: number % configuration.endpoints.count, counters: outcomes,
                loop: group.next())
        }
    }

    deinit { shutdown() }

    /// Closes all connections. Running and later calls fail with UNAVAILABLE.
    public func shutdown() {
        // Relaxed: the caller of this knows that it has.
        hasShutDown.store(true, ordering: .relaxed)
        for connection in connections { connection.close() }
    }

    var isShutDown: Bool { hasShutDown.load(ordering: .relaxed) }

    /// A copy of the counters.
    ///
    /// Thread safety: any thread. Each number is exact by itself; running calls may be counted in
    /// one and not yet in another.
    public var counters: Counters {
        var counters = outcomes.read()
        counters.unsettled = outage.withLock { $0.unsettledCount }
        return counters
    }

    // MARK: Calls

    /// Checks an action against every limit; if it fits, holds its amounts (or charges them,
    /// depending on the mode).
    ///
    /// - Parameters:
    ///   - request: The action.
    ///   - timeout: For the whole call, retries included; nil: the configuration's.
    /// - Throws: `TollgateError`. A denial is an answer, not an error.
    public func check(
        _ request: CheckRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> CheckResponse {
        let answer: CheckResponse = try await unary(
            .checkAndReserve, request, timeout,
            isRepeatable: request.idempotencyKey.isEmpty == false || request.mode == .checkOnly)
        outcomes.count(answer.decision)
        return answer
    }

    /// Independent decisions in one round trip, answered in the order of the requests.
    ///
    /// - Parameters:
    ///   - requests: 1 ... 1 000, at most 1 MiB in total.
    ///   - timeout: For the whole call, retries included; nil: the configuration's.
    public func check(
        _ requests: [CheckRequest], timeout: Duration? = nil
    ) async throws(TollgateError) -> [CheckResult] {
        let isRepeatable = requests.allSatisfy {
            $0.idempotencyKey.isEmpty == false || $0.mode == .checkOnly
        }
        let response: CheckBatchResponse = try await unary(
            .checkAndReserveBatch, CheckBatchRequest(requests), timeout, isRepeatable: isRepeatable)
        for result in response.results { outcomes.count(result.response?.decision) }
        return response.results
    }

    /// Opens a stream of checks.
    ///
    /// - Parameter timeout: For the whole stream; nil: no limit.
    public func checkStream(timeout: Duration? = nil) -> CheckStream {
        openStream(patience: nil, timeout: timeout)
    }

    func openStream(patience: TimeAmount?, timeout: Duration?) -> CheckStream {
        let connection = pick()
        let call = StreamCall<CheckResponse>(
            .checkAndReserveStream, deadline: timeout.map { .now() + TimeAmount($0) },
            patience: patience)
        connection.submit(.stream(call))
        return CheckStream(call, connection)
    }

    /// Follows the usage of a tenant and its messaging profiles: the current state, then every
    /// change, conflated to the latest state.
    ///
    /// - Parameters:
    ///   - tenantID: Empty: every tenant, for operators.
    ///   - timeout: For the whole watch; nil: no limit.
    public func watchUsage(
        _ tenantID: String = "", timeout: Duration? = nil
    ) -> UsageUpdates {
        let connection = pick()
        let call = StreamCall<UsageUpdate>(
            .watchUsage, request: WatchUsageRequest(tenantID: tenantID).encoded(),
            deadline: timeout.map { .now() + TimeAmount($0) })
        connection.submit(.stream(call))
        return UsageUpdates(call, connection)
    }

    /// Commits a hold: charges the held amounts, or those of the request.
    public func commit(
        _ request: CommitRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> CommitResponse {
        try await unary(.commit, request, timeout, isRepeatable: true)
    }

    /// Releases a whole hold.
    public func release(
        _ request: ReleaseRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> ReleaseResponse {
        try await unary(.release, request, timeout, isRepeatable: true)
    }

    /// Extends a hold's lifetime and, optionally, holds more.
    public func extend(
        _ request: ExtendRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> ExtendResponse {
        try await unary(
            .extend, request, timeout, isRepeatable: request.idempotencyKey.isEmpty == false)
    }

    /// Records usage without a check. Set a key to make it repeatable.
    public func record(
        _ request: RecordUsageRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> RecordUsageResponse {
        try await unary(
            .recordUsage, request, timeout, isRepeatable: request.idempotencyKey.isEmpty == false)
    }

    /// Reads committed and held usage.
    public func usage(
        _ request: UsageRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> UsageResponse {
        try await unary(.getUsage, request, timeout, isRepeatable: true)
    }

    // MARK: Attempts

    private func pick() -> Connection {
        // Relaxed: only the spread over connections depends on it.
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return connections[Int(UInt(bitPattern: number) % UInt(connections.count))]
    }

    /// A call with its retries (`Configuration.maximumAttempts`), within one deadline.
    private func unary<Response: ResponseMessage>(
        _ method: LimitServiceMethod, _ request: some RequestMessage, _ timeout: Duration?,
        isRepeatable: Bool
    ) async throws(TollgateError) -> Response {
        outcomes.count(.call)
        let message = request.encoded()
        let deadline = NIODeadline.now() + TimeAmount(timeout ?? configuration.timeout)
        var attempt = 1
        var mayBeProcessed = false
        while true {
            if let error = breaker?.refusal() {
                outcomes.count(.heldBack)
                throw failed(error, mayBeProcessed)
            }
            let begun = NIODeadline.now()
            let due = isRepeatable ? attemptDeadline(attempt, begun, deadline) : deadline
            let result: Result<Response, TollgateError> = await self.attempt(method, message, due)
            switch result {
            case .success(let response):
                breaker?.answered()
                outcomes.count(.answer)
                return response
            case .failure(let error):
                note(error, begun, due)
                mayBeProcessed = mayBeProcessed || error.wasNotProcessed == false
                guard attempt < configuration.maximumAttempts,
                    let delay = RetryPolicy.delay(
                        after: error, attempt: attempt, isRepeatable: isRepeatable,
                        wasCutShort: due < deadline),
                    NIODeadline.now() + TimeAmount(delay) < deadline
                else { throw failed(error, mayBeProcessed) }
                outcomes.count(.retry)
                // If cancellation ends the sleep early, the next attempt fails with it.
                if delay > .zero { try? await Task.sleep(for: delay) }
                attempt += 1
            }
        }
    }

    /// The deadline of one attempt of a repeatable call.
    private func attemptDeadline(
        _ attempt: Int, _ begun: NIODeadline, _ deadline: NIODeadline
    ) -> NIODeadline {
        guard configuration.endpoints.count > 1, attempt < configuration.maximumAttempts else {
            return deadline
        }
        return min(deadline, begun + TimeAmount(configuration.attemptTimeout))
    }

    /// Reports a failed attempt to the circuit breaker.
    private func note(_ error: TollgateError, _ begun: NIODeadline, _ due: NIODeadline) {
        // A call with too little time says nothing about the service.
        let wasHasty = error.code == .deadlineExceeded && due - begun < LinkLifecycle.silence
        if error.code == .cancelled || isShutDown || wasHasty {
            breaker?.withdrawn()
        } else if FailurePolicy.isOutage(error) {
            if breaker?.failed(begun: begun) == true { outcomes.count(.breakerOpened) }
        } else {
            breaker?.answered()
        }
    }

    /// The error that ends a call.
    ///
    /// - Parameter mayBeProcessed: The service may have processed one of its attempts.
    private func failed(_ error: TollgateError, _ mayBeProcessed: Bool) -> TollgateError {
        var error = error
        if mayBeProcessed { error.wasNotProcessed = false }
        if error.isDenial {
            outcomes.count(.answer)
            outcomes.count(.denied)
        } else {
            outcomes.count(failure: error.code)
        }
        return error
    }

    private func attempt<Response: ResponseMessage>(
        _ method: LimitServiceMethod, _ message: [UInt8], _ deadline: NIODeadline
    ) async -> Result<Response, TollgateError> {
        if Task.isCancelled { return .failure(.cancelled) }
        let connection = pick()
        let cancellation = Mutex<(call: Call?, isCancelled: Bool)>((nil, false))
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let call = Call(method: method, message: message, deadline: deadline) { outcome in
                    continuation.resume(returning: outcome.decoded())
                }
                let isCancelled = cancellation.withLock { state in
                    state.call = call
                    return state.isCancelled
                }
                connection.submit(call)
                if isCancelled { connection.cancel(call) }
            }
        } onCancel: {
            let call = cancellation.withLock { state in
                state.isCancelled = true
                return state.call
            }
            if let call { connection.cancel(call) }
        }
    }
}

extension CallOutcome {
    /// The response, or the error.
    package func decoded<Response: ResponseMessage>() -> Result<Response, TollgateError> {
        if let error { return .failure(error) }
        do throws(WireDecodingError) {
            return .success(try Response(decoding: message))
        } catch {
            return .failure(
                TollgateError(.internal, "The service's answer could not be decoded"))
        }
    }
}
