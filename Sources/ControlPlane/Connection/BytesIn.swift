import NIOCore

/// The handler of an `HTTPConnection` between the socket and the parser.
final class BytesIn: ConnectionSide, ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    init(_ connection: HTTPConnection) { super.init(connection, at: \.bytes) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        connection.received(&buffer)
    }

    func read(context: ChannelHandlerContext) {
        if connection.wantsBytes { context.read() } else { connection.isReadHeld = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The parser would take it for the end of a request that waits here.
        if case ChannelEvent.inputClosed = event {
            connection.isInputClosed = true
            connection.feed()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
