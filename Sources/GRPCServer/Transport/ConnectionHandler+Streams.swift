internal import HTTP2

/// The state of a streaming call.
final class StreamCall {
    let kind: MethodKind
    /// Its answers may leave compressed.
    let compresses: Bool
    /// Answers in the order of their requests, prefix included, from the first that is held on.
    let waiting: UnsafeMutablePointer<ByteQueue>
    /// The number of its last held answer; while that is held, what follows stands behind it.
    var lastHeld: UInt64 = 0
    /// The response's head was sent.
    var isStarted = false
    var isHalfClosed = false
    /// Messages are being handed to the service.
    var isTaking = false
    /// A client stream: its answer must wait because one of its requests had to.
    var isHeld = false
    /// A client stream's one answer was asked for.
    var isConcluded = false

    init(kind: MethodKind, compresses: Bool) {
        self.kind = kind
        self.compresses = compresses
        waiting = .allocate(capacity: 1)
        waiting.initialize(to: ByteQueue())
    }

    deinit {
        waiting.deinitialize(count: 1)
        waiting.deallocate()
    }
}

/// Streaming calls.
extension ConnectionHandler {
    // MARK: Opening

    func openServerStream(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64
    ) {
        let streaming = StreamCall(
            kind: .serverStreaming, compresses: loop.call.values.pointee.compresses)
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                streaming: streaming))
        if let failure = service.watch(loop.call, request: request) {
            if let call = calls[stream] { calls.remove(call) }
            noteCaller(method, failure)
            return fail(stream, failure)
        }
        noteCaller(method, nil)
        guard calls[stream] != nil else { return }  // ended within `watch`
        startAnswers(stream, streaming)
        endIfIdle(stream)
    }

    func openRequestStream(
        _ stream: StreamHandle, _ events: StreamEvents, method: Int, deadline: UInt64
    ) {
        if let failure = service.streamOpened(loop.call) { return fail(stream, failure) }
        noteCaller(method, nil)
        let streaming = StreamCall(
            kind: loop.limits[method].kind, compresses: loop.call.values.pointee.compresses)
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                streaming: streaming))
        if streaming.kind == .bidirectional { startAnswers(stream, streaming) }
        continueStream(stream, events)
        endIfIdle(stream)
    }

    /// Sends the response's head, once.
    func startAnswers(_ stream: StreamHandle, _ streaming: StreamCall) {
        guard !streaming.isStarted else { return }
        streaming.isStarted = true
        session.respond(
            stream, headers: streaming.compresses ? loop.gzipHeaders : loop.okHeaders)
    }

    // MARK: Requests

    func continueStream(_ stream: StreamHandle, _ events: StreamEvents) {
        guard let call = calls[stream], !call.pointee.isOver,
            let streaming = call.pointee.streaming
        else { return }
        if events.contains(.end) { streaming.isHalfClosed = true }
        if events.contains(.overflow) { return endInTurn(call, Self.tooLarge) }
        guard streaming.kind != .serverStreaming else {
            if events.contains(.writable) { service.streamWritable(token(stream)) }
            return
        }
        takeMessages(stream, streaming)
    }

    /// Ends a stream after the answers that are held.
    private func endInTurn(_ call: UnsafeMutablePointer<ActiveCall>, _ failure: GRPCFailure) {
        if call.pointee.heldAnswers == 0 { return finishCall(call, failure) }
        if case .open = call.pointee.ending { call.pointee.ending = .failed(failure) }
    }

    /// The call of a stream from which messages may still be taken.
    private func openCall(_ stream: StreamHandle) -> UnsafeMutablePointer<ActiveCall>? {
        guard let call = calls[stream], !call.pointee.isOver, case .open = call.pointee.ending
        else { return nil }
        return call
    }

    /// Hands the messages that have come to the service, as many as may be unanswered.
    private func takeMessages(_ stream: StreamHandle, _ streaming: StreamCall) {
        guard !streaming.isTaking, !streaming.isConcluded, !isPutOff else { return }
        streaming.isTaking = true
        defer { streaming.isTaking = false }
        while let call = openCall(stream), let output = session.output(stream) {
            guard call.pointee.heldAnswers < loop.configuration.maximumUnanswered,
                streaming.waiting.pointee.count <= loop.configuration.maximumStreamOutputBytes
            else { break }
            guard output.pointee.count <= loop.configuration.maximumStreamOutputBytes else {
                return session.push(stream, notify: true)
            }
            let body = session.input(stream)
            let limit = loop.limits[call.pointee.method].maximumRequestBytes
            switch parse(stream, body, maximumBytes: limit) {
            case .complete(let request, let consumed):
                guard take(call, streaming, request, output) else { return session.push(stream) }
                session.consume(stream, byteCount: consumed)
            case .incomplete:
                if streaming.isHalfClosed { conclude(call, streaming, body, output) }
                if calls[stream] != nil { session.push(stream) }
                return
            case .waits:
                awaitUnpacking()
                return session.push(stream)
            case .failed(let failure):
                return endInTurn(call, failure)
            }
        }
        session.push(stream)
    }

    /// Goes on with what the streams have brought while a request was put off. The stream that is put off again comes last
    /// the next time.
    func continueStreams() {
        let limit = calls.limit
        let first = firstToContinue
        for offset in 0..<limit {
            let index = (first + offset) % limit
            guard let call = calls.call(at: index), call.pointee.streaming != nil else { continue }
            continueStream(call.pointee.stream, [])
            if isPutOff {
                firstToContinue = index + 1
                return
            }
        }
    }

    /// One request of a stream. False: it was put off, and stays where it is.
    private func take(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: StreamCall,
        _ request: UnsafeRawBufferPointer, _ output: UnsafeMutablePointer<ByteQueue>
    ) -> Bool {
        let stream = call.pointee.stream
        guard let head = session.request(stream) else { return true }
        prepareCall(
            stream, head, method: call.pointee.method, deadline: call.pointee.deadlineNanoseconds)
        let undo = AnswerUndo(loop)
        // Whether this answer must wait is known only when it is there; most either all do or none.
        let target = call.pointee.heldAnswers > 0 ? streaming.waiting : output
        let start = target.pointee.count
        var response = ResponseBuffer(target)
        let outcome = service.message(loop.call, request: request, response: &response)
        let isHeld = loop.call.values.pointee.isHeld
        var failed: GRPCFailure?
        if !isHeld, isLate(call.pointee.deadlineNanoseconds) {
            response.cancel()
            undo.withdraw()
            finishCall(call, Self.deadlineExceeded)
            return true
        }
        switch outcome {
        case .putOff:
            response.cancel()
            // It is asked again as a whole.
            undo.withdraw()
            putOff()
            return false
        case .done where streaming.kind == .clientStreaming:
            response.cancel()
            streaming.isHeld = streaming.isHeld || isHeld
            undo.forget()
            return true
        case .done:
            response.close()
            if streaming.compresses { pack(response) }
        case .failed(let failure):
            response.cancel()
            if !isHeld {
                kept(undo, failure).forget()
                endInTurn(call, failure)
                return true
            }
            call.pointee.ending = .failed(failure)
            failed = failure
        }
        file(
            call, streaming, from: target, start: start, isHeld: isHeld, kept(undo, failed))
        return true
    }

    /// Puts an answer that was written to `source` where it waits, if it must.
    private func file(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: StreamCall,
        from source: UnsafeMutablePointer<ByteQueue>, start: Int, isHeld: Bool,
        _ undo: consuming AnswerUndo
    ) {
        let waiting = streaming.waiting
        if isHeld, source != waiting {
            let answer = source.pointee.readable[start...]
            waiting.pointee.append(UnsafeRawBufferPointer(rebasing: answer))
            source.pointee.truncate(to: start)
        }
        if isHeld {
            let bytes = waiting.pointee.count - (source == waiting ? start : 0)
            streaming.lastHeld = hold(call, answerBytes: bytes, undo)
        } else {
            undo.forget()
            guard source == waiting else {
                answeredAtOnce &+= 1
                return
            }
            call.pointee.heldAnswers += 1
            let bytes = waiting.pointee.count - start
            heldBytes += bytes
            loop.extendHeld(streaming.lastHeld, answerBytes: bytes)
        }
    }

    /// The client has sent its last message.
    private func conclude(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: StreamCall,
        _ rest: UnsafeRawBufferPointer, _ output: UnsafeMutablePointer<ByteQueue>
    ) {
        guard rest.isEmpty else { return endInTurn(call, Self.cutShort) }
        guard call.pointee.heldAnswers == 0 else { return }
        guard streaming.kind == .clientStreaming else { return finishCall(call, nil) }
        let stream = call.pointee.stream
        guard let head = session.request(stream) else { return }
        streaming.isConcluded = true
        prepareCall(
            stream, head, method: call.pointee.method, deadline: call.pointee.deadlineNanoseconds)
        if streaming.isHeld { loop.call.hold() }
        let undo = AnswerUndo(loop)
        var response = ResponseBuffer(output)
        var failure: GRPCFailure?
        switch service.halfClosed(loop.call, response: &response) {
        case .done:
            response.close()
            if streaming.compresses { pack(response) }
        case .failed(let reason):
            response.cancel()
            failure = reason
        case .putOff:
            response.cancel()
            failure = GRPCFailure(.unavailable, "there is no room")
        }
        if loop.call.values.pointee.isHeld {
            if let failure { call.pointee.ending = .failed(failure) }
            // The head was not sent, so nothing of the output leaves.
            streaming.lastHeld = hold(
                call, answerBytes: output.pointee.count, kept(undo, failure))
            return
        }
        answeredAtOnce &+= 1
        if isLate(call.pointee.deadlineNanoseconds) {
            response.cancel()
            undo.withdraw()
            finishCall(call, Self.deadlineExceeded)
        } else {
            kept(undo, failure).forget()
            finishCall(call, failure)
        }
    }

    // MARK: Answers

    /// The ticket of a held answer of a stream is reached.
    func letGoMessages(_ call: UnsafeMutablePointer<ActiveCall>, _ answer: HeldAnswer) {
        guard let streaming = call.pointee.streaming else { return }
        let stream = call.pointee.stream
        let isLast = call.pointee.heldAnswers == 0
        if !streaming.isConcluded, let output = session.output(stream) {
            let waiting = streaming.waiting
            let count = Int(answer.answerBytes)
            output.pointee.append(
                UnsafeRawBufferPointer(rebasing: waiting.pointee.readable[..<count]))
            waiting.pointee.consume(
                count, retaining: loop.configuration.session.retainedBufferBytes)
        }
        if isLast {
            if case .failed(let failure) = call.pointee.ending {
                return finishCall(call, failure)
            }
            if streaming.isConcluded { return finishCall(call, nil) }
        }
        session.push(stream)
        if isLast || call.pointee.heldAnswers <= loop.configuration.maximumUnanswered / 2 {
            continueStream(stream, [])
        }
        if isLast { endIfIdle(stream) }
    }

    func push(_ token: CallToken, _ encode: (inout ResponseBuffer) -> Void) -> PushResult {
        guard let call = calls[token.stream], let streaming = call.pointee.streaming,
            streaming.kind == .serverStreaming, session.isOpen(token.stream),
            let output = session.output(token.stream)
        else { return .gone }
        guard output.pointee.count <= loop.configuration.maximumStreamOutputBytes else {
            session.push(token.stream, notify: true)
            return .congested
        }
        var response = ResponseBuffer(output)
        encode(&response)
        response.close()
        if streaming.compresses { pack(response) }
        startAnswers(token.stream, streaming)
        session.push(token.stream)
        return .sent
    }

    func end(_ token: CallToken, _ failure: GRPCFailure?) {
        guard let call = calls[token.stream],
            call.pointee.streaming?.kind == .serverStreaming
        else { return }
        finishCall(call, failure)
    }

    // MARK: Drain

    /// Ends the streams that would never end by themselves.
    func endIdleStreams() {
        for index in 0..<calls.limit {
            guard let call = calls.call(at: index) else { continue }
            endIfIdle(call.pointee.stream)
        }
    }

    /// Ends a stream that owes nothing, if no more is wanted of this connection.
    private func endIfIdle(_ stream: StreamHandle) {
        guard let reason = life.leaving, let call = calls[stream], call.pointee.streaming != nil,
            call.pointee.heldAnswers == 0
        else { return }
        finishCall(call, reason == .dismissed ? Self.shuttingDown : Self.retired)
    }
}
