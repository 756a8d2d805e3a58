internal import HTTP2
internal import NIOCore

/// Calls: from a request's fields to its answer.
extension ConnectionHandler {
    func handle(_ stream: StreamHandle, _ events: StreamEvents) {
        if events.contains(.closed) { return closed(stream) }
        let index = Int(stream.index)
        if index < calls.count, let active = calls[index] {
            if active.streaming != nil { continueStream(stream, events) }
            return  // a unary call that waits for its answer
        }
        guard let head = session.request(stream) else { return }
        if let failure = refusal(stream, head, events) { return fail(stream, failure) }
        guard head.contentType == .grpc, head.isPost else { return }  // answered by `refusal`
        begin(stream, head, events)
    }

    /// Judges a request before its method is asked.
    ///
    /// - Returns: why it fails; nil: it does not, or it was no gRPC call and is answered already.
    private func refusal(
        _ stream: StreamHandle, _ head: RequestHead, _ events: StreamEvents
    ) -> GRPCFailure? {
        guard head.contentType == .grpc else {
            rejectHTTP(stream, ReplyHeaders.unsupportedMediaType)
            return nil
        }
        guard head.isPost else {
            rejectHTTP(stream, ReplyHeaders.methodNotAllowed)
            return nil
        }
        if head.route < 0 { return GRPCFailure(.unimplemented, "unknown method") }
        if head.isMalformed {
            return GRPCFailure(.internal, "malformed grpc-timeout or repeated metadata")
        }
        if head.encoding == .gzip || head.encoding == .unknown {
            return GRPCFailure(.unimplemented, "grpc-encoding is not supported, send identity")
        }
        if events.contains(.overflow) {
            return GRPCFailure(.resourceExhausted, "the request message is too large")
        }
        return nil
    }

    private func rejectHTTP(_ stream: StreamHandle, _ headers: HeaderBlock) {
        loop.fields.removeAll()
        session.reject(stream, headers: headers.view, fields: loop.fields)
    }

