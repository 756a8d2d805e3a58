import Admission
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import TransportSecurity

/// TCP_USER_TIMEOUT of tcp(7), milliseconds.
private let userTimeout = NIOBSDSocket.Option(rawValue: 18)

/// Hummingbird's HTTP/1.1 with an `HTTPConnection` in front.
struct HTTPFront: ServerChildChannel {
    private let http: HTTP1Channel
    private let settings: RESTSettings
    private let strangers: Strangers
    private let logger: Logger

    init(
        _ http: HTTP1Channel, _ settings: RESTSettings, _ strangers: Strangers, _ logger: Logger
    ) {
        self.http = http
        self.settings = settings
        self.strangers = strangers
        self.logger = logger
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        http.setup(channel: channel, logger: logger).flatMapThrowing { value in
            guard let place = place(for: channel) else {
                channel.close(promise: nil)
                return value
            }
            if let options = channel.syncOptions {
                try options.setOption(
                    .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16 << 10))
                // Peers that vanished are noticed, on an open stream too.
                try options.setOption(.socketOption(.so_keepalive), value: 1)
                try options.setOption(
                    .tcpOption(userTimeout),
                    // The system hangs up without a word, so that the connection itself shall come first.
                    value: Int((settings.answerTimeLimit + .seconds(10)) / .milliseconds(1))
                )
            }
            try HTTPConnection(settings, place, strangers, self.logger).join(channel)
            // What the connection is told of its channel's end stands behind it.
            try settings.tls?.secure(channel, keepsWatch: true) { _ in }
            return value
        }
    }

    /// nil: there is none for this peer.
    private func place(for channel: any Channel) -> ConnectionPlace? {
        guard let peer = channel.remoteAddress else { return nil }
        // Behind a proxy there are many: each connection is an address of its own.
        let isProxy = settings.trustedProxies.contains(peer)
        return settings.places.take(
            address: isProxy ? "\(peer)" : peer.ipAddress ?? "",
            nowNanoseconds: NIODeadline.now().uptimeNanoseconds
        ) { channel.close(promise: nil) }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}
