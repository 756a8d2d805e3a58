package import Admission
package import Observation
package import TransportSecurity

/// Bounds of the REST interface; each a number with a sane default.
package struct RESTSettings: Sendable {
    package var host = "127.0.0.1"
    /// 0: any free one.
    package var port = 8_080
    /// What to accept from, in the place of `host` and `port`; it stays open when the server has ended. nil: a socket of the
    /// server's own.
    package var listener: ListeningSocket?
    /// Bytes of a request's body.
    package var maximumBodyBytes = 1_048_576
    /// Bytes of a request's first line.
    package var maximumTargetBytes = 8 * 1_024
    /// Bytes of a request's header fields together, and how many there may be.
    package var maximumHeaderBytes = 32 * 1_024
    package var maximumHeaders = 100
    /// Bytes that may wait behind a request that is worked on; more come only from a peer that has ended its side.
    package var maximumPendingBytes = 256 * 1_024
    /// How many connections are allowed, in all and per address.
    package var places = ConnectionPlaces(total: 1_024, perAddress: 256)
    /// The bound over the process for all bytes that wait for peers.
    package var memory = PeerMemory()
    /// Requests that are worked on at one time; more are told to come back.
    package var maximumRequests = 256
    /// A connection that sends nothing for so long is closed.
    package var idleTimeLimit = Duration.seconds(60)
    /// How long a request's head may take to arrive.
    package var headTimeLimit = Duration.seconds(10)
    /// How long a request's body may take to arrive.
    package var bodyTimeLimit = Duration.seconds(20)
    /// How long a request that has come whole may be worked on before it is told that the outcome is not known.
    package var requestTimeLimit = Duration.seconds(30)
    /// How long a peer may leave a part of its answer (64 KiB) unread before it is hung up on.
    package var answerTimeLimit = Duration.seconds(30)
    /// How long a connection stays after its last answer, so that the peer gets that.
    package var endTimeLimit = Duration.seconds(2)
    /// How long a connection stays whose peer's certificate does not count any more.
    package var dismissalTimeLimit = Duration.seconds(5)
    /// Whose word counts about where a request comes from.
    package var trustedProxies = TrustedProxies()
    /// The connections' TLS, for `ApplicationProtocol.http1`; nil: there is none.
    package var tls: ServerTLS?
    /// Where there is none, a peer has begun a TLS handshake: its address. On the event loop.
    package var onTLS: @Sendable (String) -> Void = { _ in }
    /// A connection has refused a request that nobody else has seen: the status of its answer. On the event loop.
    package var onRefusal: @Sendable (Int) -> Void = { _ in }
    /// Why the process hangs; nil: it does not. Any thread.
    package var hang: @Sendable () -> String? = { nil }
    /// Logs and traces requests; nil: none is.
    package var observer: CallObserver?
    /// Days and hours (in days) that one answer of usage by day or hour may have.
    package var maximumReportDays = 400
    package var maximumHourlyDays = 35
    /// Rows of a report as CSV.
    package var maximumReportRows = 250_000
    /// Alerts can be mailed.
    package var hasMailServer = false
    package var maximumWebhookEndpoints = 100
    package var maximumEmailRecipients = 100
    package var maximumTokens = 1_000
    /// How long the answer to a change with an idempotency key is kept, milliseconds, and how many are.
    package var answerRetention: Int64 = 900_000
    package var maximumAnswers = 10_000

    package init() {}

    var headBounds: RequestCutter.Bounds {
        RequestCutter.Bounds(
            line: maximumTargetBytes, fields: maximumHeaderBytes, fieldCount: maximumHeaders)
    }
}
