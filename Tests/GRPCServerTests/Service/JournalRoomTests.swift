import Access
import Engine
import HTTP2
import Journal
import Limits
import NIOCore
import Reservations
import Synchronization
import TestKit
import Testing
import Wire

@testable import GRPCServer

/// Calls that bring more than the rings take at once: all of it is taken, in its turn, as long as the disk does its work.
@Suite struct JournalRoomTests {
    /// A server of one loop over a journal of small rings on a simulated disk, whose rounds the test does.
    private final class Bench {
        // SAFETY: made on one thread, taken over by one event loop.
        private struct Handover: @unchecked Sendable {
            let lane: EngineLane
        }

        final class Kept: Sendable {
            let count = Atomic(0)
        }

        let engine: Engine
        let authority: TokenAuthority
        let server: GRPCServer
        let clock = GRPCServerTests.Journal()
        /// What the service could not take back until its end.
        let kept = Kept()

        init(stallMilliseconds: Int64 = 3_600_000, isOpen: Bool = true) async throws {
            let capacity = TableCapacity(
                tenants: 4, profiles: 4, reservations: 8_192, bodies: 64, keys: 4_096, lanes: 2)
            engine = try Engine.simulated(
                capacity, on: SimulatedDisk(seed: 1), stallMilliseconds: stallMilliseconds
            ).engine
            try engine.setTenant(TenantSettings(id: "acme"))
            engine.runJournal()
            let authority = try TokenAuthority(engine, isOpen: isOpen)
            self.authority = authority
            let lane = Handover(lane: try engine.makeLane())
            var configuration = ServerConfiguration.patient
            configuration.port = 0
            configuration.clock = { [clock] in clock.clock }
            server = try await GRPCServer.start(configuration, methods: LimitService.methods) {
                [kept] in
                LimitService(lane: lane.lane, loop: $0, authority: authority) {
                    kept.count.add($0, ordering: .relaxed)
                }
            }
        }

        /// Does rounds while `body` waits for answers.
        func withRounds<R>(_ body: () async throws -> R) async throws -> R {
            let engine = engine
            let rounds = Task {
                while !Task.isCancelled {
                    engine.runJournal()
                    try? await Task.sleep(for: .milliseconds(1))
                }
            }
            let result = try await body()
            rounds.cancel()
            await rounds.value
            return result
        }

        func begin(
            _ client: TestClient, _ method: LimitServiceMethod, _ messages: [any RequestMessage],
            timeout: String? = nil, token: String? = nil
        ) throws -> StreamHandle {
            var extra = timeout.map { [("grpc-timeout", $0)] } ?? []
            if let token { extra.append(("authorization", "Bearer \(token)")) }
            let stream = try client.begin(
                "\(method.path)", body: messages.flatMap { TestClient.framed($0.encoded()) },
                extra: extra)
            try client.flush()
            return stream
        }

        func client() throws -> TestClient { try TestClient(port: server.port) }

        func stop() async {
            await server.shutdown(within: .zero)
            engine.close()
        }
    }

    private static func batch(_ count: Int) -> CheckBatchRequest {
        CheckBatchRequest((0..<count).map { _ in asking(1) })
    }

    @Test func whatAHealthyDiskTakesIsTaken() async throws {
        let bench = try await Bench()
        let clients = try (0..<4).map { _ in try bench.client() }
        let answers = try await bench.withRounds {
            var batches: [StreamHandle] = []
            for client in clients[..<2] {
                batches.append(
                    try bench.begin(client, .checkAndReserveBatch, [Self.batch(700)]))
            }
            let stream = try bench.begin(
                clients[2], .checkAndReserveStream, (0..<300).map { _ in asking(1) })
            let calls = try (0..<100).map { _ in
                try bench.begin(clients[3], .checkAndReserve, [asking(1)])
            }
            var codes: [Int32] = []
            for (client, batch) in zip(clients, batches) {
                let answer: CheckBatchResponse = try await client.finish(batch).decoded()
                #expect(answer.results.count == 700)
                codes += answer.results.map {
                    $0.response?.decision == .allowed ? 0 : max(1, $0.statusCode)
                }
            }
            let streamed = try await clients[2].finish(stream)
            #expect(streamed.messages.count == 300 && streamed.status == 0)
            for index in streamed.messages.indices {
                codes.append((try streamed.decoded(index) as CheckResponse).statusCode)
            }
            for call in calls { codes.append(try await clients[3].finish(call).status) }
            return codes
        }
        #expect(answers.count == 1_800 && answers.allSatisfy { $0 == 0 })
        let open = try await bench.engine.openReservations(limit: 0)
        #expect(open.total == 1_800, "each entry holds once")
        await bench.stop()
    }

