/// How a client reaches the service.
public struct ClientConfiguration: Sendable {
    /// Where the service listens: 1 ... 64 addresses of one service, any of which takes any call. A connection stays
    /// where it is as long as it is good; connections are spread over the endpoints.
    public var endpoints: [Endpoint]
    /// TLS; nil: plaintext.
    public var tls: TLS?
    /// Sent as `authorization: Bearer …`; nil: none.
    public var token: String?
    /// How long a call may take in all, retries included, unless it says otherwise.
    public var timeout: Duration
    /// With several endpoints: how long one attempt of a call that may be repeated takes before it is repeated; the
    /// last attempt has the rest of the call's time.
    public var attemptTimeout: Duration
    /// How long a connection may take to be made, TLS included; with several endpoints no longer than
    /// `attemptTimeout`.
    public var connectTimeout: Duration
    /// Connections, each with many calls at once; 1 ... 64.
    public var connections: Int
    /// Attempts of one call in all, the first included; 1: no retries.
    ///
    /// A call is repeated only when it certainly was not processed, or when the service was unavailable and a
    /// repeat can do no harm: it has an idempotency key or is idempotent by itself (Commit, Release, GetUsage
    /// and checks without effect). The service's RetryInfo says how long to wait.
    public var maximumAttempts: Int
    /// Ask the service to answer denials as failures (`tollgate-deny: status`): `TollgateError.isDenial`.
    public var deniesAsFailures: Bool
    /// Tell the service that it may compress its answers (gzip). A decompressed answer has 8 MiB at most.
    public var acceptsCompression = true
    /// Requests of at least so many bytes are sent compressed (gzip), if they become smaller by it; 1 or more; nil: none.
    public var compressesRequestsFrom: Int?
    /// While calls or streams are open and nothing has come from the service for this long, it is asked whether it
    /// is still there (HTTP/2 PING); more than 0; nil: never.
    public var keepaliveInterval: Duration?
    /// A service that leaves this question open for so long is gone: the connection is closed, and what is open on
    /// it fails with UNAVAILABLE; more than 0.
    public var keepaliveTimeout: Duration
    /// How long an endpoint that could not be reached, dropped a connection without an answer or fell silent is
    /// avoided, as long as there is another; more than 0. It doubles with every further failure, up to `maximumEndpointAvoidance`.
    public var endpointAvoidance = Duration.milliseconds(1_500)
    /// `endpointAvoidance` at least.
    public var maximumEndpointAvoidance = Duration.seconds(60)
    /// When calls fail at once because those before them have failed; nil: never.
    public var circuitBreaker: BreakerLimits? = BreakerLimits()
    /// What `FailurePolicy.failOpen` lets through and has not been settled, at most; 1 or more. Beyond it calls fail.
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

/// When calls fail at once because the service has failed those before them.
public struct BreakerLimits: Sendable, Hashable {
    /// Attempts in a row that got no answer, or UNAVAILABLE; 1 or more. Those that were under way together count as
    /// one; one that had less than 50 ms and passed its deadline says nothing.
    public var failures: Int
    /// How long nothing is tried then; more than 0. Afterwards one call at a time is: one that is answered
    /// ends the matter, one that fails doubles the time.
    public var pause: Duration
    /// `pause` at least.
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
    /// How long a connection may take to be made: not longer than an attempt where another endpoint may be quicker.
    var dialTimeout: Duration {
        endpoints.count > 1 ? min(connectTimeout, attemptTimeout) : connectTimeout
    }

    /// Programmer errors end the process here, not in the middle of a call.
    func checkRanges() {
        precondition((1...64).contains(endpoints.count), "1 to 64 endpoints")
        precondition(endpoints.allSatisfy { (1...65_535).contains($0.port) }, "ports from 1 on")
        precondition((1...64).contains(connections), "1 to 64 connections")
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
