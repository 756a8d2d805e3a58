import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A listener that answers each connection's first bytes with the same text, or with nothing.
final class Receiver: Sendable {
    private let channel: any Channel
    private let heard: Heard

    /// What arrived, connection by connection.
    final class Heard: Sendable {
        let texts = Mutex<[String]>([])
        let connections = Atomic<Int>(0)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let heard: Heard
        let answer: String?
        private var text = ""

        init(_ heard: Heard, _ answer: String?) {
            self.heard = heard
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            heard.connections.wrappingAdd(1, ordering: .relaxed)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            text += String(buffer: unwrapInboundIn(data))
            // The body of an event ends so, and nothing before it.
            guard text.hasSuffix("}}"), let answer else { return }
            heard.texts.withLock { $0.append(text) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }

    static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    /// - Parameter tls: nil: it speaks none.
    init(answer: String?, tls: NIOSSLContext? = nil) async throws {
        let heard = Heard()
        self.heard = heard
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1_024)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(Handler(heard, answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var texts: [String] { heard.texts.withLock { $0 } }
    var connections: Int { heard.connections.load(ordering: .relaxed) }

    func close() async throws { try await channel.close() }
}
