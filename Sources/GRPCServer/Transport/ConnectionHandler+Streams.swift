internal import HTTP2

/// Streaming calls.
extension ConnectionHandler {
    // MARK: Opening

    func openServerStream(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64
    ) {
        calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                life: .stream(.serverStreaming),
                streaming: ActiveStream(compresses: loop.call.values.pointee.compresses)))
        loop.counts.addRequest(method)
        let failure = service.watch(loop.call, request: request)
        noteCaller(method, failure)
        guard let call = calls[stream] else { return }  // ended within `watch`
        if let failure { return perform(call.pointee.life.refused(), call, failure) }
        startAnswers(call)
        endIfIdle(stream)
    }

    func openRequestStream(
        _ stream: StreamHandle, _ events: StreamEvents, method: Int, deadline: UInt64
    ) {
        if let failure = service.streamOpened(loop.call) { return fail(stream, failure) }
        noteCaller(method, nil)
        let kind = loop.limits[method].kind
        let call = calls.add(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline, life: .stream(kind),
                streaming: ActiveStream(compresses: loop.call.values.pointee.compresses)))
        if kind == .bidirectional { startAnswers(call) }
        perform(call.pointee.life.arrived(events), call)
        endIfIdle(stream)
    }

    /// Sends the response's head, once.
    private func startAnswers(_ call: UnsafeMutablePointer<ActiveCall>) {
        if call.pointee.life.start() { sendHead(call) }
    }

    func sendHead(_ call: UnsafeMutablePointer<ActiveCall>) {
        let isPacked = call.pointee.streaming?.compresses ?? false
        session.respond(
            call.pointee.stream, headers: isPacked ? loop.gzipHeaders : loop.okHeaders)
    }

    // MARK: Requests

    /// Does what follows from what the session reported.
    func perform(_ arrival: CallLifecycle.Arrival, _ call: UnsafeMutablePointer<ActiveCall>) {
        switch arrival {
        case .nothing, .begin: break
        case .take: takeMessages(call)
        case .writable: service.streamWritable(token(call.pointee.stream))
        case .overflow: endInTurn(call, Self.tooLarge)
        }
    }

    /// Ends a stream after the answers that are parked.
    private func endInTurn(_ call: UnsafeMutablePointer<ActiveCall>, _ failure: GRPCFailure) {
        perform(call.pointee.life.fail(failure), call, failure)
    }

    /// The call of a stream from which messages may still be taken.
    private func openCall(_ stream: StreamHandle) -> UnsafeMutablePointer<ActiveCall>? {
        guard let call = calls[stream], call.pointee.life.takesRequests else { return nil }
        return call
    }

    /// Hands the messages that have come to the service, as many as may be unanswered.
    func takeMessages(_ call: UnsafeMutablePointer<ActiveCall>) {
        guard call.pointee.life.takesRequests, !isPutOff, let streaming = call.pointee.streaming
        else { return }
        let stream = call.pointee.stream
        // What the service sends meanwhile is written when it is done.
        let wasRunning = isRunning
        isRunning = true
        defer { isRunning = wasRunning }
        while let call = openCall(stream), let output = session.output(stream) {
            guard Int(call.pointee.life.parkedAnswers) < loop.configuration.maximumUnanswered,
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
                conclude(call, streaming, isCutShort: !body.isEmpty, output)
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
            guard let call = calls.call(at: index) else { continue }
            takeMessages(call)
            if isPutOff {
                firstToContinue = index + 1
                return
            }
        }
    }

    /// One request of a stream. False: it was put off, and stays where it is.
    private func take(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: ActiveStream,
        _ request: UnsafeRawBufferPointer, _ output: UnsafeMutablePointer<ByteQueue>
    ) -> Bool {
        let stream = call.pointee.stream
        guard let head = session.request(stream) else { return true }
        prepareCall(
            stream, head, method: call.pointee.method, deadline: call.pointee.deadlineNanoseconds)
        let undo = AnswerUndo(loop)
        // Whether this answer must wait is known only when it is there; most either all do or none.
        let target = call.pointee.life.parkedAnswers > 0 ? streaming.waiting : output
        let start = target.pointee.count
        var response = ResponseBuffer(target)
        let outcome = service.message(loop.call, request: request, response: &response)
        let isParked = loop.call.values.pointee.isParked
        var failed: GRPCFailure?
        if !isParked, isLate(call.pointee.deadlineNanoseconds) {
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
        case .done where call.pointee.life.kind == .clientStreaming:
            response.cancel()
        case .done:
            response.close()
            if streaming.compresses { pack(response) }
        case .failed(let failure):
            response.cancel()
            failed = failure
        }
        loop.counts.addRequest(call.pointee.method)
        file(
            call, streaming, failed, from: target, start: start, isParked: isParked,
            kept(undo, failed))
        return true
    }

    /// Puts an answer that was written to `source`, from `start` on, where it waits, if it must.
    private func file(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: ActiveStream,
        _ failure: GRPCFailure?,
        from source: UnsafeMutablePointer<ByteQueue>, start: Int, isParked: Bool,
        _ undo: consuming AnswerUndo
    ) {
        let waiting = streaming.waiting
        switch call.pointee.life.decided(failure, isParked: isParked) {
        case .none:
            undo.forget()
        case .ends(let actions):
            undo.forget()
            perform(actions, call, failure)
        case .leaves:
            undo.forget()
            answeredAtOnce &+= 1
        case .follows:
            undo.forget()
            let bytes = waiting.pointee.count - start
            parkedBytes += bytes
            loop.extendParked(streaming.lastParked, answerBytes: bytes)
        case .waits:
            if source != waiting {
                let answer = source.pointee.readable[start...]
                waiting.pointee.append(UnsafeRawBufferPointer(rebasing: answer))
                source.pointee.truncate(to: start)
            }
            let bytes = waiting.pointee.count - (source == waiting ? start : 0)
            streaming.lastParked = park(call.pointee.stream, answerBytes: bytes, undo)
        }
    }

    /// No message is left that is complete.
    private func conclude(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: ActiveStream, isCutShort: Bool,
        _ output: UnsafeMutablePointer<ByteQueue>
    ) {
        guard let head = session.request(call.pointee.stream) else { return }
        switch call.pointee.life.ranDry(isCutShort: isCutShort) {
        case .nothing: break
        case .cutShort: endInTurn(call, Self.cutShort)
        case .finish: finishCall(call, nil)
        case .ask(let waits): ask(call, streaming, head, output, waits: waits)
        }
    }

    /// Has a client stream answered.
    ///
    /// - Parameter waits: the answer must wait for the disk.
    private func ask(
        _ call: UnsafeMutablePointer<ActiveCall>, _ streaming: ActiveStream,
        _ head: UnsafePointer<RequestHead>, _ output: UnsafeMutablePointer<ByteQueue>, waits: Bool
    ) {
        prepareCall(
            call.pointee.stream, head, method: call.pointee.method,
            deadline: call.pointee.deadlineNanoseconds)
        if waits { loop.call.park() }
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
            failure = GRPCFailure(.unavailable, "the server is overloaded")
        }
        let isParked = loop.call.values.pointee.isParked
        if !isParked {
            answeredAtOnce &+= 1
            if isLate(call.pointee.deadlineNanoseconds) {
                response.cancel()
                undo.withdraw()
                return finishCall(call, Self.deadlineExceeded)
            }
        }
        let actions = call.pointee.life.concluded(failure, isParked: isParked)
        if isParked {
            // The head was not sent, so nothing of the output leaves.
            streaming.lastParked = park(
                call.pointee.stream, answerBytes: output.pointee.count, kept(undo, failure))
        } else {
            kept(undo, failure).forget()
        }
        perform(actions, call, failure)
    }

    // MARK: Answers

    /// Moves what waits beside a stream's output, up to the end of `answer`, into it.
    func move(_ answer: ParkedAnswer, of call: UnsafeMutablePointer<ActiveCall>) {
        guard let waiting = call.pointee.streaming?.waiting,
            let output = session.output(answer.stream)
        else { return }
        let count = Int(answer.answerBytes)
        output.pointee.append(UnsafeRawBufferPointer(rebasing: waiting.pointee.readable[..<count]))
        waiting.pointee.consume(
            count, retaining: loop.configuration.session.retainedBufferBytes)
    }

    func push(_ token: CallToken, _ encode: (inout ResponseBuffer) -> Void) -> PushResult {
        guard let call = calls[token.stream], call.pointee.life.isPushed,
            session.isOpen(token.stream),
            let output = session.output(token.stream)
        else { return .gone }
        guard output.pointee.count <= loop.configuration.maximumStreamOutputBytes else {
            session.push(token.stream, notify: true)
            return .congested
        }
        var response = ResponseBuffer(output)
        encode(&response)
        response.close()
        if call.pointee.streaming?.compresses == true { pack(response) }
        startAnswers(call)
        session.push(token.stream)
        return .sent
    }

    func end(_ token: CallToken, _ failure: GRPCFailure?) {
        guard let call = calls[token.stream], call.pointee.life.isPushed else { return }
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
    func endIfIdle(_ stream: StreamHandle) {
        guard let reason = life.leaving, let call = calls[stream], call.pointee.life.owesNothing
        else { return }
        finishCall(call, reason == .dismissed ? Self.shuttingDown : Self.retired)
    }
}
