internal import Glibc
package import NIOCore

/// Has a listener accept nothing for a while where the system has no descriptor or no memory for another connection, and
/// then go on: swift-nio tells of that and asks again at once, without end. Who comes meanwhile waits, as far as the
/// backlog has room.
///
/// To stand first in the listener's pipeline: nobody behind it hears of what passes. One for a listener.
///
/// Thread safety: the listener's event loop.
package final class AcceptPause: ChannelInboundHandler {
    package typealias InboundIn = any Channel

    /// Between two attempts: few enough to cost nothing, and a wait that no peer minds.
    package static let pause = TimeAmount.milliseconds(100)

    /// The listener is to accept nobody any more.
    private struct End: Sendable {}

    private var resumption: Scheduled<Void>?
    private var isOver = false

    package init() {}

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch (error as? IOError)?.errnoCode {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: rest(context)
        // The peer was gone before it was accepted.
        case ECONNABORTED: break
        default: context.fireErrorCaught(error)
        }
    }

    /// Has a listener accept nobody any more; who comes from here on waits.
    package static func end(_ listener: any Channel) async {
        listener.pipeline.fireUserInboundEventTriggered(End())
        try? await listener.setOption(.autoRead, value: false).get()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is End else { return context.fireUserInboundEventTriggered(event) }
        isOver = true
        resumption?.cancel()
        resumption = nil
    }

    private func rest(_ context: ChannelHandlerContext) {
        let channel = context.channel
        do {
            try channel.syncOptions?.setOption(.autoRead, value: false)
        } catch {
            // It is closed.
            return
        }
        resumption?.cancel()
        guard !isOver else { return }
        resumption = context.eventLoop.scheduleTask(in: Self.pause) {
            // One that was closed meanwhile needs none.
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        resumption?.cancel()
        resumption = nil
    }
}
