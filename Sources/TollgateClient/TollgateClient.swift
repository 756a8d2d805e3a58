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
/// Connections are made when they are needed and again when they are lost. A call ends with its deadline at the
/// latest, and at once when its task is cancelled; the service is told either way.
///
/// Thread safety: all methods from any task.
public final class TollgateClient: Sendable {
    public let configuration: Configuration
    package let connections: [Connection]
    private let next = Atomic<Int>(0)

    /// Makes a client; nothing is connected yet.
    public init(_ configuration: Configuration = Configuration()) {
        precondition((1...64).contains(configuration.connections), "1 to 64 connections")
        precondition(configuration.maximumAttempts >= 1, "at least one attempt")
        precondition(
            configuration.keepaliveInterval.map { $0 > .zero } ?? true
                && configuration.keepaliveTimeout > .zero, "times above 0")
        self.configuration = configuration
        let headers = RequestHeaders(configuration)
        let group = MultiThreadedEventLoopGroup.singleton
        connections = (0..<configuration.connections).map { _ in
            Connection(configuration, headers: headers, loop: group.next())
        }
    }

    deinit { shutdown() }

    /// Closes all connections. Calls that run, and later ones, fail with UNAVAILABLE.
    public func shutdown() {
        for connection in connections { connection.close() }
    }

    // MARK: Calls

    /// Does this action fit every limit? If so, its room is held (or charged, by the request's mode).
    ///
    /// - Parameter timeout: For the whole call, retries included; nil: the configuration's.
    /// - Throws: `TollgateError`. A denial is an answer, not an error.
    public func check(
        _ request: CheckRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> CheckResponse {
        try await unary(
            .checkAndReserve, request, timeout,
            isRepeatable: request.idempotencyKey.isEmpty == false || request.mode == .checkOnly)
    }

    /// Independent decisions in one round trip, answered in the order of the requests.
    ///
    /// - Parameter requests: 1 ... 1 000, in all at most 1 MiB.
    public func check(
        _ requests: [CheckRequest], timeout: Duration? = nil
    ) async throws(TollgateError) -> [CheckResult] {
        let isRepeatable = requests.allSatisfy {
            $0.idempotencyKey.isEmpty == false || $0.mode == .checkOnly
        }
        let response: CheckBatchResponse = try await unary(
            .checkAndReserveBatch, CheckBatchRequest(requests), timeout, isRepeatable: isRepeatable)
        return response.results
    }

    /// Opens a stream of checks.
    ///
    /// - Parameter timeout: For the life of the stream; nil: none.
    public func checkStream(timeout: Duration? = nil) -> CheckStream {
        let connection = pick()
        let call = StreamCall<CheckResponse>(
            .checkAndReserveStream, deadline: timeout.map { .now() + TimeAmount($0) })
        connection.submit(.stream(call))
        return CheckStream(call, connection)
    }

    /// Follows the usage of a tenant and its messaging profiles: what stands now, then every change, conflated to the
    /// latest state.
    ///
    /// - Parameters:
    ///   - tenantID: Empty: every tenant, for operators.
    ///   - timeout: For the life of the watch; nil: none.
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

    /// Turns a hold into usage.
    public func commit(
        _ request: CommitRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> CommitResponse {
        try await unary(.commit, request, timeout, isRepeatable: true)
    }

    /// Gives a whole hold back.
    public func release(
        _ request: ReleaseRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> ReleaseResponse {
        try await unary(.release, request, timeout, isRepeatable: true)
    }

    /// Pushes a hold's expiry out and, optionally, holds more.
    public func extend(
        _ request: ExtendRequest, timeout: Duration? = nil
    ) async throws(TollgateError) -> ExtendResponse {
        try await unary(
            .extend, request, timeout, isRepeatable: request.idempotencyKey.isEmpty == false)
    }

    /// Records usage that needed no permission.
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
        let message = request.encoded()
        let deadline = NIODeadline.now() + TimeAmount(timeout ?? configuration.timeout)
        var attempt = 1
        while true {
            let result: Result<Response, TollgateError> = await self.attempt(
                method, message, deadline)
            switch result {
            case .success(let response): return response
            case .failure(let error):
                guard attempt < configuration.maximumAttempts,
                    let delay = RetryPolicy.delay(
                        after: error, attempt: attempt, isRepeatable: isRepeatable),
                    NIODeadline.now() + TimeAmount(delay) < deadline
                else { throw error }
                // A sleep that is cut short by cancellation is followed by an attempt that fails with it.
                try? await Task.sleep(for: delay)
                attempt += 1
            }
        }
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
                TollgateError(.internal, "The service's answer is not a message of the contract"))
        }
    }
}
