import Testing

@testable import HTTP2

/// Fields of a request that its answer carries back.
@Suite struct EchoTests {
    private func echoing(_ fields: [EchoedField]) -> ServerSession {
        let routes = RouteTable(
            [MethodRoute(path: Pair.path, maximumBodyBytes: 1_024, streamsRequests: false)],
            echoing: fields)
        return ServerSession(
            configuration: SessionConfiguration(), memory: SessionMemory(), routes: routes)
    }

    /// The texts of literal fields that a frame holds; the server's encoder uses Huffman coding where that is shorter, so
    /// the values are of bytes that it leaves alone.
    private func holds(_ payload: [UInt8], _ text: String) -> Bool {
        let wanted = Array(text.utf8)
        return payload.indices.contains { payload[$0...].starts(with: wanted) }
    }

    @Test func theAnswerCarriesBackWhatItIsToldTo() throws {
        let session = echoing([EchoedField("x-mark"), EchoedField("x-last-bin", isTrailer: true)])
        _ = session.answer(.opened)
        // The second request has none of them, in the same record: nothing of the first is left.
        for (stream, marks) in [(UInt32(1), ["{}{}{}"]), (3, []), (5, ["|||||", "~~~~~"])] {
            var wire = Wire()
            let extra = marks.flatMap { Wire.field("x-mark", $0) + Wire.field("x-last-bin", $0) }
            wire.frame(
                type: 1, flags: 0x5, stream: stream,
                Wire.head(extra: extra + Wire.field("x-o", "^^^^^")))
            wire.bytes.withUnsafeBytes { session.take($0, nowNanoseconds: 1) }
            let (handle, _) = try #require(same(session.nextReady()))
            session.respond(handle, headers: Pair.response.view, trailers: Pair.ok.view)
            let heads = frames(session.drain()).filter { $0.type == 1 && $0.stream == stream }
            #expect(heads.count == 2)
            for head in heads {
                for mark in ["{}{}{}", "|||||", "~~~~~"] {
                    #expect(holds(head.payload, mark) == marks.contains(mark), "\(stream) \(mark)")
                }
                #expect(!holds(head.payload, "^^^^^"))
            }
            #expect(session.waitingBytes == 0)
        }
    }

    /// It is not sent back; of several fields of a name the values stand behind each other.
    @Test func whatIsKeptCanBeAskedFor() throws {
        let (mark, other) = (KeptField("x-mark"), KeptField("x-other"))
        let routes = RouteTable(
            [MethodRoute(path: Pair.path, maximumBodyBytes: 1_024, streamsRequests: false)],
            keeping: [mark, other])
        let session = ServerSession(
            configuration: SessionConfiguration(), memory: SessionMemory(), routes: routes)
        _ = session.answer(.opened)
        // The second request has none, in the same record: nothing of the first is left.
        for (stream, marks) in [(UInt32(1), ["{}{}{}", "|||||"]), (3, [])] {
            var wire = Wire()
            wire.frame(
                type: 1, flags: 0x5, stream: stream,
                Wire.head(extra: marks.flatMap { Wire.field("x-mark", $0) }))
            wire.bytes.withUnsafeBytes { session.take($0, nowNanoseconds: 1) }
            let (handle, _) = try #require(same(session.nextReady()))
            #expect(session.kept(mark, handle) == (marks.isEmpty ? nil : "{}{}{},|||||"))
            #expect(session.kept(other, handle) == nil)
            session.respond(handle, headers: Pair.response.view, trailers: Pair.ok.view)
            let heads = frames(session.drain()).filter { $0.type == 1 && $0.stream == stream }
            #expect(heads.count == 2 && !heads.contains { holds($0.payload, "{}{}{}") })
            #expect(session.waitingBytes == 0)
        }
    }

    @Test func whatIsCarriedBackCountsAsKept() throws {
        let session = echoing([EchoedField("x-mark")])
        var wire = Wire.opened
        wire.frame(
            type: 1, flags: 0x5, stream: 1,
            Wire.head(extra: Wire.field("x-mark", String(repeating: "m", count: 100))))
        wire.bytes.withUnsafeBytes { session.take($0, nowNanoseconds: 1) }
        let (handle, _) = try #require(same(session.nextReady()))
        #expect(session.waitingBytes == 106)
        session.respond(handle, headers: Pair.response.view, trailers: Pair.ok.view)
        _ = session.drain()
        #expect(session.waitingBytes == 0)
    }
}
