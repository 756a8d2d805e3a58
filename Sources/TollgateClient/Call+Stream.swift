internal import HTTP2

extension Call: StreamOwner {
    func progress(
        _ stream: StreamHandle, _ events: StreamEvents, _ handler: ClientHandler
    ) -> Bool {
        guard events.contains(.end) || events.contains(.closed) || events.contains(.overflow)
        else { return false }
        if hasMoved == false, handler.move(self, from: stream) {
            hasMoved = true
            return true
        }
        if let error = handler.error(of: stream, events) {
            fail(error)
            return true
        }
        do throws(TollgateError) {
            if let frame = try handler.frame(stream) {
                let message = try handler.message(frame, stream)
                complete(CallOutcome(error: nil, message: message))
            } else {
                fail(TollgateError(.internal, "The service answered OK without a message"))
            }
        } catch {
            fail(error)
        }
        return true
    }
}
