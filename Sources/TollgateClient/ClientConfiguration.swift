extension TollgateClient {
    /// How a client reaches the service.
    public struct Configuration: Sendable {
        /// Name or address; IPv6 without brackets.
        public var host: String
        /// 1 ... 65 535.
        public var port: Int
        /// Sent as `authorization: Bearer …`; nil: none.
        public var token: String?
        /// How long a call may take in all, retries included, unless it says otherwise.
        public var timeout: Duration
        /// How long a connection may take to be made.
        public var connectTimeout: Duration
        /// Connections, each with many calls at once; 1 ... 64.
        public var connections: Int
        /// Attempts of one call in all, the first included; 1: no retries.
        ///
        /// A call is repeated only when it certainly was not processed, or when the service was unavailable and a
        /// repeat can do no harm: it has an idempotency key or is idempotent by itself (Commit, Release, GetUsage
        /// and checks without effect). The service's RetryInfo says how long to wait.
        public var maximumAttempts: Int
        /// Ask the service to answer denials as failures (`tollgate-deny: status`).
        public var deniesAsFailures: Bool
        /// While calls or streams are open and nothing has come from the service for this long, it is asked whether it
        /// is still there (HTTP/2 PING); more than 0; nil: never.
        public var keepaliveInterval: Duration?
        /// A service that leaves this question open for so long is gone: the connection is closed, and what is open on
        /// it fails with UNAVAILABLE; more than 0.
        public var keepaliveTimeout: Duration

        public init(
            host: String = "127.0.0.1", port: Int = 50051, token: String? = nil,
            timeout: Duration = .seconds(1), connectTimeout: Duration = .seconds(1),
            connections: Int = 1, maximumAttempts: Int = 3, deniesAsFailures: Bool = false,
            keepaliveInterval: Duration? = .seconds(30), keepaliveTimeout: Duration = .seconds(20)
        ) {
            self.host = host
            self.port = port
            self.token = token
            self.timeout = timeout
            self.connectTimeout = connectTimeout
            self.connections = connections
            self.maximumAttempts = maximumAttempts
            self.deniesAsFailures = deniesAsFailures
            self.keepaliveInterval = keepaliveInterval
            self.keepaliveTimeout = keepaliveTimeout
        }
    }
}
