import NIOCore
import NIOHTTP1
import TransportSecurity

/// The handler of an `HTTPConnection` between the parser and Hummingbird.
final class PartsIn: ConnectionSide, ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    init(_ connection: HTTPConnection) { super.init(connection, at: \.parts) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.parsed(unwrapInboundIn(data))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        connection.write(unwrapOutboundIn(data), promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else {
            return context.fireErrorCaught(error)
        }
        connection.refuse(APIError(error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        // A request that is under way was let in before.
        case is ChannelShouldQuiesceEvent: connection.quiesce()
        case is PeerDismissed: connection.dismiss()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard let event = event as? ConnectionEvent else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        switch event {
        case .bodyIsWanted: connection.bodyIsWanted()
        case .peerIsKnown: connection.peerIsKnown()
        }
        promise?.succeed()
    }

    /// The connection ends itself when its last answer has been taken.
    func close(
        context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
    ) {
        switch mode {
        case .output: promise?.succeed()
        case .all where connection.phase == .ending:
            if let promise { context.channel.closeFuture.cascade(to: promise) }
        default: context.close(mode: mode, promise: promise)
        }
    }
}
