package import HTTP2
package import NIOCore

/// The numbers of the transport.
package struct ServerConfiguration: Sendable {
    /// Where to listen; port 0 picks a free one.
    package var host = "127.0.0.1"
    package var port = 50051
    /// Event loops, each with its own service instance.
    package var threads = 1
    /// The limits of each connection's HTTP/2 session.
    package var session = SessionConfiguration()

    /// Connections at once, over all loops; one more is closed on arrival.
    package var maximumConnections = 10_000
    /// Connections at once from one address.
    package var maximumConnectionsPerAddress = 1_000

    /// From accepting to the client's first SETTINGS.
    package var prefaceTimeout = TimeAmount.seconds(5)
    /// From a request's first byte to its last (streamed requests: to the end of its head).
    package var requestTimeout = TimeAmount.seconds(30)
    /// How long a connection may take nothing of what waits for it.
    package var writeStallTimeout = TimeAmount.seconds(30)
    /// How long a connection may stay open without any stream.
    package var idleTimeout = TimeAmount.minutes(30)

    /// Requests of one stream that may be unanswered; more are not read.
    package var maximumUnanswered = 256
    /// Answers of one stream that may wait to be sent; the stream's requests are not read beyond.
    package var maximumStreamOutputBytes = 64 * 1024
    /// Answers of one connection that may wait to be sent; nothing is decided beyond.
    package var maximumConnectionOutputBytes = 1024 * 1024

    /// The monotonic clock of deadlines and time-outs, in nanoseconds; a test brings its own.
    package var clock: @Sendable () -> UInt64 = { NIODeadline.now().uptimeNanoseconds }

    /// Put into each connection's pipeline ahead of HTTP/2: the place of TLS.
    package var prepareChannel: (@Sendable (any Channel) -> EventLoopFuture<Void>)?

    package init() {}
}
