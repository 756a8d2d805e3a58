import GRPCStandard
import HTTP2
import NIOCore
import Testing
import Wire

@testable import GRPCServer

@Suite struct HealthTests {
    static let check = "/grpc.health.v1.Health/Check"
    static let list = "/grpc.health.v1.Health/List"
    static let watch = "/grpc.health.v1.Health/Watch"

    static let serving = Proto.number(1, 1)
    static let notServing = Proto.number(1, 2)
    static let serviceUnknown = Proto.number(1, 3)

    static let reflections = [
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    ]

    func status(_ client: TestClient, _ service: String) async throws -> [UInt8] {
        let request = service.isEmpty ? [] : Proto.text(1, service)
        let reply = try await client.call(Self.check, request)
        #expect(reply.status == 0 && reply.messages.count == 1)
        return reply.messages.first ?? []
    }

    // MARK: Statuses

    @Test func aValueTellsEachService() {
        var statuses = ServingStatuses([
            .init("", needsReadiness: true), .init("a", needsReadiness: true),
            .init("b", needsReadiness: false),
        ])
        func all() -> [ServingStatus] { statuses.all.map(\.status) }
        #expect(all() == [.notServing, .notServing, .serving])
        statuses.isReady = true
        #expect(all() == [.serving, .serving, .serving])
        statuses.isStopping = true
        #expect(all() == [.notServing, .notServing, .notServing])
        statuses.isReady = false
        #expect(all() == [.notServing, .notServing, .notServing])
        #expect(statuses.place(of: "b") == 2 && statuses.place(of: "B") == nil)
        #expect(statuses.status(at: nil) == .serviceUnknown)
    }

    // MARK: Check and List

    @Test func eachServiceIsChecked() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let names = ["", "t.T", "grpc.health.v1.Health"] + Self.reflections
        for name in names { #expect(try await status(client, name) == Self.serving, "\(name)") }
        test.standard.health.set(isReady: false)
        try await test.settle()
        for (place, name) in names.enumerated() {
            #expect(try await status(client, name) == (place < 2 ? Self.notServing : Self.serving))
        }
        test.standard.health.set(isReady: true)
        try await test.settle()
        #expect(try await status(client, "") == Self.serving)
        await test.standard.health.stop()
        for name in names { #expect(try await status(client, name) == Self.notServing) }
        test.standard.health.set(isReady: true)
        try await test.settle()
        #expect(try await status(client, "") == Self.notServing, "a stop is for good")
        await test.stop()
    }

    @Test func otherNamesAreNotFound() async throws {
        let test = try await StandardServer(reflection: false)
        let client = try TestClient(port: test.server.port)
        for name in ["t", "t.T/Echo", "T.T", "grpc.health.v1.Health.Check", Self.reflections[0]] {
            let reply = try await client.call(Self.check, Proto.text(1, name))
            #expect(reply.status == Int32(GRPCCode.notFound.rawValue) && reply.messages.isEmpty)
        }
        await test.stop()
    }

    @Test(arguments: [[0x0a, 9, 1], [0x0a, 1, 0xff], [0xff]] as [[UInt8]])
    func whatIsNoRequestIsInternal(request: [UInt8]) async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        for method in [Self.check, Self.watch] {
            let reply = try await client.call(method, request)
            #expect(reply.status == Int32(GRPCCode.internal.rawValue))
        }
        let long = try await client.call(Self.check, [UInt8](repeating: 0, count: 1_025))
        #expect(long.status == Int32(GRPCCode.resourceExhausted.rawValue))
        #expect(try await status(client, "") == Self.serving)
        await test.stop()
    }

