import Testing

@testable import HTTP2

/// What a hostile peer can send, frame by frame.
@Suite struct AttackTests {
    private func server(
        _ change: (inout SessionConfiguration) -> Void = { _ in }
    ) -> ServerSession {
        var configuration = SessionConfiguration()
        change(&configuration)
        return ServerSession(
            configuration: configuration, memory: SessionMemory(), routes: Pair.routes)
    }

    @Test func rapidResetEndsTheConnection() {
        let session = server { $0.peerResets = .init(burst: 50, perSecond: 1) }
        _ = session.answer(.opened)
        var code: UInt32?
        for batch in 0..<10 where code == nil {
            var wire = Wire()
            for index in 0..<10 {
                let stream = UInt32(batch * 10 + index) * 2 + 1
                wire.frame(type: 1, flags: 0x4, stream: stream, Wire.head())
                wire.frame(type: 3, flags: 0, stream: stream, [0, 0, 0, 8])
            }
            code = goAwayCode(session.answer(wire))
            #expect(same(session.nextReady()) == nil)
            if batch < 4 { #expect(code == nil) }
        }
        #expect(code != nil)
        #expect(session.openStreamCount == 0)
    }

    @Test func resetsThatThePeerProvokesEndTheConnection() {
        let session = server { $0.ownResets = .init(burst: 50, perSecond: 1) }
        _ = session.answer(.opened)
        var code: UInt32?
        var batches = 0
        while code == nil, batches < 20 {
            var wire = Wire()
            for index in 0..<10 {
                // An upper-case name makes the request malformed: RST_STREAM(PROTOCOL_ERROR).
                wire.frame(
                    type: 1, flags: 0x5, stream: UInt32(batches * 10 + index) * 2 + 1,
                    Wire.field(":method", "POST") + Wire.field("connection", "close"))
            }
            code = goAwayCode(session.answer(wire))
            batches += 1
        }
        #expect(code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(batches == 6)
    }

    @Test(
        arguments: [
            (UInt8(6), UInt8(0), [UInt8](repeating: 0, count: 8)),  // PING
            (UInt8(4), UInt8(0), []),  // SETTINGS
            (UInt8(8), UInt8(0), [0, 0, 0, 1]),  // WINDOW_UPDATE
            (UInt8(2), UInt8(0), [0, 0, 0, 0, 1]),  // PRIORITY (stream 1 below)
            (UInt8(0xee), UInt8(0), [1, 2, 3]),  // unknown
        ])
    func controlFramesAreBudgeted(type: UInt8, flags: UInt8, payload: [UInt8]) {
        let session = server { $0.controlFrames = .init(burst: 100, perSecond: 10) }
        var code = goAwayCode(session.answer(.opened))
        var sent = 1
        while code == nil, sent < 1_000 {
            var wire = Wire()
            wire.frame(type: type, flags: flags, stream: type == 2 ? 1 : 0, payload)
            code = goAwayCode(session.answer(wire))
            sent += 1
        }
        #expect(code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(sent == 101)
        #expect(same(session.isFinished))
    }

    @Test func emptyDataIsBudgeted() {
        let session = server { $0.controlFrames = .init(burst: 100, perSecond: 10) }
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        for _ in 0..<98 { wire.frame(type: 0, flags: 0, stream: 1, []) }
        #expect(goAwayCode(session.answer(wire)) == nil)
        var more = Wire()
        for _ in 0..<2 { more.frame(type: 0, flags: 0, stream: 1, []) }
        #expect(goAwayCode(session.answer(more)) == HTTP2ErrorCode.enhanceYourCalm)
    }

    @Test func budgetOfControlFramesRefillsWithTime() {
        let session = server { $0.controlFrames = .init(burst: 10, perSecond: 10) }
        var clock: UInt64 = 1
        var output = session.answer(.opened, nowNanoseconds: clock)
        for _ in 0..<200 {
            clock += 100_000_000
            var wire = Wire()
            wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))
            output += session.answer(wire, nowNanoseconds: clock)
        }
        #expect(goAwayCode(output) == nil)
        #expect(frames(output).filter { $0.type == 6 && $0.flags == 1 }.count == 200)
    }

    @Test func tooManyPingsIsSaid() throws {
        let session = server { $0.controlFrames = .init(burst: 10, perSecond: 1) }
        var wire = Wire.opened
        for _ in 0..<20 {
            wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))
        }
        let said = frames(session.answer(wire)).first { $0.type == 7 }
        #expect(said.map { Array($0.payload[8...]) } == Array("too_many_pings".utf8))
    }

    @Test func fieldsBeyondTheLimitResetTheStreamOnly() {
        let session = server()
        var wire = Wire.opened
        let many = (0..<60).flatMap { Wire.field("x-\($0)", "1") }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: many))
        wire.frame(type: 1, flags: 0x5, stream: 3, Wire.head())
        let output = frames(session.answer(wire))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 && $0.payload == [0, 0, 0, 11] })
        #expect(!output.contains { $0.type == 7 })
        let ready = session.nextReady()
        #expect(ready?.events == [.head, .end])
        #expect(same(session.nextReady()) == nil)
    }

    @Test func bytesOfFieldsBeyondTheLimitResetTheStream() {
        let session = server()
        var wire = Wire.opened
        let value = String(repeating: "a", count: 120)
        let big = (0..<52).flatMap { Wire.field("x-\($0)", value) }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: big))
        let output = frames(session.answer(wire))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 })
        #expect(same(session.nextReady()) == nil)
    }

    @Test func fieldsThatNghttp2IgnoresCountToo() {
        let session = server()
        var wire = Wire.opened
        // A value with a control character is dropped without a header callback.
        let odd: [UInt8] = (0..<70).flatMap { _ in [0, 1, 0x61, 1, 0x01] as [UInt8] }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: odd))
        let output = frames(session.answer(wire))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 })
        #expect(same(session.nextReady()) == nil)
    }

    @Test func trailersAreBoundedLikeHeaders() {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        wire.frame(type: 1, flags: 0x5, stream: 1, (0..<70).flatMap { Wire.field("x-\($0)", "1") })
        let output = frames(session.answer(wire))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 })
    }

    @Test func continuationFloodEndsTheConnection() {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0, stream: 1, Wire.head())
        for _ in 0..<20 { wire.frame(type: 9, flags: 0, stream: 1, Wire.field("x-a", "1")) }
        _ = session.answer(wire)
        #expect(same(session.isFinished))
    }

    @Test func moreStreamsThanAnnouncedEndTheConnection() {
        let session = server { $0.maximumConcurrentStreams = 8 }
        var wire = Wire.opened
        wire.frame(type: 4, flags: 1, stream: 0, [])  // acknowledges our SETTINGS
        for index in 0..<9 {
            wire.frame(type: 1, flags: 0x4, stream: UInt32(index) * 2 + 1, Wire.head())
        }
        #expect(session.drain().isEmpty == false)
        #expect(goAwayCode(session.answer(wire)) == HTTP2ErrorCode.protocolError)
    }

    @Test func contentLengthThatLiesResetsTheStream() {
        let session = server()
        var wire = Wire.opened
        wire.frame(
            type: 1, flags: 0x4, stream: 1, Wire.head(extra: Wire.field("content-length", "3")))
        wire.frame(type: 0, flags: 0x1, stream: 1, [1, 2, 3, 4])
        let output = frames(session.answer(wire))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 })
        #expect(same(session.nextReady()) == nil)
        #expect(session.openStreamCount == 0)
    }

    @Test func splitHeaderBlockSurvivesAFlushInBetween() throws {
        let session = server()
        _ = session.answer(.opened)
        var wire = Wire()
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head())
        for byte in wire.bytes {
            _ = session.answer(Wire(bytes: [byte]))
        }
        let ready = session.nextReady()
        let (stream, events) = try #require(ready)
        #expect(events == [.head, .end])
        #expect(session.request(stream)?.pointee.route == 0)
    }

    @Test func badPrefaceIsTheEnd() {
        let session = server()
        _ = session.answer(Wire(bytes: Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)))
        #expect(same(session.isFinished))
    }

    /// Seeded mutations of a good conversation: whatever comes, the session neither crashes nor
    /// keeps anything.
    @Test(arguments: 0..<40)
    func mutatedBytesNeverCrash(seed: Int) {
        var random = SeededGenerator(state: UInt64(seed))
        var good = Wire.opened
        for index in 0..<12 {
            let stream = UInt32(index) * 2 + 1
            let path = index % 3 == 0 ? Pair.streamPath : Pair.path
            good.frame(type: 1, flags: 0x4, stream: stream, Wire.head(path))
            good.frame(type: 0, flags: 0, stream: stream, [0, 0, 0, 0, 3, 1, 2])
            good.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 7, count: 8))
            good.frame(type: 0, flags: 0x1, stream: stream, [3])
        }
        for _ in 0..<50 {
            var bytes = good.bytes
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                let index = Int.random(in: Wire.preface.count..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
            }
            let session = server()
            var offset = 0
            while offset < bytes.count {
                let end = min(bytes.count, offset + Int.random(in: 1...400, using: &random))
                _ = session.answer(Wire(bytes: Array(bytes[offset..<end])))
                offset = end
                while let (stream, events) = session.nextReady() {
                    if events.contains(.end) {
                        session.respond(
                            stream, headers: Pair.response.view, trailers: Pair.ok.view)
                    } else if events.contains(.closed) || events.contains(.overflow) {
                        session.reset(stream, code: HTTP2ErrorCode.cancel)
                    }
                }
            }
            session.abandon()
            while let (stream, _) = session.nextReady() { session.release(stream) }
            #expect(session.openStreamCount == 0)
            #expect(session.bufferedInputBytes == 0)
            #expect(session.queuedOutputBytes == 0)
        }
    }
}
