import Testing

@testable import HTTP2

@Suite struct CallTests {
    @Test func unaryCallCarriesBodyHeadersAndTrailers() throws {
        let pair = Pair()
        let body = Array("0123456789".utf8)
        let headers = Pair.requestHeaders(
            Pair.path,
            [
                ("grpc-timeout", "250m"), ("authorization", "Bearer abc"),
                ("tollgate-deny", "status"), ("grpc-accept-encoding", "identity, gzip"),
                ("x-unknown", "ignored"),
            ])
        let call = try #require(pair.call(headers, body: body))
        _ = pair.toServer()

        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events == [.head, .end])
        let request = try #require(same(pair.server.request(stream))).pointee
        #expect(request.route == 0)
        #expect(request.isPost && request.acceptsTrailers && request.acceptsGzip)
        #expect(request.denyAsStatus && !request.isMalformed)
        #expect(request.contentType == .grpc && request.encoding == .absent)
        #expect(request.timeoutNanoseconds == 250_000_000)
        #expect(Array(pair.server.authorization(stream)) == Array("Bearer abc".utf8))
        #expect(Array(pair.server.input(stream)) == body)
        #expect(pair.nextOnServer() == nil)

        pair.server.output(stream)?.pointee.append(pair.server.input(stream))
        pair.server.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
        #expect(same(pair.server.request(stream)) == nil)
        pair.exchange()

