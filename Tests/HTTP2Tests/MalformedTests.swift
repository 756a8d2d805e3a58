import Testing

@testable import HTTP2

/// Offences of the protocol that nghttp2 passes over, or tells otherwise than RFC 9113 has it.
@Suite struct MalformedTests {
    static let fields: [[UInt8]] = [
        Wire.field("x y", "1"), Wire.field("x:y", "1"), Wire.field("x\u{7f}", "1"),
        Wire.field("x", "a\nb"), Wire.field("x", "a\0b"), Wire.field("x", " a"),
        Wire.field("x", "a\t"),
    ]

    /// Its body comes in the same read, and all the same nobody sees it; who comes next is served.
    @Test(arguments: fields)
    func aRequestWithAFieldThatMayNotBeIsReset(field: [UInt8]) throws {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head(extra: field))
        wire.frame(type: 0, flags: 0x1, stream: 1, [0, 0, 0, 0, 0])
        wire.frame(type: 1, flags: 0x5, stream: 3, Wire.head())
        wire.bytes.withUnsafeBytes { session.take($0, nowNanoseconds: 1) }
        let (stream, events) = try #require(same(session.nextReady()))
        #expect(events == [.head, .end])
        session.respond(stream, headers: Pair.response.view, trailers: Pair.ok.view)
        #expect(same(session.nextReady()) == nil)
        let output = frames(session.drain())
        #expect(output.count { $0.type == 3 && $0.stream == 1 && $0.payload == [0, 0, 0, 1] } == 1)
        #expect(output.contains { $0.type == 1 && $0.stream == 3 })
        #expect(session.openStreamCount == 0)
        #expect(session.bufferedInputBytes == 0)
    }

    /// A call that is under way ends for its reader too.
    @Test(arguments: fields)
    func trailersWithAFieldThatMayNotBeResetTheStream(field: [UInt8]) throws {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        _ = session.answer(wire)
        let (stream, _) = try #require(same(session.nextReady()))
        var trailers = Wire()
        trailers.frame(type: 1, flags: 0x5, stream: 1, field)
        let output = frames(session.answer(trailers))
        #expect(output.contains { $0.type == 3 && $0.stream == 1 && $0.payload == [0, 0, 0, 1] })
        let (closed, events) = try #require(same(session.nextReady()))
        #expect(closed == stream && events == .closed)
        session.release(stream)
        #expect(session.openStreamCount == 0)
    }

    /// Each costs as much as another reset.
    @Test func malformedRequestsAreBudgeted() {
        let session = server { $0.ownResets = .init(burst: 20, perSecond: 0) }
        _ = session.answer(.opened)
        var sent: UInt32 = 0
        var code: UInt32?
        while code == nil, sent < 100 {
            var wire = Wire()
            wire.frame(
                type: 1, flags: 0x5, stream: 2 * sent + 1, Wire.head(extra: Self.fields[0]))
            code = goAwayCode(session.answer(wire))
            sent += 1
        }
        #expect(code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(sent == 21)
    }

    /// RFC 9113 §6.3, however the reads split it. PRIORITY of a stream, idle or not, says nothing.
    @Test(arguments: [0, 1, 256, 65_536, 1 << 24])
    func priorityOfNoStreamEndsTheConnection(stream: UInt32) {
        var wire = Wire()
        wire.frame(type: 2, flags: 0, stream: stream, [0, 0, 0, 0, 16])
        wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))
        for step in 1...wire.bytes.count {
            let session = server()
            _ = session.answer(.opened)
            var code: UInt32?
            for start in stride(from: 0, to: wire.bytes.count, by: step) {
                var part = Wire()
                part.bytes = Array(wire.bytes[start..<min(wire.bytes.count, start + step)])
                code = goAwayCode(session.answer(part)) ?? code
            }
            #expect(code == (stream == 0 ? HTTP2ErrorCode.protocolError : nil), "step \(step)")
        }
    }

    /// RFC 9113 §6.9.2: nghttp2 would reset one stream.
    @Test func settingsThatMakeAWindowTooLargeEndTheConnection() {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        wire.frame(type: 8, flags: 0, stream: 1, [0x7f, 0xff, 0, 0])
        #expect(goAwayCode(session.answer(wire)) == nil)
        var settings = Wire()
        settings.frame(type: 4, flags: 0, stream: 0, [0, 4, 0, 2, 0, 0])
        #expect(goAwayCode(session.answer(settings)) == HTTP2ErrorCode.flowControlError)
    }
}
