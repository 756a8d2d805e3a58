internal import HTTP2
internal import NIOCore

/// Calls: from a request's fields to its answer. What is answered within the read that brought it has no state;
/// `CallLifecycle` says what is to be done about all others.
extension ConnectionHandler {
    func handle(_ stream: StreamHandle, _ events: StreamEvents) {
        if events.contains(.closed) { return closed(stream) }
        if let call = calls[stream] {
            let arrival = call.pointee.life.arrived(events)
            guard case .begin = arrival else { return perform(arrival, call) }
            calls.remove(call)
        }
        guard let head = session.request(stream) else { return }
        // Once: its body may be reported later.
        if loop.isObserved, events.contains(.head) { noteBeginning(stream, head) }
        guard head.pointee.isReadable, !events.contains(.overflow) else {
            return refuse(stream, head.pointee, events)
        }
        begin(stream, head, events)
    }

    /// The head of a request is there and its body is not: a stranger's is not waited for.
    private func awaitBody(_ stream: StreamHandle, method: Int, deadline: UInt64) {
        if let failure = service.admit(loop.call) { return fail(stream, failure) }
        noteCaller(method, nil)
        // A stranger's is counted.
        guard deadline != .max || !isKnown else { return }
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                life: .awaitingBody(loop.limits[method].kind)))
    }

    /// Answers a request that no method is asked about, since it is no gRPC call, or a bad one.
    private func refuse(_ stream: StreamHandle, _ head: RequestHead, _ events: StreamEvents) {
        if head.isTooLarge { return fail(stream, Self.tooMuchMetadata) }
        guard head.contentType == .grpc else {
            return rejectHTTP(stream, ReplyHeaders.unsupportedMediaType)
        }
        guard head.isPost else { return rejectHTTP(stream, ReplyHeaders.methodNotAllowed) }
        if head.route < 0 {
            fail(stream, GRPCFailure(.unimplemented, "unknown method"))
        } else if head.isMalformed {
            fail(
                stream, GRPCFailure(.internal, "malformed grpc-timeout or repeated metadata"))
        } else if !head.isReadable {
            fail(
                stream,
                GRPCFailure(
                    .unimplemented, "grpc-encoding is not supported, send identity or gzip"))
        } else {
            fail(stream, Self.tooLarge)
        }
    }

    private func rejectHTTP(_ stream: StreamHandle, _ headers: HeaderBlock) {
        loop.notes?.drop(token(stream))
        loop.fields.removeAll()
        session.reject(stream, headers: headers.view, fields: loop.fields)
    }

    private func begin(
        _ stream: StreamHandle, _ head: UnsafePointer<RequestHead>, _ events: StreamEvents
    ) {
        let method = Int(head.pointee.route)
        let deadline = deadlineNanoseconds(head)
        guard deadline > nowNanoseconds else { return fail(stream, Self.deadlineExceeded) }
        if !isKnown, let failure = admitStranger(stream, method, events) {
            return fail(stream, failure)
        }
        prepareCall(stream, head, method: method, deadline: deadline)
        let kind = loop.limits[method].kind
        if !events.contains(.end), kind == .unary || kind == .serverStreaming {
            return awaitBody(stream, method: method, deadline: deadline)
        }
        switch kind {
        case .unary:
            guard let request = singleRequest(stream, method) else { return }
            decideUnary(stream, request, method: method, deadline: deadline)
        case .serverStreaming:
            guard let request = singleRequest(stream, method) else { return }
            openServerStream(stream, request, method: method, deadline: deadline)
        case .clientStreaming, .bidirectional:
            openRequestStream(stream, events, method: method, deadline: deadline)
        }
    }

    private func deadlineNanoseconds(_ head: UnsafePointer<RequestHead>) -> UInt64 {
        guard head.pointee.timeoutNanoseconds >= 0 else { return .max }
        let (deadline, overflow) = head.pointee.receivedNanoseconds.addingReportingOverflow(
            UInt64(head.pointee.timeoutNanoseconds))
        return overflow ? .max : deadline
    }

    /// Fills the loop's call context for a request of `stream`.
    func prepareCall(
        _ stream: StreamHandle, _ head: UnsafePointer<RequestHead>, method: Int,
        deadline: UInt64
    ) {
        loop.call.values.pointee = CallContext.Values(
            method: method, token: token(stream),
            nowNanoseconds: nowNanoseconds, deadlineNanoseconds: deadline,
            authorization: session.authorization(stream), denyAsStatus: head.pointee.denyAsStatus,
            compresses: head.pointee.acceptsGzip && compresses(head), connection: self)
    }

    func token(_ stream: StreamHandle) -> CallToken {
        CallToken(
            connection: place.index, connectionGeneration: place.generation, stream: stream)
    }

    /// The one message of a request; nil: there is not exactly one, and the call has been failed.
    private func singleRequest(_ stream: StreamHandle, _ method: Int) -> UnsafeRawBufferPointer? {
        let body = session.input(stream)
        let limit = loop.limits[method].maximumRequestBytes
        switch GRPCFraming.parse(body, maximumBytes: limit) {
        case .complete(let request, let consumed) where consumed == body.count:
            return request
        case .compressed(let packed, let consumed) where consumed == body.count:
            return unpackSingle(stream, packed, method: method, maximumBytes: limit)
        case .complete, .compressed:
            fail(stream, GRPCFailure(.unimplemented, "more than one request message"))
        case .incomplete where body.isEmpty:
            fail(stream, GRPCFailure(.unimplemented, "no request message"))
        case .incomplete:
            fail(stream, Self.cutShort)
        case .malformed:
            fail(stream, Self.wrongFlag)
        case .tooLarge:
            fail(stream, Self.tooLarge)
        }
        return nil
    }

    private func decideUnary(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64
    ) {
        guard let output = session.output(stream) else { return }
        decideUnary(
            stream, request, method: method, deadline: deadline, ResponseBuffer(output),
            AnswerUndo(loop))
    }

    private func decideUnary(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64,
        _ buffer: ResponseBuffer, _ undo: consuming AnswerUndo
    ) {
        var response = buffer
        let failure: GRPCFailure?
        var isPacked = false
        switch service.unary(loop.call, request: request, response: &response) {
        case .done:
            response.close()
            failure = nil
            if loop.call.values.pointee.compresses { isPacked = pack(response) }
        case .failed(let reason):
            response.cancel()
            failure = reason
        case .putOff:
            return putOff(stream, method: method, deadline: deadline, undo)
        }
        loop.counts.addRequest(method)
        if !isKnown { noteCaller(method, failure) }
        if loop.call.values.pointee.isParked {
            return park(
                stream, failure, method: method, deadline: deadline, isPacked: isPacked,
                kept(undo, failure))
        }
        answeredAtOnce &+= 1
        if isLate(deadline) {
            undo.withdraw()
            fail(stream, Self.deadlineExceeded)
        } else {
            kept(undo, failure).forget()
            answer(stream, failure, isPacked: isPacked)
        }
    }

    /// What would take an answer back. A failure says that nothing was done: what was is taken back at once, be it of a part
    /// that was decided before the request was put off.
    @inline(__always)
    func kept(_ undo: consuming AnswerUndo, _ failure: GRPCFailure?) -> AnswerUndo {
        guard failure != nil else { return undo }
        undo.withdraw()
        return AnswerUndo(loop)
    }

    // MARK: Requests that are put off

    /// Keeps a unary request, as far as it was decided, until there is room for the rest.
    private func putOff(
        _ stream: StreamHandle, method: Int, deadline: UInt64, _ undo: consuming AnswerUndo
    ) {
        let values = loop.call.values.pointee
        putOffCall = PutOffCall(
            stream: stream, progress: values.progress, isParked: values.isParked,
            undo: undo.putOff(),
            receivedNanoseconds: nowNanoseconds)
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                life: .putOff(loop.limits[method].kind)))
        putOff()
    }

    /// Goes on with the request of one message that was put off.
    func resumePutOffCall() {
        guard let waiting = putOffCall else { return }
        guard let call = calls[waiting.stream], let head = session.request(waiting.stream),
            let output = session.output(waiting.stream)
        else { return dropPutOffCall() }
        let (stream, method) = (waiting.stream, call.pointee.method)
        let deadline = call.pointee.deadlineNanoseconds
        guard !isLate(deadline) else { return finishCall(call, Self.deadlineExceeded) }
        if GRPCFraming.isCompressed(session.input(stream)) {
            guard loop.unpacking.take() else { return awaitUnpacking() }
            mayUnpack = true
        }
        defer { mayUnpack = false }
        perform(call.pointee.life.resume(), call)
        putOffCall = nil
        // What it took until here counts as the time that its answer took.
        let now = nowNanoseconds
        nowNanoseconds = waiting.receivedNanoseconds
        defer { nowNanoseconds = now }
        prepareCall(stream, head, method: method, deadline: deadline)
        loop.call.values.pointee.progress = waiting.progress
        loop.call.values.pointee.isParked = waiting.isParked
        let undo = AnswerUndo(loop, noted: waiting.undo)
        guard let request = singleRequest(stream, method) else { return undo.withdraw() }
        if loop.limits[method].kind == .serverStreaming {
            undo.forget()
            return openServerStream(stream, request, method: method, deadline: deadline)
        }
        // What waited to be unpacked alone was not begun.
        let response =
            output.pointee.isEmpty ? ResponseBuffer(output) : ResponseBuffer(resuming: output)
        decideUnary(stream, request, method: method, deadline: deadline, response, undo)
    }

    /// The request that was put off will not be decided: what was done of it is taken back.
    func dropPutOffCall() {
        guard let waiting = putOffCall else { return }
        putOffCall = nil
        guard !waiting.undo.isEmpty else { return }
        waiting.undo.withUnsafeBytes { service.withdraw($0) }
    }

    private func answer(_ stream: StreamHandle, _ failure: GRPCFailure?, isPacked: Bool) {
        if let failure { return fail(stream, failure) }
        if loop.isObserved { noteEnd(stream, .ok) }
        session.respond(
            stream, headers: isPacked ? loop.gzipHeaders : loop.okHeaders,
            trailers: loop.okTrailers)
    }

    /// Whether a deadline has passed by now.
    @inline(__always)
    func isLate(_ deadlineNanoseconds: UInt64) -> Bool {
        deadlineNanoseconds != .max && loop.clock() >= deadlineNanoseconds
    }

    // MARK: Parked answers

    /// Keeps the answer that stands in a unary call's output, or its failure, until its ticket.
    private func park(
        _ stream: StreamHandle, _ failure: GRPCFailure?, method: Int, deadline: UInt64,
        isPacked: Bool, _ undo: consuming AnswerUndo
    ) {
        session.consume(stream, byteCount: session.input(stream).count)
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                life: .parked(failure, isPacked: isPacked)))
        let answerBytes = session.output(stream)?.pointee.count ?? 0
        _ = park(stream, answerBytes: answerBytes, undo)
    }

    /// Files an answer of a call, which counts it, among those of the loop.
    ///
    /// - Returns: the answer's number.
    func park(
        _ stream: StreamHandle, answerBytes: Int, _ undo: consuming AnswerUndo
    ) -> UInt64 {
        let undoBytes = undo.keep()
        parkedBytes += answerBytes + undoBytes
        return loop.park(
            ParkedAnswer(
                connection: Unmanaged.passUnretained(self), stream: stream,
                answerBytes: UInt32(answerBytes), undoBytes: UInt32(undoBytes),
                receivedNanoseconds: nowNanoseconds))
    }

    /// The ticket of one of this connection's answers is reached: it leaves, or is taken back.
    ///
    /// - Parameter isCut: nobody waits any longer for what is still parked.
    /// - Returns: whether it left; if not, what the service did is to be withdrawn.
    func release(_ answer: ParkedAnswer, nowNanoseconds now: UInt64, isCut: Bool) -> Bool {
        parkedBytes -= Int(answer.answerBytes) + Int(answer.undoBytes)
        guard let call = calls[answer.stream] else {
            preconditionFailure("an answer is parked of a call that is none")
        }
        let release = call.pointee.life.release(
            answer.messages, isGone: isCut || !session.isOpen(answer.stream),
            isLate: call.pointee.deadlineNanoseconds <= now,
            resumesAt: loop.configuration.maximumUnanswered / 2)
        if release.actions.contains(.answer) {
            calls.remove(call)
            self.answer(answer.stream, nil, isPacked: release.actions.contains(.packed))
            return true
        }
        if release.actions.contains(.move) { move(answer, of: call) }
        perform(
            release.actions, call,
            release.outcome == .late ? Self.deadlineExceeded : release.failure)
        return release.outcome == .leave
    }

    /// Ends the calls whose deadline has passed. What they hold is taken back when its turn comes.
    func expireCalls(nowNanoseconds now: UInt64) {
        var anyExpired = false
        for index in 0..<calls.limit {
            guard let call = calls.call(at: index), !call.pointee.life.isOver,
                call.pointee.deadlineNanoseconds <= now
            else { continue }
            finishCall(call, Self.deadlineExceeded)
            anyExpired = true
        }
        if anyExpired { run() }
    }

    // MARK: Ends

    /// Ends an active call with a status, now: answers that are parked will not leave.
    ///
    /// - Parameter failure: nil: OK.
    func finishCall(_ call: UnsafeMutablePointer<ActiveCall>, _ failure: GRPCFailure?) {
        perform(call.pointee.life.finish(failed: failure != nil), call, failure)
    }

    /// Does what a call's life asks for, but for what concerns the answer in hand (`move`, `answer`).
    ///
    /// - Parameter failure: the status that is to be told; nil: OK.
    func perform(
        _ actions: CallLifecycle.Actions, _ call: UnsafeMutablePointer<ActiveCall>,
        _ failure: GRPCFailure? = nil
    ) {
        let stream = call.pointee.stream
        let keep = actions.contains(.keep)
        if actions.contains(.withdrawRequest) { dropPutOffCall() }
        if actions.contains(.start) { sendHead(call) }
        if actions.contains(.forget) { calls.remove(call) }
        if actions.contains(.refuse), let failure { fail(stream, failure, keep: keep) }
        if actions.contains(.finish) { finish(stream, failure, keep: keep) }
        if actions.contains(.release) { session.release(stream) }
        if actions.contains(.tellService) { service.streamClosed(token(stream)) }
        if actions.contains(.push) { session.push(stream) }
        if actions.contains(.take) { takeMessages(call) }
        if actions.contains(.rest) { endIfIdle(stream) }
    }

    /// Ends a response that has begun.
    private func finish(_ stream: StreamHandle, _ failure: GRPCFailure?, keep: Bool) {
        if loop.isObserved { noteEnd(stream, failure?.code ?? .ok) }
        guard let failure else {
            return session.finish(stream, trailers: loop.okTrailers, keep: keep)
        }
        countFailure(stream, failure)
        ReplyHeaders.fill(&loop.fields, with: failure)
        session.finish(stream, trailers: loop.fields, keep: keep)
    }

    /// Answers with a status alone (Trailers-Only).
    ///
    /// - Parameter keep: the call keeps its stream.
    func fail(_ stream: StreamHandle, _ failure: GRPCFailure, keep: Bool = false) {
        countFailure(stream, failure)
        if loop.isObserved { noteEnd(stream, failure.code) }
        ReplyHeaders.fill(&loop.fields, with: failure)
        if failure.code == .unimplemented {
            [UInt8]("identity,gzip".utf8).withUnsafeBytes {
                loop.fields.append(name: "grpc-accept-encoding", value: $0)
            }
        }
        session.reject(
            stream, headers: loop.okHeaders, fields: loop.fields,
            isStrangers: failure.isStrangers, keep: keep)
    }

    private func countFailure(_ stream: StreamHandle, _ failure: GRPCFailure) {
        let route = session.request(stream)?.pointee.route ?? -1
        loop.counts.addFailure(method: Int(route), failure.code)
    }

    /// The peer has reset the stream, or the connection is gone, or the stream was kept and is done.
    func closed(_ stream: StreamHandle) {
        if loop.isObserved { noteEnd(stream, .cancelled) }
        guard let call = calls[stream] else { return session.release(stream) }
        perform(call.pointee.life.closed(), call)
    }

    static let deadlineExceeded = GRPCFailure(.deadlineExceeded, "the deadline has passed")
    static let cutShort = GRPCFailure(.internal, "the request message is truncated")
    static let wrongFlag = GRPCFailure(.internal, "the compressed flag must be 0 or 1")
    static let shuttingDown = GRPCFailure(.unavailable, "the server is shutting down")
    static let retired = GRPCFailure(.unavailable, "the connection is closing")
    static let tooMuchMetadata = GRPCFailure(
        .resourceExhausted, "the request metadata is too large")
    static let tooLarge = GRPCFailure(.resourceExhausted, "the request message is too large")
}
