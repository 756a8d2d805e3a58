import Testing

@testable import HTTP2

/// What a hostile peer can send, frame by frame.
@Suite struct AttackTests {
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

    /// As many as one read holds, with the bounds as they are: the budget is what ends it, not nghttp2's own bound, which
    /// ends it without a word.
    @Test func tooManyPingsAtOnceAreSaid() throws {
        let session = server()
        var wire = Wire.opened
        for _ in 0..<963 {
            wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))
        }
        let first = session.answer(wire)
        #expect(frames(first).filter { $0.type == 6 }.count == 963 && goAwayCode(first) == nil)
        wire = Wire()
        for _ in 0..<963 {
            wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))
        }
        let said = frames(session.answer(wire)).first { $0.type == 7 }
        #expect(said.map { Array($0.payload[8...]) } == Array("too_many_pings".utf8))
    }

    @Test func fieldsBeyondTheLimitAreReportedAndHarmNobodyElse() throws {
        let session = server()
        var wire = Wire.opened
        let many = (0..<60).flatMap { Wire.field("x-\($0)", "1") }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: many))
        wire.frame(type: 1, flags: 0x5, stream: 3, Wire.head())
        let output = frames(session.answer(wire))
        #expect(!output.contains { $0.type == 3 || $0.type == 7 })
        let (first, _) = try #require(same(session.nextReady()))
        #expect(session.request(first)?.pointee.isTooLarge == true)
        #expect(session.request(first)?.pointee.isReadable == false)
        let (second, events) = try #require(same(session.nextReady()))
        #expect(events == [.head, .end])
        #expect(session.request(second)?.pointee.isReadable == true)
        #expect(same(session.nextReady()) == nil)
    }

    @Test func bytesOfFieldsBeyondTheLimitAreReported() throws {
        let session = server()
        var wire = Wire.opened
        let value = String(repeating: "a", count: 120)
        let big = (0..<52).flatMap { Wire.field("x-\($0)", value) }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: big))
        #expect(!frames(session.answer(wire)).contains { $0.type == 3 })
        let (stream, _) = try #require(same(session.nextReady()))
        #expect(session.request(stream)?.pointee.isTooLarge == true)
    }

    @Test func hundredsOfFieldsEndTheConnectionInTheirBlock() {
        let session = server()
        var wire = Wire.opened
        let many = (0..<130).flatMap { Wire.field("x-\($0)", "1") }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: many))
        wire.frame(type: 1, flags: 0x5, stream: 3, Wire.head())
        #expect(goAwayCode(session.answer(wire)) == HTTP2ErrorCode.enhanceYourCalm)
        #expect(same(session.isFinished))
        #expect(session.openStreamCount <= 1)
    }

    /// One byte of the wire stands for a field of 4 000 bytes.
    @Test func fieldsThatUnfoldEndTheConnectionBeforeTheyAreRead() {
        let session = server { $0.turnHeaderBytes = 1 << 30 }
        var wire = Wire.opened
        let value = [UInt8](repeating: 0x61, count: 4_000)
        // A literal with incremental indexing, its value's length in three bytes, then that entry again and again.
        let entry: [UInt8] = [0x40, 3, 0x78, 0x2d, 0x61, 0x7f, 0xa1, 0x1e] + value
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: entry))
        #expect(goAwayCode(session.answer(wire)) == nil)
        var bomb = Wire()
        let indexed = [UInt8](repeating: 0x80 | 62, count: 10_000)
        bomb.frame(type: 1, flags: 0x5, stream: 3, Wire.head(extra: indexed))
        #expect(goAwayCode(session.answer(bomb)) == HTTP2ErrorCode.enhanceYourCalm)
    }

    @Test func requestsThatAreTooLargeAreBudgeted() {
        let session = server { $0.ownResets = .init(burst: 20, perSecond: 1) }
        _ = session.answer(.opened)
        let many = (0..<70).flatMap { Wire.field("x-\($0)", "1") }
        var code: UInt32?
        var sent = 0
        while code == nil, sent < 100 {
            var wire = Wire()
            wire.frame(
                type: 1, flags: 0x5, stream: UInt32(sent) * 2 + 1, Wire.head(extra: many))
            code = goAwayCode(session.answer(wire))
            while let (stream, _) = session.nextReady() {
                session.reject(stream, headers: Pair.response.view, fields: HeaderFields())
            }
            sent += 1
        }
        #expect(code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(sent == 21)
    }

    @Test func fieldsThatNghttp2IgnoresCountToo() {
        let session = server()
        var wire = Wire.opened
        // A value with a control character is dropped without a header callback.
        let odd: [UInt8] = (0..<200).flatMap { _ in [0, 1, 0x61, 1, 0x01] as [UInt8] }
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head(extra: odd))
        #expect(goAwayCode(session.answer(wire)) == HTTP2ErrorCode.enhanceYourCalm)
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

    // MARK: Budgets that are earned

    /// 2 000 calls are cancelled within one second; as many are answered.
    @Test func whoHasCallsAnsweredMayCancelOthers() {
        let session = server { $0.peerResets = .init(burst: 50, perSecond: 1) }
        session.trust()
        _ = session.answer(.opened)
        var code: UInt32?
        for index in 0..<2_000 where code == nil {
            var wire = Wire()
            let stream = UInt32(index) * 4 + 1
            wire.frame(type: 1, flags: 0x5, stream: stream, Wire.head())
            wire.frame(type: 1, flags: 0x4, stream: stream + 2, Wire.head())
            wire.frame(type: 3, flags: 0, stream: stream + 2, [0, 0, 0, 8])
            code = goAwayCode(session.answer(wire))
            while let (stream, events) = session.nextReady() {
                if events.contains(.end) {
                    session.respond(
                        stream, headers: Pair.response.view, trailers: Pair.ok.view)
                } else {
                    session.release(stream)
                }
            }
            _ = session.drain()
        }
        #expect(code == nil)
        #expect(session.openStreamCount == 0)
    }

    /// A peer that watches, and looks away again.
    @Test(arguments: [false, true])
    func whatIsUnderWayMayBeCancelledByWhoeverIsKnown(isTrusted: Bool) {
        let session = server { $0.peerResets = .init(burst: 50, perSecond: 1) }
        if isTrusted { session.trust() }
        _ = session.answer(.opened)
        var code: UInt32?
        var sent = 0
        while code == nil, sent < 500 {
            var wire = Wire()
            let id = UInt32(sent) * 2 + 1
            wire.frame(type: 1, flags: 0x4, stream: id, Wire.head(Pair.streamPath))
            _ = session.answer(wire)
            while let (stream, _) = session.nextReady() {
                session.respond(stream, headers: Pair.response.view)
            }
            _ = session.drain()
            var cancel = Wire()
            cancel.frame(type: 3, flags: 0, stream: id, [0, 0, 0, 8])
            code = goAwayCode(session.answer(cancel))
            while let (stream, _) = session.nextReady() { session.release(stream) }
            sent += 1
        }
        #expect(code == (isTrusted ? nil : HTTP2ErrorCode.enhanceYourCalm))
        #expect(sent == (isTrusted ? 500 : 51))
    }

    @Test(arguments: [false, true])
    func whatAStrangerIsRefusedEarnsNothing(isTrusted: Bool) {
        let session = server { $0.peerResets = .init(burst: 50, perSecond: 1) }
        if isTrusted { session.trust() }
        _ = session.answer(.opened)
        var code: UInt32?
        var sent = 0
        while code == nil, sent < 200 {
            var wire = Wire()
            let stream = UInt32(sent) * 4 + 1
            wire.frame(type: 1, flags: 0x5, stream: stream, Wire.head())
            wire.frame(type: 1, flags: 0x4, stream: stream + 2, Wire.head())
            wire.frame(type: 3, flags: 0, stream: stream + 2, [0, 0, 0, 8])
            code = goAwayCode(session.answer(wire))
            while let (stream, events) = session.nextReady() {
                if events.contains(.end) {
                    session.reject(stream, headers: Pair.response.view, fields: HeaderFields())
                } else {
                    session.release(stream)
                }
            }
            _ = session.drain()
            sent += 1
        }
        #expect(code == (isTrusted ? nil : HTTP2ErrorCode.enhanceYourCalm))
        #expect(sent == (isTrusted ? 200 : 51))
    }

    /// Who calls, whether the connection was somebody's before, and how it goes on.
    enum Refused: CaseIterable {
        case stranger, revoked, known
        /// One of two calls is a good one; one in a second.
        case sometimes, seldom
    }

    @Test(arguments: Refused.allCases)
    func whatNobodyIsKnownForIsBudgeted(_ who: Refused) {
        let session = server { $0.ownResets = .init(burst: 20, perSecond: 1) }
        if who != .stranger { session.trust() }
        _ = session.answer(.opened)
        var code: UInt32?
        var refused = 0
        for index in 0..<200 where code == nil {
            var wire = Wire()
            wire.frame(type: 1, flags: 0x5, stream: UInt32(index) * 2 + 1, Wire.head())
            let now = UInt64(who == .seldom ? index : 0) * 1_000_000_000 + 1
            code = goAwayCode(session.answer(wire, nowNanoseconds: now))
            while let (stream, _) = session.nextReady() {
                if who == .sometimes, index % 2 == 0 {
                    session.respond(
                        stream, headers: Pair.response.view, trailers: Pair.ok.view)
                } else {
                    session.reject(
                        stream, headers: Pair.response.view, fields: HeaderFields(),
                        isStrangers: who != .known)
                    refused += 1
                }
            }
            let output = session.drain()
            // Even the last one has its answer.
            #expect(frames(output).contains { $0.type == 1 })
            code = code ?? goAwayCode(output)
        }
        let ends = who == .stranger || who == .revoked
        #expect(code == (ends ? HTTP2ErrorCode.enhanceYourCalm : nil))
        #expect(refused == (ends ? 21 : who == .sometimes ? 100 : 200))
        #expect(session.hasOffended == ends)
    }

    @Test func littleCreditIsASixteenthAndTheRestIsEarned() {
        let session = server { $0.ownResets = .init(burst: 32, perSecond: 0) }
        session.limitCredit()
        _ = session.answer(.opened)
        var code: UInt32?
        var refused = 0
        for index in 0..<100 where code == nil {
            var wire = Wire()
            wire.frame(type: 1, flags: 0x5, stream: UInt32(index) * 2 + 1, Wire.head())
            _ = session.answer(wire)
            while let (stream, _) = session.nextReady() {
                if index == 1 {
                    session.trust()
                    session.respond(
                        stream, headers: Pair.response.view, trailers: Pair.ok.view)
                } else {
                    session.reject(
                        stream, headers: Pair.response.view, fields: HeaderFields(),
                        isStrangers: true)
                    refused += 1
                }
            }
            code = goAwayCode(session.drain())
        }
        // Two to begin with, four earned, and the one too many.
        #expect(code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(refused == 7)
    }

    // MARK: Turns

    @Test func aTurnStopsWhereItsHeaderFieldsAreEnough() throws {
        let session = server { $0.turnHeaderBytes = 4_000 }
        _ = session.answer(.opened)
        var wire = Wire()
        for index in 0..<40 {
            wire.frame(type: 1, flags: 0x5, stream: UInt32(index) * 2 + 1, Wire.head())
        }
        wire.frame(type: 6, flags: 0, stream: 0, [1, 2, 3, 4, 5, 6, 7, 8])
        var turns = 0
        var requests = 0
        var offset = 0
        wire.bytes.withUnsafeBytes { bytes in
            offset = session.receive(bytes, nowNanoseconds: 1)
            while true {
                turns += 1
                var ready = 0
                while let (stream, _) = session.nextReady() {
                    session.reject(stream, headers: Pair.response.view, fields: HeaderFields())
                    ready += 1
                }
                // A quarter of the budget: a stranger's.
                #expect(ready <= 5)
                requests += ready
                guard session.isPaused else { break }
                let ping = UnsafeRawBufferPointer(rebasing: bytes.suffix(17))
                #expect(session.receive(ping, nowNanoseconds: 1) == 0, "not before the rest")
                offset += session.resume(
                    UnsafeRawBufferPointer(rebasing: bytes[offset...]), nowNanoseconds: 1)
            }
        }
        #expect(requests == 40)
        #expect(turns > 8)
        #expect(offset == wire.bytes.count)
        #expect(frames(session.drain()).contains { $0.type == 6 && $0.flags == 1 })
    }

    /// The last field of a block is one too many: there are no bytes left, and the block is complete all the same.
    @Test func aTurnThatStopsAtTheEndGoesOnWithNothing() throws {
        let session = server { $0.turnHeaderBytes = 4 }
        _ = session.answer(.opened)
        var wire = Wire()
        wire.frame(type: 1, flags: 0x5, stream: 1, Wire.head())
        var offset = 0
        wire.bytes.withUnsafeBytes { bytes in
            offset = session.receive(bytes, nowNanoseconds: 1)
            while session.isPaused {
                offset += session.resume(
                    UnsafeRawBufferPointer(rebasing: bytes[offset...]), nowNanoseconds: 1)
            }
        }
        let (stream, events) = try #require(same(session.nextReady()))
        #expect(events == [.head, .end])
        #expect(session.request(stream)?.pointee.route == 0)
        #expect(offset == wire.bytes.count)
    }

    // MARK: Memory

    @Test func whatIsKeptOfMetadataIsCountedAndBounded() throws {
        let session = server()
        var wire = Wire.opened
        let secret = String(repeating: "s", count: 100)
        wire.frame(
            type: 1, flags: 0x4, stream: 1, Wire.head(extra: Wire.field("authorization", secret)))
        let long: [UInt8] =
            [0, 13] + Array("authorization".utf8) + [0x7f, 0x89, 0x26]
            + [UInt8](repeating: 0x61, count: 5_000)
        wire.frame(type: 1, flags: 0x4, stream: 3, Wire.head(extra: long))
        _ = session.answer(wire)
        #expect(session.waitingBytes == 101, "of a value that is nobody's a byte is kept")
        while let (stream, _) = session.nextReady() { session.reset(stream, code: 8) }
        _ = session.drain()
        #expect(session.waitingBytes == 0)
    }

    @Test func inputBeyondALoweredLimitIsCutOff() throws {
        let session = server()
        var wire = Wire.opened
        wire.frame(type: 1, flags: 0x4, stream: 1, Wire.head())
        wire.frame(type: 0, flags: 0, stream: 1, [UInt8](repeating: 1, count: 1_000))
        _ = session.answer(wire)
        let (stream, events) = try #require(same(session.nextReady()))
        #expect(events == .head)
        session.limitInput(to: 1_500)
        var more = Wire()
        more.frame(type: 0, flags: 0, stream: 1, [UInt8](repeating: 1, count: 1_000))
        _ = session.answer(more)
        #expect(same(session.nextReady())?.events == .overflow)
        session.reset(stream, code: 8)
        session.limitInput(to: nil)
        session.trim()
        #expect(session.waitingBytes == 0)
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
