package import Admission
package import HTTP2
package import NIOCore
package import Observation
package import TransportSecurity

/// The numbers of the transport.
package struct ServerConfiguration: Sendable {
    /// Where to listen; port 0 picks a free one.
    package var host = "127.0.0.1"
    package var port = 50051
    /// What to accept from, in the place of `host` and `port`; it stays open when the server has ended. nil: a socket of the
    /// server's own.
    package var listener: ListeningSocket?
    /// Event loops, each with its own service instance.
    package var threads = 1
    /// The limits of each connection's HTTP/2 session.
    package var session = SessionConfiguration()

    /// The connections at once, over all loops: in all, and of one address.
    package var places = ConnectionPlaces(total: 10_000, perAddress: 1_024)
    /// The bound on what waits for peers; shared with whoever else serves in the process.
    package var peerMemory = PeerMemory()

    /// What one read takes in: the bytes of a connection's turn; a quarter of it before the peer has shown who it is.
    package var maximumReadBytes = 16 * 1024
    /// From accepting to the client's first SETTINGS.
    package var prefaceTimeout = TimeAmount.seconds(5)
    /// How long, and for how many bytes, a peer that was told that the connection ends is read on.
    package var lingerTime = TimeAmount.seconds(1)
    package var maximumLingerBytes = 64 * 1024
    /// From a request's first byte to its last (streamed requests: to the end of its head).
    package var requestTimeout = TimeAmount.seconds(30)
    /// How long a connection may take nothing of what waits for it.
    package var writeStallTimeout = TimeAmount.seconds(30)
    /// How long a connection may stay open without any stream.
    package var idleTimeout = TimeAmount.minutes(30)
    /// How long a connection may stay open before its peer has shown who it is.
    package var strangerTimeout = TimeAmount.minutes(1)
    /// After how long a silence the peer is asked for a sign of life; zero: never. And how long it may take to give one.
    package var keepaliveInterval = TimeAmount.minutes(1)
    package var keepaliveTimeout = TimeAmount.seconds(20)
    /// How old a connection may become, give or take a tenth; zero: as old as it likes. And how long what runs on it may
    /// then take to finish.
    package var maximumAge = TimeAmount.hours(24)
    package var ageGrace = TimeAmount.seconds(60)
    /// How long what runs on a connection may take to finish whose place is another's: it is one more than there may be.
    package var evictionGrace = TimeAmount.seconds(5)

    /// Requests of one stream that may be unanswered; more are not read.
    package var maximumUnanswered = 256
    /// Answers of one stream that may wait to be sent; the stream's requests are not read beyond.
    package var maximumStreamOutputBytes = 64 * 1024
    /// Answers of one connection that may wait to be sent; nothing is decided beyond.
    package var maximumConnectionOutputBytes = 1024 * 1024
    /// The same while all memory for peers is taken.
    package var scarceConnectionOutputBytes = 64 * 1024

    /// Whose answers leave compressed (gzip), if that makes them smaller.
    package var compression = AnswerCompression.asked
    /// Answers of so many bytes are compressed: a smaller one fits one packet as it is.
    package var compressedBytes = 1024
    /// A larger one is not: it would keep the event loop for some milliseconds.
    package var maximumCompressedBytes = 256 * 1024
    /// What the compressed messages of an event loop may unfold to in a second, and at once: some tenth of its time, since
    /// zlib unfolds about a gigabyte a second.
    package var unpackedBytesPerSecond = 128 * 1024 * 1024
    package var unpackedBurstBytes = 256 * 1024
    /// Calls of methods that are open to everybody, on a connection whose peer has not shown who it is: that outlive the
    /// read which brought them.
    package var maximumStrangerCalls = 8

    /// Metadata of a call that its answer carries back, unless it fails.
    package var echoedFields: [EchoedField] = []

    /// The monotonic clock of deadlines and time-outs, in nanoseconds; a test brings its own.
    package var clock: @Sendable () -> UInt64 = { NIODeadline.now().uptimeNanoseconds }

    /// The connections' TLS, for `ApplicationProtocol.http2`; nil: there is none. HTTP/2 begins when a handshake is over.
    package var tls: ServerTLS?
    /// Where there is none, a peer has begun a TLS handshake: its address. On the connection's event loop.
    package var onTLS: @Sendable (String) -> Void = { _ in }

    /// Logs and traces calls; nil: none is, and nothing is done for it.
    package var observer: CallObserver?

    package init() {}
}

/// Whose answers leave compressed.
package enum AnswerCompression: String, CaseIterable, Sendable {
    case off
    /// Of calls whose requests may be compressed themselves (`grpc-encoding: gzip`): their callers pay with processor time
    /// for network too.
    case asked
    /// Of all calls that accept it. Many libraries say so unasked.
    case accepted
}

extension ServerConfiguration {
    /// How much is read at once.
    func readAllocator(isKnown: Bool) -> AdaptiveRecvByteBufferAllocator {
        let most = max(512, isKnown ? maximumReadBytes : maximumReadBytes / 4)
        let least = min(most, 4 * 1024)
        return AdaptiveRecvByteBufferAllocator(minimum: least, initial: least, maximum: most)
    }
}