    @Test func allAreListed() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let reply = try await client.call(Self.list, [])
        var expected: [UInt8] = []
        for name in ["", "t.T", "grpc.health.v1.Health"] + Self.reflections {
            // proto3 leaves an empty name out.
            let entry = (name.isEmpty ? [] : Proto.text(1, name)) + [0x12, 2] + Self.serving
            expected += [0x0a, UInt8(entry.count)] + entry
        }
        #expect(reply.status == 0 && reply.messages == [expected])
        await test.stop()
    }

    /// Whoever takes another method for a unary one has no list.
    @Test func onlyCheckAndListAreUnary() async throws {
        let test = try await StandardServer()
        let board = test.standard.health
        let outcomes = try await test.server.loops[0].eventLoop.submit {
            [loop = test.server.loops[0]] in
            let service = HealthService(board, firstMethod: 7, loop: loop)
            return (6...10).map { method -> Bool in
                loop.call.values.pointee.method = method
                var output = ByteQueue()
                return withUnsafeMutablePointer(to: &output) { output in
                    var response = ResponseBuffer(output)
                    let outcome = service.unary(
                        loop.call, request: UnsafeRawBufferPointer(start: nil, count: 0),
                        response: &response)
                    if case .done = outcome { return true }
                    return false
                }
            }
        }.get()
        #expect(outcomes == [false, true, true, false, false])
        await test.stop()
    }

    // MARK: Watch

    /// Compressed, behind another request, it waits to be unpacked.
    @Test func aWatchThatWaitedIsAWatch() async throws {
        let test = try await StandardServer { $0.unpackedBurstBytes = 0 }
        test.journal.freeze()
        let client = try TestClient(port: test.server.port)
        let sends = CompressionTests.sends
        let echo = try client.begin(
            "/t.T/Echo", body: CompressionTests.packed(CompressionTests.zeros), extra: sends)
        #expect(try await client.finish(echo).status == 0)
        let name = String(repeating: "x", count: 120)
        let watch = try client.begin(
            Self.watch, body: CompressionTests.packed(Proto.text(1, name)), extra: sends)
        try await client.waitForArrival()
        let loop = test.server.loops[0]
        while try await loop.eventLoop.submit({ loop.unpacking.count }).get() == 0 {
            await Task.yield()
        }
        test.journal.advance(.seconds(10))
        try await client.pump { client.reply(watch).messages == [Self.serviceUnknown] }
        #expect(!client.reply(watch).isEnded)
        await test.stop()
    }

    @Test func watchersAreToldOfChanges() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let watch = try client.begin(Self.watch, body: TestClient.framed(Proto.text(1, "t.T")))
        let unknown = try client.begin(Self.watch, body: TestClient.framed(Proto.text(1, "x")))
        try await client.pump {
            client.reply(watch).messages == [Self.serving]
                && client.reply(unknown).messages == [Self.serviceUnknown]
        }
        #expect(test.standard.health.set(isReady: true) == false, "no news")
        test.standard.health.set(isReady: false)
        try await client.pump {
            client.reply(watch).messages == [Self.serving, Self.notServing]
        }
        test.standard.health.set(isReady: true)
        try await client.pump { client.reply(watch).messages.count == 3 }
        #expect(client.reply(watch).messages.last == Self.serving)
        #expect(client.reply(unknown).messages == [Self.serviceUnknown])
        #expect(!client.reply(watch).isEnded && !client.reply(unknown).isEnded)
        await test.stop()
    }

    /// A drain ends watches, and what they are told before is that nothing serves any more.
    @Test func watchersAreToldBeforeADrainEndsThem() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        try await client.becomeKnown()
        // More than are told in one turn.
        let clients = try (0..<2).map { _ in try TestClient(port: test.server.port) }
        var watches: [(TestClient, StreamHandle)] = []
        for client in clients {
            try await client.becomeKnown()
            for _ in 0..<200 {
                watches.append((client, try client.begin(Self.watch, body: TestClient.framed([]))))
            }
        }
        for (client, watch) in watches {
            try await client.pump { client.reply(watch).messages.count == 1 }
        }
        await test.standard.health.stop()
        async let drained: Void = test.server.drain(within: .seconds(60))
        for (client, watch) in watches {
            let end = try await client.finish(watch)
            #expect(end.messages == [Self.serving, Self.notServing])
            #expect(end.status == Int32(GRPCCode.unavailable.rawValue))
        }
        try await client.waitForClose()
        for client in clients { try await client.waitForClose() }
        await drained
        await test.server.stop()
    }

    /// Whoever reads nothing misses what was over before it read on, and learns the latest.
    @Test func slowReadersLearnTheLatest() async throws {
        let test = try await StandardServer { $0.maximumStreamOutputBytes = 30 }
        var narrow = SessionConfiguration()
        narrow.streamWindowBytes = 7
        let client = try TestClient(port: test.server.port, configuration: narrow)
        // Behind Echo's answer the window of the watch is its own.
        let watch = try client.begin(Self.watch, body: TestClient.framed([]))
        let held = try TestClient(port: test.server.port)
        for change in 0..<101 {
            test.standard.health.set(isReady: change % 2 == 1)
            #expect(try await status(held, "t.T").count == 2)
        }
        try await client.pump { client.reply(watch).messages.last == Self.notServing }
        let told = client.reply(watch).messages.count
        #expect(told < 100, "\(told)")
        test.standard.health.set(isReady: true)
        try await client.pump { client.reply(watch).messages.last == Self.serving }
        await test.stop()
    }

    @Test func aWatchThatIsCancelledIsForgotten() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let watch = try client.begin(Self.watch, body: TestClient.framed([]))
        try await client.pump { client.reply(watch).messages.count == 1 }
        client.cancel(watch)
        #expect(try await status(client, "") == Self.serving)
        test.standard.health.set(isReady: false)
        try await test.settle()
        let left = try await test.server.loops[0].eventLoop.submit { [server = test.server] in
            server.loops[0].activeCallCount
        }.get()
        #expect(left == 0)
        await test.stop()
    }

    // MARK: Strangers

    /// Health needs no token: that shows nobody, and is bounded.
    @Test func aStrangerMayWatchLittle() async throws {
        let test = try await StandardServer { $0.maximumStrangerCalls = 3 }
        let client = try TestClient(port: test.server.port)
        let watches = try (0..<5).map { _ in
            try client.begin(Self.watch, body: TestClient.framed([]))
        }
        for refused in watches[3...] {
            #expect(
                try await client.finish(refused).status
                    == Int32(GRPCCode.resourceExhausted.rawValue))
        }
        // What is decided within its read is not counted.
        #expect(try await status(client, "") == Self.serving)
        // Requests that do not end are.
        client.cancel(watches[0])
        let unfinished = try (0..<2).map { _ in
            try client.begin(Self.check, body: [0], finished: false)
        }
        #expect(
            try await client.finish(unfinished[1]).status
                == Int32(GRPCCode.resourceExhausted.rawValue))
        client.send(unfinished[0], [0, 0, 0, 0], finished: true)
        #expect(try await client.finish(unfinished[0]).messages == [Self.serving])
        // Whoever is known may have as many as other calls.
        try await client.becomeKnown()
        let more = try (0..<50).map { _ in
            try client.begin(Self.watch, body: TestClient.framed([]))
        }
        for watch in more { try await client.pump { client.reply(watch).messages.count == 1 } }
        await test.stop()
    }

    @Test(arguments: [true, false]) func checksByAStrangerHaveABudget(isKnown: Bool) async throws {
        let test = try await StandardServer {
            $0.session.ownResets = .init(burst: 20, perSecond: 0)
        }
        let client = try TestClient(port: test.server.port)
        if isKnown { try await client.becomeKnown() }
        var answered = 0
        while answered < 60, let reply = try? await client.call(Self.check, []),
            reply.messages == [Self.serving]
        {
            answered += 1
        }
        if isKnown {
            #expect(answered == 60)
        } else {
            // The one that is too many is answered, and ends the connection.
            #expect((20...22).contains(answered) && client.sawGoAway, "\(answered)")
        }
        await test.stop()
    }
}
