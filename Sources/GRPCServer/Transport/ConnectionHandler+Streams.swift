internal import HTTP2

/// The state of a streaming call.
final class StreamCall {
    let kind: MethodKind
    /// The next request's place in the call.
    var nextRequest: UInt32 = 0
    /// The place of the next answer that may leave.
    var nextAnswer: UInt32 = 0
    /// Answers that are complete before their turn, prefix included.
    var early: [UInt32: [UInt8]] = [:]
    /// The response's head was sent.
    var isStarted = false
    var isHalfClosed = false
    /// Messages are being handed to the service, which may complete earlier ones meanwhile.
    var isTaking = false
    /// A client stream's one answer was asked for.
    var isConcluding = false

    init(kind: MethodKind) { self.kind = kind }

    var unanswered: Int { Int(nextRequest &- nextAnswer) }
}

/// Streaming calls.
extension ConnectionHandler {
    // MARK: Opening

    func openServerStream(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64
    ) {
        let streaming = StreamCall(kind: .serverStreaming)
        activate(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                streaming: streaming))
        if let failure = service.watch(loop.call, request: request) {
            deactivate(stream)
            return fail(stream, failure)
        }
        guard activeCall(stream) != nil else { return }  // ended within `watch`
        startAnswers(stream, streaming)
    }

    func openRequestStream(
        _ stream: StreamHandle, _ events: StreamEvents, method: Int, deadline: UInt64
    ) {
        if let failure = service.streamOpened(loop.call) { return fail(stream, failure) }
        let streaming = StreamCall(kind: loop.limits[method].kind)
        activate(
            ActiveCall(
                stream: stream, method: method, deadlineNanoseconds: deadline,
                streaming: streaming))
        if streaming.kind == .bidirectional { startAnswers(stream, streaming) }
        continueStream(stream, events)
    }

    /// Sends the response's head, once.
    func startAnswers(_ stream: StreamHandle, _ streaming: StreamCall) {
        guard !streaming.isStarted else { return }
        streaming.isStarted = true
        session.respond(stream, headers: loop.okHeaders)
    }

    // MARK: Requests

    func continueStream(_ stream: StreamHandle, _ events: StreamEvents) {
        guard let active = activeCall(stream), let streaming = active.streaming else { return }
        if events.contains(.overflow) { return finishCall(stream, Self.tooLarge) }
        if events.contains(.end) { streaming.isHalfClosed = true }
        guard streaming.kind != .serverStreaming else {
            if events.contains(.writable) { service.streamWritable(token(stream)) }
            return
        }
        takeMessages(stream, active, streaming)
    }

    /// Hands the messages that have come to the service, as many as may be unanswered.
    private func takeMessages(
        _ stream: StreamHandle, _ active: ActiveCall, _ streaming: StreamCall
    ) {
        guard !streaming.isTaking else { return }
        streaming.isTaking = true
        defer { streaming.isTaking = false }
        while activeCall(stream) != nil, let output = session.output(stream) {
            guard streaming.unanswered < loop.configuration.maximumUnanswered else { break }
            guard output.pointee.count <= loop.configuration.maximumStreamOutputBytes else {
                return session.push(stream, notify: true)
            }
            let body = session.input(stream)
            let limit = loop.limits[active.method].maximumRequestBytes
            switch GRPCFraming.parse(body, maximumBytes: limit) {
            case .complete(let request, let consumed):
                take(stream, active, streaming, request)
                session.consume(stream, byteCount: consumed)
            case .incomplete:
                if streaming.isHalfClosed { conclude(stream, active, streaming, body) }
                if activeCall(stream) != nil { session.push(stream) }
                return
            case .compressed:
                return finishCall(stream, Self.compressed)
            case .tooLarge:
                return finishCall(stream, Self.tooLarge)
            }
        }
        session.push(stream)
    }

    /// One request of a stream.
    private func take(
        _ stream: StreamHandle, _ active: ActiveCall, _ streaming: StreamCall,
        _ request: UnsafeRawBufferPointer
    ) {
        guard let head = session.request(stream) else { return }
        let sequence = streaming.nextRequest
        streaming.nextRequest &+= 1
        prepareCall(
            stream, head, method: active.method, deadline: active.deadlineNanoseconds,
            sequence: sequence)
        let isInTurn = sequence == streaming.nextAnswer
        guard let output = isInTurn ? session.output(stream) : loop.scratch else { return }
        if !isInTurn { output.pointee.reset(retaining: 64 * 1024) }
        var response = ResponseBuffer(output)
        switch service.message(loop.call, request: request, response: &response) {
        case .done where streaming.kind == .clientStreaming:
            response.cancel()
            streaming.nextAnswer &+= 1
        case .done:
            response.close()
            if isInTurn {
                streaming.nextAnswer &+= 1
            } else {
                streaming.early[sequence] = Array(output.pointee.readable)
            }
        case .pending:
            response.cancel()
        case .failed(let failure):
            response.cancel()
            finishCall(stream, failure)
        }
    }

    /// The client has sent its last message.
    private func conclude(
        _ stream: StreamHandle, _ active: ActiveCall, _ streaming: StreamCall,
        _ rest: UnsafeRawBufferPointer
    ) {
        guard rest.isEmpty else { return finishCall(stream, Self.cutShort) }
        guard streaming.unanswered == 0 else { return }
        guard streaming.kind == .clientStreaming else { return finishCall(stream, nil) }
        guard !streaming.isConcluding, let head = session.request(stream),
            let output = session.output(stream)
        else { return }
        streaming.isConcluding = true
        prepareCall(
            stream, head, method: active.method, deadline: active.deadlineNanoseconds,
            sequence: streaming.nextRequest)
        var response = ResponseBuffer(output)
        switch service.halfClosed(loop.call, response: &response) {
        case .done:
            response.close()
            finishCall(stream, nil)
        case .pending:
            response.cancel()
            streaming.nextRequest &+= 1
        case .failed(let failure):
            response.cancel()
            finishCall(stream, failure)
        }
    }

    // MARK: Answers

    /// An answer to one request of a stream has come; it leaves in its turn.
    func completeMessage(
        _ token: CallToken, _ streaming: StreamCall,
        _ encode: (inout ResponseBuffer) -> GRPCFailure?
    ) -> Delivery {
        let stream = token.stream
        let ahead = token.sequence &- streaming.nextAnswer
        guard session.isOpen(stream), Int(ahead) < streaming.unanswered,
            streaming.early[token.sequence] == nil
        else { return .gone }
        let isInTurn = ahead == 0
        guard let output = isInTurn ? session.output(stream) : loop.scratch else { return .gone }
        if !isInTurn { output.pointee.reset(retaining: 64 * 1024) }
        var response = ResponseBuffer(output)
        if let failure = encode(&response) {
            response.cancel()
            finishCall(stream, failure)
            return .delivered
        }
        response.close()
        guard isInTurn else {
            streaming.early[token.sequence] = Array(output.pointee.readable)
            return .delivered
        }
        streaming.nextAnswer &+= 1
        while let next = streaming.early.removeValue(forKey: streaming.nextAnswer) {
            next.withUnsafeBytes { output.pointee.append($0) }
            streaming.nextAnswer &+= 1
        }
        if streaming.isConcluding {
            finishCall(stream, nil)
        } else {
            continueStream(stream, [])
        }
        return .delivered
    }

    func push(_ token: CallToken, _ encode: (inout ResponseBuffer) -> Void) -> PushResult {
        guard let active = activeCall(token.stream), let streaming = active.streaming,
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
        startAnswers(token.stream, streaming)
        session.push(token.stream)
        return .sent
    }

    func end(_ token: CallToken, _ failure: GRPCFailure?) {
        guard activeCall(token.stream)?.streaming?.kind == .serverStreaming else { return }
        finishCall(token.stream, failure)
    }

    // MARK: Drain

    /// Ends the streams that would never end by themselves.
    func endIdleStreams() {
        for index in calls.indices {
            guard let active = calls[index], let streaming = active.streaming,
                streaming.unanswered == 0
            else { continue }
            finishCall(active.stream, GRPCFailure(.unavailable, "the server is shutting down"))
        }
    }
}