        #expect(pair.clientEvents() == [call: [.head, .data, .end, .closed]])
        let response = try #require(same(pair.client.response(call)))
        #expect(response.httpStatus == 200 && response.grpcStatus == 0)
        #expect(response.contentType == .grpc)
        #expect(Array(pair.client.input(call)) == body)
        pair.client.release(call)
        #expect(pair.server.openStreamCount == 0)
        #expect(pair.server.bufferedInputBytes == 0 && pair.server.queuedOutputBytes == 0)
    }

    @Test func manyRoundsReuseTheSamePlaces() throws {
        let pair = Pair()
        for round in 0..<200 {
            let body = [UInt8](repeating: UInt8(round), count: 100 + round)
            var calls: [StreamHandle] = []
            for _ in 0..<32 { calls.append(try #require(pair.call(Pair.unary, body: body))) }
            _ = pair.toServer()
            #expect(pair.echo() == 32)
            pair.exchange()
            #expect(pair.clientEvents().count == 32)
            for call in calls {
                #expect(call.index < 32)
                #expect(Array(pair.client.input(call)) == body)
                pair.client.release(call)
            }
        }
        #expect(pair.server.finishedStreamCount == 6_400)
    }

    @Test func trailersOnlyAnswerIsOneFrame() throws {
        let pair = Pair()
        pair.exchange()
        let call = try #require(pair.call(Pair.unary, body: [1]))
        _ = pair.toServer()
        let (stream, _) = try #require(pair.nextOnServer())
        var fields = HeaderFields()
        Array("5".utf8).withUnsafeBytes { fields.append(name: "grpc-status", value: $0) }
        pair.server.reject(stream, headers: Pair.response.view, fields: fields)
        let output = pair.server.drain()
        #expect(frames(output).map(\.type) == [1])
        output.withUnsafeBytes { pair.client.receive($0, nowNanoseconds: 1) }
        #expect(pair.clientEvents() == [call: [.head, .end, .closed]])
        #expect(pair.client.response(call)?.grpcStatus == 5)
    }

    @Test func errorTrailersReachTheClient() throws {
        let pair = Pair()
        let call = try #require(pair.call(Pair.unary, body: [1]))
        _ = pair.toServer()
        let (stream, _) = try #require(pair.nextOnServer())
        var fields = HeaderFields()
        Array("13".utf8).withUnsafeBytes { fields.append(name: "grpc-status", value: $0) }
        Array("bad%20luck".utf8).withUnsafeBytes { fields.append(name: "grpc-message", value: $0) }
        Array("AAEC".utf8).withUnsafeBytes {
            fields.append(name: "grpc-status-details-bin", value: $0)
        }
        pair.server.output(stream)?.pointee.append(
            UnsafeRawBufferPointer(pair.server.input(stream)))
        pair.server.respond(stream, headers: Pair.response.view)
        pair.server.finish(stream, trailers: fields)
        pair.exchange()
        #expect(pair.clientEvents() == [call: [.head, .data, .end, .closed]])
        #expect(pair.client.response(call)?.grpcStatus == 13)
        #expect(Array(pair.client.message(call)) == Array("bad%20luck".utf8))
        #expect(Array(pair.client.details(call)) == Array("AAEC".utf8))
    }

    @Test(
        arguments: [
            (Pair.requestHeaders("/test.Service/Nope"), "route"),
            (
                HeaderBlock([
                    (":method", "GET"), (":scheme", "http"), (":path", Pair.path),
                    (":authority", "t"),
                ]), "method"
            ),
        ])
    func whatIsNoCallIsReportedAtOnceAndItsBodyDropped(headers: HeaderBlock, what: String) throws {
        let pair = Pair()
        let call = try #require(pair.call(headers, body: [1, 2, 3], finished: false))
        _ = pair.toServer()
        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events == .head, "\(what)")
        #expect(pair.server.input(stream).isEmpty)
        pair.server.reject(stream, headers: Pair.response.view, fields: HeaderFields())
        pair.exchange()
        // The answer ends before the request: RST_STREAM(NO_ERROR) asks for no more of it.
        #expect(pair.clientEvents() == [call: [.head, .end, .closed]])
        #expect(pair.client.errorCode(call) == 0)
        #expect(pair.server.openStreamCount == 0)
    }

    @Test(
        arguments: [
            ("application/grpc", ContentType.grpc), ("Application/GRPC", .grpc),
            ("APPLICATION/grpc+PROTO", .grpc), ("application/grpc;charset=utf-8", .grpc),
            ("application/grpc+proto; v=1", .grpc), ("application/grpc ;v=1", .grpc),
            ("application/grpc+json", .other), ("application/grpc+protobuf", .other),
            ("application/grpc-web", .other), ("application/grpc+", .other),
            ("application/grp", .other), ("application/grpcx", .other), ("", .other),
        ])
    func contentTypes(text: String, type: ContentType) {
        #expect(Array(text.utf8).withUnsafeBytes { FieldText.contentType($0) } == type)
    }

    @Test func theHeadOfARequestIsReportedBeforeItsBody() throws {
        let pair = Pair()
        let call = try #require(pair.call(Pair.unary, body: [1, 2, 3], finished: false))
        _ = pair.toServer()
        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events == .head)
        pair.client.push(call, finished: true)
        _ = pair.toServer()
        let (same, rest) = try #require(pair.nextOnServer())
        #expect(same == stream && rest == .end)
        #expect(Array(pair.server.input(stream)) == [1, 2, 3])
        pair.server.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
        pair.exchange()
        #expect(pair.clientEvents()[call]?.contains(.end) == true)
    }

    @Test func repeatedAuthorizationOrUnreadableTimeoutIsMalformed() throws {
        for extra in [
            [("authorization", "Bearer a"), ("authorization", "Bearer b")],
            [("grpc-timeout", "123456789S")], [("grpc-timeout", "1x")], [("grpc-timeout", "S")],
        ] {
            let pair = Pair()
            _ = try #require(pair.call(Pair.requestHeaders(Pair.path, extra), body: [1]))
            _ = pair.toServer()
            let (stream, _) = try #require(pair.nextOnServer())
            #expect(pair.server.request(stream)?.pointee.isMalformed == true)
        }
    }

    @Test func cancelledCallIsReportedAndKeepsItsPlaceUntilReleased() throws {
        var configuration = SessionConfiguration()
        configuration.maximumConcurrentStreams = 1
        let pair = Pair(server: configuration)
        let call = try #require(pair.call(Pair.unary, body: [1]))
        pair.exchange()
        let (stream, _) = try #require(pair.nextOnServer())
        pair.client.release(call)
        pair.exchange()
        let (again, events) = try #require(pair.nextOnServer())
        #expect(again == stream && events == .closed)
        #expect(!same(pair.server.isOpen(stream)))

        // The work still runs, so a second stream is refused ...
        let refused = try #require(pair.call(Pair.unary, body: [1]))
        pair.exchange()
        #expect(pair.clientEvents()[refused] == .closed)
        #expect(pair.client.errorCode(refused) == HTTP2ErrorCode.refusedStream)
        pair.client.release(refused)

        // ... until the late answer, which goes nowhere, has given the place back.
        pair.server.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
        let third = try #require(pair.call(Pair.unary, body: [3]))
        pair.exchange()
        #expect(pair.echo() == 1)
        pair.exchange()
        #expect(pair.clientEvents()[third] == [.head, .data, .end, .closed])
    }

    @Test func transportLossReportsEveryHeldStreamOnce() throws {
        let pair = Pair()
        for _ in 0..<3 { _ = try #require(pair.call(Pair.unary, body: [1])) }
        pair.exchange()
        var held: [StreamHandle] = []
        while let (stream, _) = pair.server.nextReady() { held.append(stream) }
        #expect(held.count == 3)
        pair.server.abandon()
        var closed: [StreamHandle] = []
        while let (stream, events) = pair.server.nextReady() {
            #expect(events == .closed)
            closed.append(stream)
            pair.server.release(stream)
        }
        #expect(closed == held)
        #expect(same(pair.server.isFinished))
    }
}
