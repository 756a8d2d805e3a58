import Admission
import Dispatch
import HTTP2
import NIOCore
import Testing

@testable import GRPCServer

/// Answers that wait for the disk; the test's hand drives the disk.
@Suite struct ParkedAnswerTests {
    private static let deadlineExceeded = Int32(GRPCCode.deadlineExceeded.rawValue)
    private static let aborted = Int32(GRPCCode.aborted.rawValue)

    private func park(
        _ client: TestClient, _ body: String, timeout: String? = nil
    ) async throws -> StreamHandle {
        let stream = try client.begin(
            "/t.T/Hold", body: TestClient.framed(text(body)),
            extra: timeout.map { [("grpc-timeout", $0)] } ?? [])
        try await settle(client)
        return stream
    }

    /// A connection is worked off in order: once this is answered, all before it was decided.
    private func settle(_ client: TestClient) async throws {
        #expect(try await client.call("/t.T/Echo", text("n")).messages == [text("n")])
    }

    @Test func nothingLeavesBeforeItsTicket() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let first = try await park(client, "first")
        let ticket = try await test.ticket()
        let second = try await park(client, "second")
        #expect(try await test.ticket() > ticket)
        #expect(client.reply(first) == TestClient.Reply())

        try await test.makeDurable(ticket - 1)
        try await settle(client)
        #expect(client.reply(first) == TestClient.Reply())
        try await test.makeDurable(ticket)
        #expect(try await client.finish(first).messages == [text("first")])
        try await settle(client)
        #expect(client.reply(second) == TestClient.Reply())
        try await test.makeDurable()
        #expect(try await client.finish(second).messages == [text("second")])
        #expect(test.journal.now.withdrawn == [])
        await test.stop()
    }

    @Test func failuresWaitToo() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin("/t.T/HoldFail", body: TestClient.framed([]))
        try await settle(client)
        #expect(client.reply(stream) == TestClient.Reply())
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.status == Int32(GRPCCode.failedPrecondition.rawValue))
        #expect(reply.message == "parked")
        await test.stop()
    }

    /// What was read in one turn of the loop shares one ticket, on whatever connection.
    @Test func aTurnOfTheLoopTakesOneTicket() async throws {
        let test = try await TestServer()
        let clients = try (0..<2).map { _ in try TestClient(port: test.server.port) }
        for client in clients { try await settle(client) }
        let canGoOn = DispatchSemaphore(value: 0)
        await withCheckedContinuation { stands in
            test.server.loops[0].eventLoop.execute {
                stands.resume()
                canGoOn.wait()
            }
        }
        for client in clients {
            // As few as one turn is sure to read: how much it reads depends on what came before.
            for index in 0..<5 {
                _ = try client.begin("/t.T/Hold", body: TestClient.framed(text("\(index)")))
            }
            try client.flush()
        }
        for client in clients { try await client.waitForArrival() }
        canGoOn.signal()
        for client in clients { try await settle(client) }
        #expect(try await test.ticket() == 1)
        #expect(try await test.onLoop { $0.parkedCount } == 10)
        await test.stop()
    }

    // MARK: Deadlines, cancellation, death

    @Test func deadlinePassesBeforeTheTicket() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let late = try await park(client, "late", timeout: "5S")
        let early = try await park(client, "early", timeout: "2H")
        let whenever = try await park(client, "whenever")
        test.journal.advance(.hours(1))
        // The loop's timer tells the caller; the hold is taken back in its turn.
        let reply = try await client.finish(late)
        #expect(reply.status == Self.deadlineExceeded && reply.messages.isEmpty)
        #expect(test.journal.now.withdrawn == [])
        try await test.makeDurable()
        #expect(test.journal.now.withdrawn == [text("late")])
        #expect(try await client.finish(early).messages == [text("early")])
        #expect(try await client.finish(whenever).messages == [text("whenever")])
        #expect(test.journal.now.withdrawn == [text("late")])
        await test.stop()
    }

    @Test func deadlineIsLookedAtWhenTheTicketIsReached() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try await park(client, "late", timeout: "5S")
        let journal = test.journal
        _ = try await test.ticket()
        // In one turn of the loop, so that its timer cannot come first.
        try await test.server.loops[0].eventLoop.submit {
            journal.advance(.hours(1))
            journal.change { $0.durableTicket = $0.ticket }
            journal.now.notify?()
        }.get()
        #expect(try await client.finish(stream).status == Self.deadlineExceeded)
        #expect(test.journal.now.withdrawn == [text("late")])
        await test.stop()
    }

    @Test func cancelledCallIsWithdrawnAndKeepsItsPlaceUntilThen() async throws {
        let test = try await TestServer { $0.session.maximumConcurrentStreams = 3 }
        let client = try TestClient(port: test.server.port)
        let stream = try await park(client, "cancelled")
        client.cancel(stream)
        try await settle(client)
        let other = try await park(client, "other")
        let another = try client.begin("/t.T/Hold", body: TestClient.framed(text("another")))
        // Two places are taken, and one is kept by the cancelled call.
        let refused = try client.begin("/t.T/Hold", body: TestClient.framed(text("refused")))
        #expect(try await client.finish(refused).isReset)
        #expect(test.journal.now.withdrawn == [])
        try await test.makeDurable()
        #expect(try await client.finish(other).messages == [text("other")])
        #expect(try await client.finish(another).messages == [text("another")])
        #expect(test.journal.now.withdrawn == [text("cancelled")])
        try await settle(client)
        await test.stop()
    }

    @Test func deadConnectionsCallsAreWithdrawnAndItsPlaceIsKeptUntilThen() async throws {
        let test = try await TestServer {
            $0.places = ConnectionPlaces(total: 2, perAddress: 2)
        }
        let port = test.server.port
        let survivor = try TestClient(port: port)
        let late = try await park(survivor, "late")
        do {
            let client = try TestClient(port: port)
            _ = try await park(client, "a")
            _ = try client.begin("/t.T/Chat", body: TestClient.framed(text("h1")))
            try await settle(client)
            // As the loop's timer does every second: nobody is closed for another now.
            _ = try await test.onLoop { $0.checkTimers() }
        }
        try await test.until { $0.openConnectionCount == 1 }
        let third = try TestClient(port: port)
        try await third.waitForClose()
        #expect(test.journal.now.withdrawn == [])
        #expect(test.journal.now.closed == 1)
        try await test.makeDurable()
        #expect(test.journal.now.withdrawn == [text("a"), text("h1")])
        #expect(try await survivor.finish(late).status == 0)
        // The channel's own end may come a little after.
        var fourth: TestClient.Reply?
        while fourth == nil {
            fourth = try? await TestClient(port: port).call("/t.T/Echo", text("x"))
        }
        #expect(fourth?.messages == [text("x")])
        await test.stop()
    }

    // MARK: Streams

    private func chat(
        _ client: TestClient, _ messages: [String], finished: Bool = true, timeout: String? = nil
    ) throws -> StreamHandle {
        try client.begin(
            "/t.T/Chat", body: messages.flatMap { TestClient.framed(text($0)) },
            finished: finished, extra: timeout.map { [("grpc-timeout", $0)] } ?? [])
    }

    @Test func streamKeepsItsOrder() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let first = ["i0", "i1", "h2", "i3", "h4", "i5", "i6"]
        let stream = try chat(client, first, finished: false)
        try await settle(client)
        #expect(client.reply(stream).messages == [text("i0"), text("i1")])
        let ticket = try await test.ticket()
        let second = ["i7", "h8", "i9"]
        client.send(stream, second.flatMap { TestClient.framed(text($0)) }, finished: true)
        try await settle(client)
        #expect(client.reply(stream).messages.count == 2)

        // What need not wait stands behind what waits, and no longer.
        try await test.makeDurable(ticket)
        try await settle(client)
        #expect(client.reply(stream).messages == (first + ["i7"]).map(text))
        #expect(!client.reply(stream).isEnded, "half-closed, but not all is answered")
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.messages == (first + second).map(text))
        #expect(reply.status == 0)
        #expect(test.journal.now.withdrawn == [] && test.journal.now.closed == 1)
        await test.stop()
    }

    @Test(arguments: ["f", "g"]) func failureStandsBehindWhatWaits(kind: String) async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try chat(client, ["h1", kind, "i2"], finished: false)
        try await settle(client)
        #expect(client.reply(stream).messages.isEmpty && !client.reply(stream).isEnded)
        #expect(test.journal.now.messages == 2, "nothing is asked after the failure")
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("h1")] && reply.status == Self.aborted)
        // What failed has done nothing.
        #expect(test.journal.now.withdrawn == (kind == "g" ? [text("g")] : []))
        #expect(test.journal.now.closed == 1)
        await test.stop()
    }

    @Test func deadlineEndsAStreamAndWhatItHeldIsWithdrawn() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try chat(client, ["i0", "h1", "i2", "h3"], timeout: "5S")
        try await settle(client)
        test.journal.advance(.hours(1))
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("i0")] && reply.status == Self.deadlineExceeded)
        try await test.makeDurable()
        #expect(test.journal.now.withdrawn == [text("h1"), text("h3")])
        #expect(test.journal.now.closed == 1)
        #expect(try await test.onLoop { $0.parkedCount } == 0)
        await test.stop()
    }

    @Test func cancelledStreamIsWithdrawn() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try chat(client, ["h1", "i2", "h3"], finished: false)
        try await settle(client)
        client.cancel(stream)
        try await settle(client)
        #expect(test.journal.now.closed == 1 && test.journal.now.withdrawn == [])
        try await test.makeDurable()
        #expect(test.journal.now.withdrawn == [text("h1"), text("h3")])
        #expect(test.journal.now.closed == 1)
        await test.stop()
    }

    @Test func readingStopsAtTheBoundOfUnansweredRequests() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try chat(client, Array(repeating: "h", count: 1_000))
        try await settle(client)
        #expect(test.journal.now.messages == 256)
        while test.journal.now.messages < 1_000 {
            let before = test.journal.now.messages
            try await test.makeDurable()
            try await settle(client)
            #expect(test.journal.now.messages > before)
            #expect(try await test.onLoop { $0.parkedCount } <= 256)
        }
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.messages.count == 1_000 && reply.status == 0)
        await test.stop()
    }

    @Test func clientStreamsAnswerWaitsIfOneOfItsRequestsHadTo() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            "/t.T/Sum", body: ["i1", "h2", "i3"].flatMap { TestClient.framed(text($0)) })
        try await settle(client)
        #expect(client.reply(stream) == TestClient.Reply())
        try await test.makeDurable()
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("6")] && reply.status == 0)
        await test.stop()
    }

    // MARK: Bounds

    @Test func heldBytesCountAgainstTheConnection() async throws {
        let test = try await TestServer { $0.maximumConnectionOutputBytes = 256 * 1024 }
        var wide = SessionConfiguration()
        wide.connectionWindowBytes = 16 * 1024 * 1024
        let client = try TestClient(port: test.server.port, configuration: wide)
        let streams = try (0..<40).map { _ in
            try client.begin("/t.T/HoldBig", body: TestClient.framed([]))
        }
        try client.flush()
        try await test.until { $0.parkedCount >= 4 }
        // Its own connection stands still; another's does not.
        let other = try TestClient(port: test.server.port)
        try await settle(other)
        #expect(try await test.onLoop { $0.parkedCount } <= 5)
        for stream in streams {
            while !client.reply(stream).isEnded {
                try await test.makeDurable()
                try client.poll()
            }
            #expect(client.reply(stream).messages.first?.count == 64 * 1024)
        }
        await test.stop()
    }

    @Test func tenThousandHeldCallsOverEightConnections() async throws {
        let test = try await TestServer { $0.session.maximumConcurrentStreams = 1_500 }
        var many = SessionConfiguration()
        many.maximumConcurrentStreams = 1_500
        let clients = try (0..<8).map { _ in
            try TestClient(port: test.server.port, configuration: many)
        }
        for client in clients { try await settle(client) }
        for round in 0..<2 {
            var streams: [[StreamHandle]] = []
            for client in clients {
                streams.append(
                    try (0..<1_250).map {
                        try client.begin("/t.T/Hold", body: TestClient.framed(text("\($0)")))
                    })
                try await settle(client)
            }
            #expect(try await test.onLoop { $0.parkedCount } == 10_000)
            #expect(try await test.ticket() < 10_000, "a ticket serves many")
            // Every tenth is cancelled, on half of the connections.
            var cancelled = 0
            for (client, streams) in zip(clients, streams).prefix(4) {
                for index in stride(from: 0, to: 1_250, by: 10) {
                    client.cancel(streams[index])
                    cancelled += 1
                }
                try await settle(client)
            }
            try await test.makeDurable()
            #expect(test.journal.now.withdrawn.count == cancelled * (round + 1))
            for (clientIndex, client) in clients.enumerated() {
                for (index, stream) in streams[clientIndex].enumerated()
                where clientIndex >= 4 || index % 10 != 0 {
                    #expect(try await client.finish(stream).messages == [text("\(index)")])
                }
            }
            let left = try await test.onLoop { loop in
                (loop.parkedCount, loop.undoneBytes, loop.activeCallCount)
            }
            #expect(left == (0, 0, 0))
        }
        await test.stop()
    }

    // MARK: Drain

    @Test func drainAnswersHeldStreamsBeforeItEnds() async throws {
        let test = try await TestServer()
        let client = try TestClient(port: test.server.port)
        let unary = try await park(client, "unary")
        let stream = try chat(client, ["h1"], finished: false)
        try await settle(client)
        let server = test.server
        let stopping = Task { await server.shutdown(within: .seconds(60)) }
        try await client.pump { client.sawGoAway }
        try await test.until { $0.isDraining }
        try await test.makeDurable()
        #expect(try await client.finish(unary).messages == [text("unary")])
        let reply = try await client.finish(stream)
        #expect(reply.messages == [text("h1")])
        #expect(reply.status == Int32(GRPCCode.unavailable.rawValue))
        try await client.waitForClose()
        await stopping.value
        #expect(test.journal.now.withdrawn == [])
    }

    /// A journal's thread may call after the loop has ended.
    @Test func lateNotificationIsNoHarm() async throws {
        let test = try await TestServer()
        let notify = test.journal.now.notify
        await test.stop()
        notify?()
    }
}

