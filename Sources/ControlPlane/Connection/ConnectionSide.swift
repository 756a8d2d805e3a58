import NIOCore

/// One of the handlers of an `HTTPConnection`: it shows the connection where it stands.
class ConnectionSide: ChannelHandler {
    let connection: HTTPConnection
    private let place: ReferenceWritableKeyPath<HTTPConnection, ChannelHandlerContext?>

    init(
        _ connection: HTTPConnection,
        at place: ReferenceWritableKeyPath<HTTPConnection, ChannelHandlerContext?>
    ) {
        self.connection = connection
        self.place = place
    }

    func handlerAdded(context: ChannelHandlerContext) { connection[keyPath: place] = context }
    func handlerRemoved(context: ChannelHandlerContext) { connection[keyPath: place] = nil }
}
