internal import HTTP2
internal import NIOCore
internal import Wire

/// A call that goes on: a connection starts it when there is a place.
protocol StreamWork: StreamOwner, Sendable {
    /// It has ended before it was started, perhaps.
    var isDone: Bool { get }
    /// False: there is no place for now, and nothing has happened.
    func start(on handler: ClientHandler) -> Bool
}

/// A streaming call: requests out, answers in, with back-pressure both ways.
///
/// Answers stay in the session's buffer, inside its window, until somebody asks for them; a sender waits while
/// 64 KiB of requests have not left.
final class StreamCall<Response: ResponseMessage & Sendable>: StreamWork, @unchecked Sendable {
    // SAFETY: the constants are Sendable; the variables are touched on the connection's loop alone.

    typealias Answer = Result<Response?, TollgateError>

    static var queuedBytes: Int { 64 << 10 }

    let method: LimitServiceMethod
    let deadline: NIODeadline?
    var place: StreamPlace?

    /// Written before the stream started.
    private var early = ByteQueue()
    private var isFinished = false
    private var hasEnded = false
    private var error: TollgateError?
    private var sender: ((TollgateError?) -> Void)?
    private var receiver: ((Answer) -> Void)?
    /// The events that ended the stream; what it still holds is handed out first.
    private var endEvents: StreamEvents = []

    init(_ method: LimitServiceMethod, deadline: NIODeadline?) {
        self.method = method
        self.deadline = deadline
    }

    /// With the one request of a stream of answers.
    init(_ method: LimitServiceMethod, request: [UInt8], deadline: NIODeadline?) {
        self.method = method
        self.deadline = deadline
        early.appendMessage(request)
        isFinished = true
    }

    var isDone: Bool { hasEnded }

    func start(on handler: ClientHandler) -> Bool {
        let isStarted = handler.start(
            self, method: method, finished: isFinished
        ) { $0.append(early.readable) }
        if isStarted {
            early.reset(retaining: 0)
            resumeSender()
        }
        return isStarted
    }

    /// Queues a request; `sent` is called when there is room for another.
    func send(_ message: [UInt8], sent: @escaping (TollgateError?) -> Void) {
        if hasEnded || isFinished {
            return sent(
                error
                    ?? TollgateError(
                        .failedPrecondition, "The stream has ended", wasNotProcessed: true))
        }
        sender = sent
        guard let place else {
            early.appendMessage(message)
            if early.count < Self.queuedBytes { resumeSender() }
            return
        }
        let session = place.handler
        if let output = session.session.output(place.stream) {
            output.pointee.appendMessage(message)
            let isFull = output.pointee.count >= Self.queuedBytes
            session.session.push(place.stream, finished: false, notify: isFull)
            if isFull == false { resumeSender() }
        }
        session.flush()
    }

    /// No more requests will come; answers still do.
    func finish() {
        guard isFinished == false, hasEnded == false else { return }
        isFinished = true
        guard let place else { return }
        place.handler.session.push(place.stream, finished: true)
        place.handler.flush()
    }

    /// Asks for the next answer; nil: the service has answered all.
    func receive(_ receiver: @escaping (Answer) -> Void) {
        precondition(self.receiver == nil, "one reader at a time")
        self.receiver = receiver
        deliver()
    }

    func cancel() {
        let place = place
        fail(.cancelled)
        place?.letGo()
    }

    // MARK: StreamOwner

    func progress(
        _ stream: StreamHandle, _ events: StreamEvents, _ handler: ClientHandler
    ) -> Bool {
        if events.contains(.writable) { resumeSender() }
        if events.contains(.end) || events.contains(.closed) || events.contains(.overflow) {
            endEvents.formUnion(events)
        }
        deliver()
        return false
    }

    func fail(_ error: TollgateError) {
        guard hasEnded == false else { return }
        end(error)
    }

    // MARK: Delivery

    /// Hands the next answer, or the end, to whoever waits for it.
    private func deliver() {
        guard let receiver else { return }
        guard hasEnded == false, let place else {
            // Not started yet, or over.
            if hasEnded {
                self.receiver = nil
                receiver(error.map { .failure($0) } ?? .success(nil))
            }
            return
        }
        do throws(TollgateError) {
            if let message = try place.handler.message(place.stream) {
                let length = message.count
                let answer = try Self.decode(message)
                place.handler.session.consume(place.stream, byteCount: 5 + length)
                self.receiver = nil
                place.handler.flush()
                return receiver(.success(answer))
            }
        } catch {
            place.letGo()
            return end(error)
        }
        if endEvents.isEmpty == false {
            let error = place.handler.error(of: place.stream, endEvents)
            place.letGo()
            end(error)
        }
    }

    private static func decode(
        _ message: UnsafeRawBufferPointer
    ) throws(TollgateError) -> Response {
        do throws(WireDecodingError) {
            return try Response(decoding: message)
        } catch {
            throw TollgateError(.internal, "The service's answer is not a message of the contract")
        }
    }

    private func end(_ error: TollgateError?) {
        hasEnded = true
        self.error = error
        early.reset(retaining: 0)
        resumeSender()
        if let receiver {
            self.receiver = nil
            receiver(error.map { .failure($0) } ?? .success(nil))
        }
    }

    private func resumeSender() {
        guard let sender else { return }
        self.sender = nil
        sender(error)
    }
}
