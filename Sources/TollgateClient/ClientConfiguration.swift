/// How a client reaches the service.
public struct ClientConfiguration: Sendable {
    /// Where the service listens: 1 ... 64 addresses of one service, any of which takes any call.
    /// Connections are spread over the endpoints; a connection stays at its endpoint as long as it
    /// works.
    public var endpoints: [Endpoint]
    /// TLS; nil: plaintext.
    public var tls: TLS?
    /// Sent as `authorization: Bearer …`; nil: none.
    public var token: String?
    /// Time-out of a whole call, retries included, unless the call sets its own.
    public var timeout: Duration
    /// With several endpoints: time-out of one attempt of a repeatable call; the last attempt has
    /// the rest of the call's time.
    public var attemptTimeout: Duration
    /// Time-out of connecting, TLS included; with several endpoints no longer than
    /// `attemptTimeout`.
    public var connectTimeout: Duration
    /// Number of connections, each with many concurrent calls; 1 ... 64.
    public var connections: Int
    /// Maximum attempts of one call, the first included; 1: no retries.
    ///
    /// A call is repeated only if it certainly was not processed, or if the service was unavailable
    /// and a repeat can do no harm: it has an idempotency key or is idempotent by itself (Commit,
    /// Release, GetUsage and checks without effect). The service's RetryInfo says how long to wait.
    public var maximumAttempts: Int
    /// Ask the service to answer denials as failures (`tollgate-deny: status`): `TollgateError.isDenial`.
    public var deniesAsFailures: Bool
    /// Tell the service that it may compress its answers (gzip). A decompressed answer has at most
    /// 8 MiB.
    public var acceptsCompression = true
    /// Requests of at least this many bytes are sent compressed (gzip) if that makes them smaller;
    /// 1 or more; nil: none.
    public var compressesRequestsFrom: Int?
    /// Idle time, with calls or streams open, before a keepalive PING (HTTP/2) is sent; more than
    /// 0; nil: never.
    public var keepaliveInterval: Duration?
    /// If the PING is not answered within this time, the connection is closed, and calls and
    /// streams on it fail with UNAVAILABLE; more than 0.
    public var keepaliveTimeout: Duration
    /// How long an endpoint that could not be reached, dropped a connection without an answer or
    /// stopped responding is avoided, if there is another; more than 0. It doubles with every
    /// further failure, up to `maximumEndpointAvoidance`.
    public var endpointAvoidance = Duration.milliseconds(1_500)
    /// At least `endpointAvoidance`.
    public var maximumEndpointAvoidance = Duration.seconds(60)
    /// When calls fail at once because earlier ones got no answer; nil: never.
    public var circuitBreaker: BreakerLimits? = BreakerLimits()
    /// Maximum number of actions that `FailurePolicy.failOpen` let through and that are not
    /// settled; 1 or more. Beyond it nothing more is let through.
    public var maximumUnsettled = 10_000

    public init(
        host: String = "127.0.0.1", port: Int = 50051, tls: TLS? = nil, token: String? = nil,
        timeout: Duration = .seconds(1), connectTimeout: Duration = .seconds(1),
        connections: Int = 1, maximumAttempts: Int = 3, deniesAsFailures: Bool = false,
        keepaliveInterval: Duration? = .seconds(30), keepaliveTimeout: Duration = .seconds(20)
    ) {
        self.init(
            endpoints: [Endpoint(host: host, port: port)], tls: tls, token: token,
            timeout: timeout, connectTimeout: connectTimeout, connections: connections,
            maximumAttempts: maximumAttempts, deniesAsFailures: deniesAsFailures,
            keepaliveInterval: keepaliveInterval, keepaliveTimeout: keepaliveTimeout)
    }

    public init(
        endpoints: [Endpoint], tls: TLS? = nil, token: String? = nil,
        timeout: Duration = .seconds(1), attemptTimeout: Duration = .milliseconds(500),
        connectTimeout: Duration = .seconds(1), connections: Int = 1, maximumAttempts: Int = 3,
        deniesAsFailures: Bool = false, keepaliveInterval: Duration? = .seconds(30),
        keepaliveTimeout: Duration = .seconds(20)
    ) {
        self.endpoints = endpoints
        self.tls = tls
        self.token = token
        self.timeout = timeout
        self.attemptTimeout = attemptTimeout
        self.connectTimeout = connectTimeout
        self.connections = connections
        self.maximumAttempts = maximumAttempts
        self.deniesAsFailures = deniesAsFailures
        self.keepaliveInterval = keepaliveInterval
        self.keepaliveTimeout = keepaliveTimeout
    }

    /// The first endpoint's.
    public var host: String {
        get { endpoints[0].host }
        set { endpoints[0].host = newValue }
    }

    /// The first endpoint's.
    public var port: Int {
        get { endpoints[0].port }
        set { endpoints[0].port = newValue }
    }
}

/// When calls fail at once because earlier ones got no answer from the service.
public struct BreakerLimits: Sendable, Hashable {
    /// Consecutive attempts that got no answer, or UNAVAILABLE, before the circuit breaker opens; 1
    /// or more. Concurrent ones count as one; an attempt that had less than 50 ms and passed its
    /// deadline does not count.
    public var failures: Int
    /// How long no call is tried then; more than 0. Afterwards one call at a time is tried: if it
    /// is answered, the circuit breaker closes; if it fails, the pause doubles.
    public var pause: Duration
    /// At least `pause`.
    public var maximumPause: Duration

    public init(
        failures: Int = 5, pause: Duration = .seconds(1), maximumPause: Duration = .seconds(30)
    ) {
        self.failures = failures
        self.pause = pause
        self.maximumPause = maximumPause
    }
}

extension ClientConfiguration {
    /// Time-out of connecting: with several endpoints not longer than an attempt, since another may
    /// be faster.
    var dialTimeout: Duration {
        endpoints.count > 1 ? min(connectTimeout, attemptTimeout) : connectTimeout
    }

    /// Endpoints at most, and connections to each.
    private static let mostConnections = 64

    /// Programmer errors end the process here, not in the middle of a call.
    func checkRanges() {
        let many = 1...Self.mostConnections
        precondition(many.contains(endpoints.count), "1 to \(Self.mostConnections) endpoints")
        precondition(endpoints.allSatisfy { (1...65_535).contains($0.port) }, "ports from 1 on")
        precondition(many.contains(connections), "1 to \(Self.mostConnections) connections")
        precondition(maximumAttempts >= 1, "at least one attempt")
        precondition(compressesRequestsFrom.map { $0 >= 1 } ?? true, "requests of a byte at least")
        precondition(maximumUnsettled >= 1, "room for one at least")
        precondition(
            keepaliveInterval.map { $0 > .zero } ?? true && keepaliveTimeout > .zero
                && attemptTimeout > .zero && endpointAvoidance > .zero, "times above 0")
        precondition(maximumEndpointAvoidance >= endpointAvoidance, "the most is the larger")
        if let circuitBreaker {
            precondition(
                circuitBreaker.failures >= 1 && circuitBreaker.pause > .zero
                    && circuitBreaker.maximumPause >= circuitBreaker.pause,
                "a circuit breaker with a failure and times above 0")
        }
    }
}
