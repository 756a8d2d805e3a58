internal import HTTP2
internal import NIOCore
internal import Wire

/// A streaming call: a connection starts it when there is a free place.
protocol StreamWork: StreamOwner, Sendable {
    /// It has ended, perhaps before it was started.
    var isDone: Bool { get }
    /// False: there is no free place now, and nothing was done.
    func start(on handler: ClientHandler) -> Bool
}

/// A streaming call: requests out, answers in, with back-pressure both ways.
///
/// Answers stay in the session's buffer, inside its window, until they are read. Senders wait, in
/// order, while 64 KiB of requests are unsent.
final class StreamCall<Response: ResponseMessage & Sendable>: StreamWork, @unchecked Sendable {
    // SAFETY: the constants are Sendable; the variables are touched on the connection's loop alone.

    typealias Answer = Result<Response?, TollgateError>

    static var queuedBytes: Int { 64 << 10 }

    /// A request that waits for room.
    private struct Sender {
        let message: [UInt8]
        let sent: (TollgateError?) -> Void
    }

    let method: LimitServiceMethod
    let deadline: NIODeadline?
    /// How long a reader waits for an outstanding answer; nil: as long as the stream lives.
    private let patience: TimeAmount?
    var place: StreamPlace?

    /// Queued before the stream started.
    private var early: [[UInt8]] = []
    private var earlyBytes = 0
    /// Requests queued and not answered; for streams of checks.
    private var owed = 0
    /// When the waiting reader gives up; nil: none waits, or no answer is outstanding.
    private var answerDue: NIODeadline?
    private var senders = CircularBuffer<Sender>()
    private var receiver: ((Answer) -> Void)?
    /// The caller sends no more requests.
    private var isFinished = false
    /// The service or the end of the connection has ended the stream; earlier answers are still
    /// delivered.
    private var isCut = false
    /// Nothing more is delivered except `error`.
    private var hasEnded = false
    /// Why the stream failed; nil: it ended with OK, or has not ended.
    private var error: TollgateError?

    init(
        _ method: LimitServiceMethod, deadline: NIODeadline?, patience: TimeAmount? = nil
    ) {
        self.method = method
        self.deadline = deadline
        self.patience = patience
    }

    /// A stream of answers to one request.
    init(_ method: LimitServiceMethod, request: [UInt8], deadline: NIODeadline?) {
        self.method = method
        self.deadline = deadline
        patience = nil
        early = [request]
        isFinished = true
    }

    var expiry: NIODeadline? {
        guard let answerDue else { return deadline }
        return min(deadline ?? answerDue, answerDue)
    }

    var isDone: Bool { hasEnded }

    /// Senders that wait for room.
    var waitingSenders: Int { senders.count }

    func start(on handler: ClientHandler) -> Bool {
        let isStarted = handler.start(
            self, method: method, finished: isFinished && senders.isEmpty
        ) { output in
            for message in early { handler.codec.append(message, to: &output) }
        }
        if isStarted {
            early = []
            admitSenders()
        }
        return isStarted
    }

    /// Queues a request behind those that wait; `sent` is called once it is queued or refused.
    func send(_ message: [UInt8], sent: @escaping (TollgateError?) -> Void) {
        if isFinished || isCut || hasEnded { return sent(refusal) }
        senders.append(Sender(message: message, sent: sent))
        admitSenders()
        watch()
        place?.handler.flush()
    }

    /// There are no more requests except those that wait; answers still arrive.
    func finish() {
        guard isFinished == false, isCut == false, hasEnded == false else { return }
        isFinished = true
        admitSenders()
        place?.handler.flush()
    }

    /// Asks for the next answer; nil: there are no more.
    func receive(_ receiver: @escaping (Answer) -> Void) {
        precondition(self.receiver == nil, "one reader at a time")
        self.receiver = receiver
        watch()
        let place = place
        if deliver() { place?.forget() } else { place?.handler.flush() }
    }

    func cancel() {
        let place = place
        fail(.cancelled)
        place?.forget()
    }

    // MARK: StreamOwner

    func progress(
        _ stream: StreamHandle, _ events: StreamEvents, _ handler: ClientHandler
    ) -> Bool {
        let isOver =
            events.contains(.end) || events.contains(.closed) || events.contains(.overflow)
        if isOver, isCut == false {
            isCut = true
            error = handler.error(of: stream, events)
            refuseSenders()
        } else if events.contains(.writable) {
            admitSenders()
        }
        return deliver()
    }

    func fail(_ error: TollgateError) {
        guard hasEnded == false else { return }
        end(error)
    }

    // MARK: Requests

    /// Queues waiting requests as far as there is room. The caller flushes.
    private func admitSenders() {
        guard let place else {
            while earlyBytes < Self.queuedBytes, let sender = senders.popFirst() {
                early.append(sender.message)
                earlyBytes += sender.message.count
                owed += 1
                sender.sent(nil)
            }
            return
        }
        let handler = place.handler
        guard let output = handler.session.output(place.stream) else { return }
        while output.pointee.count < Self.queuedBytes, let sender = senders.popFirst() {
            handler.codec.append(sender.message, to: &output.pointee)
            owed += 1
            sender.sent(nil)
        }
        handler.session.push(
            place.stream, finished: isFinished && senders.isEmpty,
            notify: senders.isEmpty == false)
    }

    /// Why an unsent request is not sent.
    private var refusal: TollgateError {
        var refusal = error ?? TollgateError(.failedPrecondition, "The stream has ended")
        refusal.wasNotProcessed = true
        return refusal
    }

    private func refuseSenders() {
        let refused = senders
        senders.removeAll()
        for sender in refused { sender.sent(refusal) }
    }

    // MARK: Answers

    /// Starts the time-out of a reader that waits for an answer.
    private func watch() {
        guard let patience, answerDue == nil, receiver != nil, owed > 0 else { return }
        answerDue = .now() + patience
    }

    /// Delivers the next answer, or the end, to the waiting reader.
    ///
    /// - Returns: true: everything is delivered; the caller frees the stream's place.
    private func deliver() -> Bool {
        guard hasEnded == false, let place else {
            if hasEnded { deliverEnd() }
            return false
        }
        do throws(TollgateError) {
            while let frame = try place.handler.frame(place.stream) {
                guard let receiver else { return false }
                let answer = try Self.decode(place.handler.message(frame, place.stream))
                place.handler.session.consume(place.stream, byteCount: frame.byteCount)
                self.receiver = nil
                answerDue = nil
                owed -= 1
                receiver(.success(answer))
            }
        } catch {
            end(error)
            return true
        }
        if isCut { end(error) }
        return isCut
    }

    private static func decode(
        _ message: UnsafeRawBufferPointer
    ) throws(TollgateError) -> Response {
        do throws(WireDecodingError) {
            return try Response(decoding: message)
        } catch {
            throw TollgateError(.internal, "The service's answer could not be decoded")
        }
    }

    private func end(_ error: TollgateError?) {
        hasEnded = true
        self.error = error
        early = []
        refuseSenders()
        deliverEnd()
    }

    private func deliverEnd() {
        guard let receiver else { return }
        self.receiver = nil
        receiver(error.map { .failure($0) } ?? .success(nil))
    }
}