@Suite struct ParkedQueueTests {
    private func answer(_ undoBytes: UInt32) -> ParkedAnswer {
        // SAFETY: the tests never look at the connection.
        let nobody = unsafeBitCast(64, to: Unmanaged<ConnectionHandler>.self)
        return ParkedAnswer(
            connection: nobody, stream: .none, answerBytes: 0, undoBytes: undoBytes,
            receivedNanoseconds: 0)
    }

    @Test func ticketsAreReachedInOrder() {
        var parked = ParkedAnswers()
        var next: UInt32 = 0
        var expected: UInt32 = 0
        for ticket in 1...300 as ClosedRange<UInt64> {
            for _ in 0..<(ticket % 5) {
                _ = parked.append(answer(next))
                next += 1
            }
            if parked.unfiled > 0 { parked.file(under: ticket) }
            if ticket % 7 == 0 {
                while let taken = parked.take(upTo: ticket - 3) {
                    let undoBytes = taken.undoBytes
                    #expect(undoBytes == expected)
                    expected += 1
                }
                let first = parked.take(upTo: ticket - 3) == nil
                #expect(first)
            }
        }
        _ = parked.append(answer(next))
        let unfiled = parked.unfiled
        #expect(unfiled == 1)
        while let taken = parked.takeAny() {
            let undoBytes = taken.undoBytes
            #expect(undoBytes == expected)
            expected += 1
        }
        #expect(expected == next + 1)
    }
}
