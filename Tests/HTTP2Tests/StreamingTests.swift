import Testing

@testable import HTTP2

@Suite struct StreamingTests {
    @Test func bidirectionalStreamPassesPartsAsTheyCome() throws {
        let pair = Pair()
        let call = try #require(pair.call(Pair.streaming, body: [1, 2, 3], finished: false))
        pair.exchange()
        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events == [.head, .data])
        pair.server.respond(stream, headers: Pair.response.view)

        for round in UInt8(0)..<50 {
            let expected: [UInt8] = round == 0 ? [1, 2, 3] : [round, round]
            #expect(Array(pair.server.input(stream)) == expected)
            pair.server.output(stream)?.pointee.append(pair.server.input(stream))
            pair.server.consume(stream, byteCount: expected.count)
            pair.server.push(stream)
            pair.exchange()
            let reported = pair.clientEvents()[call]
            #expect(reported?.contains(.data) == true)
            #expect(Array(pair.client.input(call)) == expected)
            pair.client.consume(call, byteCount: expected.count)
            [round + 1, round + 1].withUnsafeBytes { pair.client.output(call)?.pointee.append($0) }
            pair.client.push(call, finished: round == 49)
            pair.exchange()
            let (same, more) = try #require(pair.nextOnServer())
            #expect(same == stream)
            #expect(more == (round == 49 ? [.data, .end] : .data))
        }
        pair.server.finish(stream, trailers: Pair.ok.view)
        pair.exchange()
        #expect(pair.clientEvents()[call] == [.end, .closed])
        #expect(pair.client.response(call)?.grpcStatus == 0)
    }

    @Test func unreadRequestBytesHoldTheSenderBack() throws {
        var configuration = SessionConfiguration()
        configuration.streamWindowBytes = 70_000
        let pair = Pair(server: configuration)
        pair.exchange()
        let body = [UInt8](repeating: 9, count: 300_000)
        let call = try #require(pair.call(Pair.streaming, body: body))
        pair.exchange()
        let (stream, _) = try #require(pair.nextOnServer())
        #expect(pair.server.input(stream).count == 70_000)
        #expect(pair.client.queuedOutputBytes == 230_000)

        var received = 0
        while received < body.count {
            let count = pair.server.input(stream).count
            #expect(count > 0 && count <= 70_000)
            received += count
            pair.server.consume(stream, byteCount: count)
            pair.exchange()
        }
        #expect(pair.client.queuedOutputBytes == 0)
        pair.server.finish(stream, trailers: Pair.ok.view)
        pair.client.release(call)
    }

    @Test func slowReaderOfAnswersLeavesThemQueued() throws {
        var window = SessionConfiguration()
        window.streamWindowBytes = 1_000
        let pair = Pair(client: window)
        let call = try #require(pair.call(Pair.streaming, body: [1], finished: false))
        pair.exchange()
        let (stream, _) = try #require(pair.nextOnServer())
        pair.server.respond(stream, headers: Pair.response.view)
        [UInt8](repeating: 5, count: 10_000).withUnsafeBytes {
            pair.server.output(stream)?.pointee.append($0)
        }
        pair.server.push(stream, notify: true)
        pair.exchange()
        #expect(pair.server.queuedOutputBytes == 9_000)
        #expect(pair.nextOnServer() == nil)

        while pair.client.input(call).count > 0 {
            pair.client.consume(call, byteCount: pair.client.input(call).count)
            pair.exchange()
        }
        #expect(pair.server.queuedOutputBytes == 0)
        let (same, events) = try #require(pair.nextOnServer())
        #expect(same == stream && events == .writable)
        pair.server.finish(stream, trailers: Pair.ok.view)
        pair.exchange()
        #expect(pair.clientEvents()[call]?.contains(.end) == true)
    }

    @Test func bodyLargerThanTheWindowArrivesWholeWhereTheRouteAllowsIt() throws {
        let pair = Pair()
        let body = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0) }
        let call = try #require(pair.call(Pair.large, body: body))
        pair.exchange()
        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events == [.head, .end])
        let whole = Array(pair.server.input(stream)) == body
        #expect(whole)
        pair.server.finish(stream, trailers: Pair.ok.view)
        pair.client.release(call)
    }

    @Test func bodyAboveTheRoutesLimitIsCutOff() throws {
        let pair = Pair()
        let call = try #require(pair.call(Pair.unary, body: [UInt8](repeating: 1, count: 66_000)))
        pair.exchange()
        let (stream, events) = try #require(pair.nextOnServer())
        #expect(events.contains(.overflow))
        pair.server.reject(stream, headers: Pair.response.view, fields: HeaderFields())
        pair.exchange()
        #expect(pair.clientEvents()[call]?.contains(.closed) == true)
        #expect(pair.server.bufferedInputBytes == 0)
    }

    @Test func bytesBufferedOverAllStreamsAreBounded() throws {
        var configuration = SessionConfiguration()
        configuration.maximumBufferedInputBytes = 100_000
        let pair = Pair(server: configuration)
        pair.exchange()
        for _ in 0..<4 {
            _ = try #require(
                pair.call(Pair.unary, body: [UInt8](repeating: 1, count: 40_000), finished: false))
            pair.exchange()
        }
        var cut = 0
        while let (stream, events) = pair.server.nextReady() {
            guard events.contains(.overflow) else { continue }
            cut += 1
            pair.server.reset(stream, code: HTTP2ErrorCode.enhanceYourCalm)
        }
        #expect(cut == 2)
        #expect(pair.server.bufferedInputBytes <= 100_000)
    }

    /// Its answer proves that the GOAWAY in front of it was read.
    @Test func thePingOfADrainFollowsItsGoAway() {
        let session = server()
        _ = session.answer(Wire.opened)
        session.announceShutdown()
        let said = frames(session.drain())
        #expect(said.map(\.type) == [7, 6])
        #expect(said.first?.payload == [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])
        #expect(said.last?.flags == 0)
        session.refuseNewStreams()
        #expect(frames(session.drain()).map(\.type) == [7], "no PING behind the last one")
    }

    @Test func drainLetsRunningCallsFinish() throws {
        let pair = Pair()
        let call = try #require(pair.call(Pair.unary, body: [1]))
        pair.exchange()
        let (stream, _) = try #require(pair.nextOnServer())

        pair.server.announceShutdown()
        pair.exchange()
        #expect(same(pair.client.takeEvents()).contains(.goAway))
        #expect(same(pair.server.takeEvents()).contains(.pingAcknowledged))
        #expect(!same(pair.client.acceptsRequests))
        pair.server.refuseNewStreams()
        pair.exchange()
        #expect(!same(pair.server.isFinished))

        pair.server.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
        pair.exchange()
        #expect(pair.clientEvents()[call] == [.head, .end, .closed])
        #expect(pair.client.response(call)?.grpcStatus == 0)
        #expect(same(pair.server.isFinished))
    }
}