    private func begin(_ stream: StreamHandle, _ head: RequestHead, _ events: StreamEvents) {
        let method = Int(head.route)
        let deadline = deadlineNanoseconds(head)
        guard deadline > nowNanoseconds else { return fail(stream, Self.deadlineExceeded) }
        prepareCall(stream, head, method: method, deadline: deadline)
        switch loop.limits[method].kind {
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

    private func deadlineNanoseconds(_ head: RequestHead) -> UInt64 {
        guard head.timeoutNanoseconds >= 0 else { return .max }
        let (deadline, overflow) = head.receivedNanoseconds.addingReportingOverflow(
            UInt64(head.timeoutNanoseconds))
        return overflow ? .max : deadline
    }

    /// Fills the loop's call context for a request of `stream`.
    func prepareCall(
        _ stream: StreamHandle, _ head: RequestHead, method: Int, deadline: UInt64,
        sequence: UInt32 = 0
    ) {
        loop.call.values = CallContext.Values(
            method: method, token: token(stream, sequence: sequence),
            nowNanoseconds: nowNanoseconds, deadlineNanoseconds: deadline,
            authorization: session.authorization(stream), denyAsStatus: head.denyAsStatus,
            connection: self)
    }

    func token(_ stream: StreamHandle, sequence: UInt32 = 0) -> CallToken {
        CallToken(
            connection: place.index, connectionGeneration: place.generation, stream: stream,
            sequence: sequence)
    }

    /// The one message of a request; nil: there is not exactly one, and the call has been failed.
    private func singleRequest(_ stream: StreamHandle, _ method: Int) -> UnsafeRawBufferPointer? {
        let body = session.input(stream)
        let limit = loop.limits[method].maximumRequestBytes
        switch GRPCFraming.parse(body, maximumBytes: limit) {
        case .complete(let request, let consumed) where consumed == body.count:
            return request
        case .complete:
            fail(stream, GRPCFailure(.unimplemented, "more than one request message"))
        case .incomplete where body.isEmpty:
            fail(stream, GRPCFailure(.unimplemented, "no request message"))
        case .incomplete:
            fail(stream, Self.cutShort)
        case .compressed:
            fail(stream, Self.compressed)
        case .tooLarge:
            fail(stream, Self.tooLarge)
        }
        return nil
    }

    private func decideUnary(
        _ stream: StreamHandle, _ request: UnsafeRawBufferPointer, method: Int, deadline: UInt64
    ) {
        guard let output = session.output(stream) else { return }
        var response = ResponseBuffer(output)
        switch service.unary(loop.call, request: request, response: &response) {
        case .done:
            response.close()
            session.respond(stream, headers: loop.okHeaders, trailers: loop.okTrailers)
        case .pending:
            response.cancel()
            activate(
                ActiveCall(
                    stream: stream, method: method, deadlineNanoseconds: deadline, streaming: nil))
        case .failed(let failure):
            response.cancel()
            fail(stream, failure)
        }
    }

    // MARK: Answers that come later

    func complete(
        _ token: CallToken, _ encode: (inout ResponseBuffer) -> GRPCFailure?
    ) -> Delivery {
        guard let active = activeCall(token.stream) else { return .gone }
        guard active.deadlineNanoseconds > NIODeadline.now().uptimeNanoseconds else {
            finishCall(token.stream, Self.deadlineExceeded)
            return .expired
        }
        if let streaming = active.streaming {
            return completeMessage(token, streaming, encode)
        }
        guard let output = session.output(token.stream), session.isOpen(token.stream) else {
            return .gone
        }
        var response = ResponseBuffer(output)
        if let failure = encode(&response) {
            response.cancel()
            finishCall(token.stream, failure)
        } else {
            response.close()
            deactivate(token.stream)
            session.respond(token.stream, headers: loop.okHeaders, trailers: loop.okTrailers)
        }
        return .delivered
    }

    func activeCall(_ stream: StreamHandle) -> ActiveCall? {
        let index = Int(stream.index)
        guard index >= 0, index < calls.count, let active = calls[index], active.stream == stream
        else { return nil }
        return active
    }

    func activate(_ call: ActiveCall) {
        let index = Int(call.stream.index)
        while calls.count <= index { calls.append(nil) }
        calls[index] = call
        activeCalls += 1
    }

    func deactivate(_ stream: StreamHandle) {
        guard activeCall(stream) != nil else { return }
        calls[Int(stream.index)] = nil
        activeCalls -= 1
    }

    /// Ends the calls whose deadline has passed.
    func expireCalls(nowNanoseconds now: UInt64) {
        var anyExpired = false
        for index in calls.indices {
            guard let active = calls[index], active.deadlineNanoseconds <= now else { continue }
            finishCall(active.stream, Self.deadlineExceeded)
            anyExpired = true
        }
        if anyExpired { run() }
    }

    // MARK: Ends

    /// Ends an active call with a status.
    ///
    /// - Parameter failure: nil: OK.
    func finishCall(_ stream: StreamHandle, _ failure: GRPCFailure?) {
        guard let active = activeCall(stream) else { return }
        deactivate(stream)
        guard let streaming = active.streaming else {
            return fail(stream, failure ?? GRPCFailure(.internal, "no answer"))
        }
        if let failure {
            if streaming.isStarted {
                ReplyHeaders.fill(&loop.fields, with: failure)
                session.finish(stream, trailers: loop.fields)
            } else {
                fail(stream, failure)
            }
        } else {
            startAnswers(stream, streaming)
            session.finish(stream, trailers: loop.okTrailers)
        }
        service.streamClosed(token(stream))
    }

    /// Answers with a status alone (Trailers-Only).
    func fail(_ stream: StreamHandle, _ failure: GRPCFailure) {
        ReplyHeaders.fill(&loop.fields, with: failure)
        if failure.code == .unimplemented {
            [UInt8]("identity".utf8).withUnsafeBytes {
                loop.fields.append(name: "grpc-accept-encoding", value: $0)
            }
        }
        session.reject(stream, headers: loop.okHeaders, fields: loop.fields)
    }

    /// The peer has reset the stream, or the connection is gone.
    func closed(_ stream: StreamHandle) {
        let active = activeCall(stream)
        deactivate(stream)
        session.release(stream)
        if active?.streaming != nil { service.streamClosed(token(stream)) }
    }

    static let deadlineExceeded = GRPCFailure(.deadlineExceeded, "the deadline has passed")
    static let cutShort = GRPCFailure(.internal, "the request message is cut short")
    static let compressed = GRPCFailure(.internal, "a compressed message without grpc-encoding")
    static let tooLarge = GRPCFailure(.resourceExhausted, "the request message is too large")
}