    /// A batch is paid for once, wherever it has to wait, and whoever began one has it done.
    @Test(arguments: [false, true]) func aBatchThatWaitsIsPaidOnce(waitsAtOnce: Bool) async throws {
        let bench = try await Bench(isOpen: false)
        let client = try bench.client()
        func token(_ rate: Int?) throws -> String {
            try bench.authority.create(
                name: "x", scopes: .check, tenantIDs: [], rate: rate
            ).secret
        }
        let slow = try token(1)
        func held() async throws -> Int { try await bench.engine.openReservations(limit: 0).total }
        var others: [StreamHandle] = []
        if waitsAtOnce {
            others.append(
                try bench.begin(
                    client, .checkAndReserveBatch, [Self.batch(700)], token: token(nil)))
            // It has begun, and leaves no room.
            while try await held() == 0 { await Task.yield() }
        }
        let batch = try bench.begin(
            client, .checkAndReserveBatch, [Self.batch(700)], token: slow)
        // What there is room for is done.
        while try await held() == 0 { await Task.yield() }
        let codes = try await bench.withRounds {
            for other in others { _ = try await client.finish(other) }
            let answer: CheckBatchResponse = try await client.finish(batch).decoded()
            #expect(answer.results.count == 700)
            #expect(answer.results.allSatisfy { $0.response?.decision == .allowed })
            var codes: [Int32] = []
            for time in [600, 150] as [Int64] {
                bench.clock.advance(.seconds(time))
                let call = try bench.begin(client, .checkAndReserve, [asking(1)], token: slow)
                codes.append(try await client.finish(call).status)
            }
            return codes
        }
        #expect(codes == [Int32(GRPCCode.resourceExhausted.rawValue), 0])
        await bench.stop()
    }

    /// Has a batch's deadline pass while it waits for room: what was done of it is to be taken back, and its client is gone.
    private func beLate(_ bench: Bench) async throws {
        let client = try bench.client()
        let batch = try bench.begin(
            client, .checkAndReserveBatch, [Self.batch(700)], timeout: "5S")
        while try await bench.engine.openReservations(limit: 0).total == 0 {
            await Task.yield()
        }
        bench.clock.advance(.hours(1))
        let reply = try await client.finish(batch)
        #expect(reply.status == Int32(GRPCCode.deadlineExceeded.rawValue))
    }

    /// A batch whose deadline passes while it waits for room leaves nothing behind, though taking it back has to wait too.
    @Test func aBatchThatIsLateLeavesNothing() async throws {
        let bench = try await Bench()
        try await beLate(bench)
        try await bench.withRounds {
            while try await bench.engine.openReservations(limit: 0).total > 0 {
                try Task.checkCancellation()
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        await bench.stop()
    }

    /// The service stops while what is to be taken back waits for room: it is taken back if there is some by now, or told.
    @Test(arguments: [true, false])
    func whatWaitsToBeTakenBackIsNotForgottenAtTheEnd(hasRoom: Bool) async throws {
        let bench = try await Bench()
        try await beLate(bench)
        let loop = bench.server.loops[0]
        while try await loop.eventLoop.submit({ loop.openConnectionCount }).get() > 0 {
            await Task.yield()
        }
        let engine = bench.engine
        // In one turn of the loop: no tick comes between them.
        try await loop.eventLoop.submit {
            if hasRoom { engine.runJournal() }
            loop.drain {}
        }.get()
        let open = try await bench.engine.openReservations(limit: 0).total
        #expect(bench.kept.count.load(ordering: .relaxed) == open)
        // Without a round the last of the ring, which is for what settles, may do.
        #expect(!hasRoom || open == 0)
        await bench.stop()
    }

    /// Once the disk makes no progress, what finds no room is refused: each entry by itself.
    @Test func aStalledDiskRefuses() async throws {
        let bench = try await Bench(stallMilliseconds: 0)
        let client = try bench.client()
        let batch = try bench.begin(client, .checkAndReserveBatch, [Self.batch(700)])
        // A request that is refused for its shape waits for no disk: once it is answered, the batch is decided.
        let refused = try bench.begin(client, .checkAndReserve, [asking(-1)])
        #expect(
            try await client.finish(refused).status == Int32(GRPCCode.invalidArgument.rawValue))
        let answer: CheckBatchResponse = try await bench.withRounds {
            try await client.finish(batch).decoded()
        }
        let unavailable = Int32(GRPCCode.unavailable.rawValue)
        #expect(answer.results.first?.response?.decision == .allowed)
        #expect(answer.results.last?.statusCode == unavailable)
        await bench.stop()
    }
}
