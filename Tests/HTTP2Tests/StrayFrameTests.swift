import Testing

@testable import HTTP2

/// Frames on streams that are over.
@Suite struct StrayFrameTests {
    @Test(arguments: [true, false])
    func dataOnStreamsThatAreOverEndsTheConnection(isReset: Bool) {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: isReset ? 0x4 : 0x5, stream: 1, Wire.head())
        if isReset { wire.frame(type: 3, flags: 0, stream: 1, [0, 0, 0, 8]) }
        #expect(goAwayCode(session.answer(wire)) == nil)
        while let (stream, events) = session.nextReady() {
            if events.contains(.end) {
                session.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
            } else {
                session.release(stream)
            }
        }
        _ = session.drain()
        #expect(session.openStreamCount == 0)
        var code: UInt32?
        var sent = 0
        while code == nil, sent < 100 {
            var more = Wire()
            more.frame(type: 0, flags: 0, stream: 1, [1, 2, 3])
            code = goAwayCode(session.answer(more))
            sent += 1
        }
        #expect(code == HTTP2ErrorCode.streamClosed)
        #expect(sent <= 20)
    }

    /// Their fields are read, since what follows builds upon them, and no callback tells of them.
    @Test(arguments: [false, true])
    func headersOnStreamsThatAreOverEndTheConnection(isSplit: Bool) {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        wire.frame(type: 3, flags: 0, stream: 1, [0, 0, 0, 8])
        #expect(goAwayCode(session.answer(wire)) == nil)
        while let (stream, _) = session.nextReady() { session.release(stream) }
        #expect(session.openStreamCount == 0)
        var code: UInt32?
        var sent = 0
        while code == nil, sent < 100 {
            var more = Wire()
            more.frame(type: 1, flags: isSplit ? 0x1 : 0x5, stream: 1, Wire.head())
            if isSplit { more.frame(type: 9, flags: 0x4, stream: 1, Wire.field("x-a", "1")) }
            code = goAwayCode(session.answer(more))
            sent += 1
        }
        #expect(code == HTTP2ErrorCode.streamClosed)
        #expect(sent <= 20)
    }

    /// A peer that does not know yet how many streams there may be: what is beyond is refused, and charged as that alone.
    @Test func requestsBeyondTheStreamsThatThereMayBeAreRefusedAlone() {
        let session = server { $0.maximumConcurrentStreams = 8 }
        var wire = Wire.opened
        for index in 0..<48 {
            wire.frame(type: 1, flags: 0x4, stream: UInt32(index) * 2 + 1, Wire.head())
        }
        let output = frames(session.answer(wire))
        #expect(!output.contains { $0.type == 7 })
        #expect(output.count { $0.type == 3 && $0.payload == [0, 0, 0, 7] } == 40)
        #expect(session.openStreamCount == 8)
    }

    /// Requests and trailers that are taken cost nothing, however the reads split them.
    @Test func headersOfRequestsAreNoStrayFrames() {
        let session = server { $0.strayFrames = .init(burst: 0, perSecond: 0) }
        _ = session.answer(.opened)
        var code: UInt32?
        for index in 0..<200 where code == nil {
            var wire = Wire()
            let id = UInt32(index) * 2 + 1
            wire.frame(type: 1, flags: 0x4, stream: id, Wire.head(Pair.streamPath))
            wire.frame(type: 0, flags: 0, stream: id, [0, 0, 0, 0, 1, 7])
            wire.frame(type: 1, flags: 0x5, stream: id, Wire.field("x-a", "1"))
            for byte in wire.bytes {
                code = code ?? goAwayCode(session.answer(Wire(bytes: [byte])))
            }
            while let (stream, events) = session.nextReady() {
                if events.contains(.end) {
                    session.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
                }
            }
            _ = session.drain()
        }
        #expect(code == nil)
        #expect(session.openStreamCount == 0)
    }

    /// The peer had much under way when its request was refused.
    @Test func dataThatWasUnderWayWhenAStreamWasRefusedHarmsNothing() throws {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        _ = session.answer(wire)
        let (stream, _) = try #require(same(session.nextReady()))
        session.reject(stream, headers: Pair.response.view, fields: HeaderFields())
        _ = session.drain()
        var rest = Wire()
        for _ in 0..<120 { rest.frame(type: 0, flags: 0, stream: 1, [1, 2, 3]) }
        rest.frame(type: 1, flags: 0x5, stream: 3, Wire.head())
        #expect(goAwayCode(session.answer(rest)) == nil)
        #expect(same(session.nextReady()) != nil)
    }
}
