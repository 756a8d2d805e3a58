import NIOCore
import Synchronization
import Testing
import Wire

@testable import TollgateClient

/// What a client does when the service is late or gone.
@Suite("A service that is late or gone", .timeLimit(.minutes(5)))
struct OutageTests {
    private static let usage = UsageRequest(tenantID: "a")
    private static let request = CheckRequest(
        tenantID: "acme", action: .charge, quantities: [Quantity(.spend, 3)])
    private static let keyed = CheckRequest(
        tenantID: "acme", action: .charge, quantities: [Quantity(.spend, 3)], idempotencyKey: "k")
    private static let policy = FailurePolicy.failOpen(upTo: [Quantity(.spend, 10)])

    private static func listen(_ manner: FramePeer.Manner = .polite) async throws -> FramePeer {
        try await FramePeer.listen(maximumStreams: 100, manner: manner)
    }

    /// A client of several peers, in whose calls nothing but what is meant is late.
    private static func client(
        _ peers: [FramePeer], timeout: Duration = .seconds(300), attempts: Int = 3,
        attemptTimeout: Duration = .seconds(200), avoidance: Duration = .seconds(600),
        breaker: Int? = nil
    ) -> TollgateClient {
        var configuration = TollgateClient.Configuration(
            endpoints: peers.map { Endpoint(host: "127.0.0.1", port: $0.port) }, timeout: timeout,
            attemptTimeout: attemptTimeout, connectTimeout: .seconds(300),
            maximumAttempts: attempts, keepaliveInterval: nil)
        configuration.endpointAvoidance = avoidance
        configuration.maximumEndpointAvoidance = avoidance
        configuration.circuitBreaker = breaker.map {
            .init(failures: $0, pause: .seconds(600), maximumPause: .seconds(600))
        }
        return TollgateClient(configuration)
    }

    private static func failure(
        _ body: () async throws -> Void
    ) async -> TollgateError? {
        await #expect(throws: TollgateError.self) { try await body() }
    }

    // MARK: Several endpoints

    @Test func oneThatRefusesIsPassedOverByTheSameAttempt() async throws {
        let (gone, there) = (try await Self.listen(), try await Self.listen())
        try await gone.stop()
        let client = Self.client([gone, there], attempts: 1)
        defer { client.shutdown() }
        async let answer = client.usage(Self.usage)
        try await there.next(.headers).succeed()
        _ = try await answer
        #expect(client.counters.endpointFailures == 1 && client.counters.retries == 0)
        try await there.stop()
    }

    @Test func whereNobodyListensAllAreTriedAndNamed() async throws {
        let (one, other) = (try await Self.listen(), try await Self.listen())
        try await one.stop()
        try await other.stop()
        let client = Self.client([one, other], attempts: 1)
        defer { client.shutdown() }
        let error = await Self.failure { _ = try await client.usage(Self.usage) }
        #expect(error?.code == .unavailable && error?.wasNotProcessed == true)
        #expect(error?.message.contains("127.0.0.1:\(other.port)") == true)
        #expect(client.counters.endpointFailures == 2)
    }

    /// A service that ends its connections, as for an upgrade: what it says that it has not processed goes over another
    /// connection within the same attempt, though it could not be repeated.
    @Test func aCallThatAnEndingConnectionRefusesGoesOverAnother() async throws {
        let peer = try await Self.listen()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        async let answer = client.check(Self.request)
        let refused = try await peer.next(.headers)
        try await refused.reply(FramePeer.goAway(last: 0))
        let moved = try await peer.next(.headers)
        #expect(moved.channel !== refused.channel)
        try await moved.succeed()
        _ = try await answer
        #expect(client.counters.retries == 0 && client.counters.failed.isEmpty)
        try await peer.stop()
    }

    /// A service that refuses it again is not asked for ever.
    @Test func aCallMovesOnce() async throws {
        let peer = try await Self.listen()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        let refusing = Task {
            while true {
                let call = try await peer.next(.headers)
                try? await call.reply(FramePeer.goAway(last: 0))
            }
        }
        defer { refusing.cancel() }
        let error = await Self.failure { _ = try await client.check(Self.request) }
        #expect(error?.code == .unavailable && error?.wasNotProcessed == true)
        try await peer.stop()
    }

    @Test func oneThatIsSilentIsLeftForAnother() async throws {
        let (silent, there) = (try await Self.listen(.ignoresPings), try await Self.listen())
        // A machine that stands still makes anybody silent: then there is another attempt, and another.
        let client = Self.client(
            [silent, there], attempts: 1_000_000, attemptTimeout: .milliseconds(100),
            avoidance: .milliseconds(10))
        defer { client.shutdown() }
        let answering = Task {
            // A connection that was left in vain may have ended.
            while true {
                let call = try await there.next(.headers)
                try? await call.succeed()
            }
        }
        defer { answering.cancel() }
        // Repeatable: a further attempt goes where somebody answers, and so do the calls that follow.
        for _ in 0..<2 { _ = try await client.usage(Self.usage) }
        let counters = client.counters
        #expect(counters.answered == 2 && counters.failed.isEmpty)
        #expect(counters.retries > 0 && counters.endpointFailures > 0)
        // Nothing is owed any more: the connection that was left is closed.
        _ = try await silent.next(.closed)
        try await silent.stop()
        try await there.stop()
    }

    /// Whether it says nothing or refuses the call first: another one answers within the call's attempts, and is asked
    /// from then on.
    @Test(arguments: [false, true])
    func oneThatDropsConnectionsIsAvoided(_ refuses: Bool) async throws {
        let (dropping, there) = (try await Self.listen(), try await Self.listen())
        let client = Self.client([dropping, there])
        defer { client.shutdown() }
        let drop = Task {
            while true {
                let call = try await dropping.next(.headers)
                if refuses {
                    try? await call.reply(
                        FramePeer.reset(call.stream, code: FramePeer.refusedStream))
                }
                try? await call.channel.close().get()
            }
        }
        defer { drop.cancel() }
        // A connection that ends after an answer is nothing against its endpoint.
        let answering = Task {
            while true {
                let call = try await there.next(.headers)
                // It may have been sent on a connection that has ended.
                try? await call.succeed()
                try? await call.channel.close().get()
            }
        }
        defer { answering.cancel() }
        for _ in 0..<3 { _ = try await client.usage(Self.usage) }
        #expect(client.counters.answered == 3 && client.counters.failed.isEmpty)
        #expect(client.counters.endpointFailures == 1)
        try await dropping.stop()
        try await there.stop()
    }

    /// Whether it was processed nobody knows: it is not repeated.
    @Test func anUnkeyedCheckHasOneAttemptAndAllTheTime() async throws {
        let (silent, there) = (try await Self.listen(.ignoresPings), try await Self.listen())
        let client = Self.client(
            [silent, there], timeout: .milliseconds(1_500), attemptTimeout: .milliseconds(500))
        defer { client.shutdown() }
        let error = await Self.failure { _ = try await client.check(Self.request) }
        #expect(error?.code == .deadlineExceeded && client.counters.retries == 0)
        try await silent.stop()
        try await there.stop()
    }

    /// An earlier attempt got lost on its way: that the last one was never sent says nothing of the call.
    @Test(arguments: [nil, 1])
    func whatMayBeProcessedIsSaid(breaker: Int?) async throws {
        let peer = try await Self.listen()
        let client = Self.client([peer], attempts: 2, breaker: breaker)
        defer { client.shutdown() }
        async let ended = Self.failure { _ = try await client.usage(Self.usage) }
        let call = try await peer.next(.headers)
        try await peer.stop()
        try await call.channel.close().get()
        let error = await ended
        #expect(error?.code == .unavailable && error?.wasNotProcessed == false)
        let last = breaker == nil ? "Cannot connect to" : "times in a row"
        #expect(error?.message.contains(last) == true)
        // Another call has had no attempt before.
        let next = await Self.failure { _ = try await client.usage(Self.usage) }
        #expect(next?.wasNotProcessed == true)
    }

    // MARK: The circuit breaker

    /// Nor do they delay those who give the service time.
    @Test func callersWithoutTimeDoNotOpenIt() async throws {
        let silent = try await Self.listen(.ignoresPings)
        let client = Self.client([silent], attempts: 1, breaker: 1)
        defer { client.shutdown() }
        for milliseconds in [0, 1, 10, 49] {
            let error = await Self.failure {
                _ = try await client.usage(Self.usage, timeout: .milliseconds(milliseconds))
            }
            #expect(error?.code == .deadlineExceeded)
        }
        #expect(client.counters.breakerOpened == 0 && client.counters.heldBack == 0)
        // A machine that stands still may take a call's time away before it begins.
        while client.counters.breakerOpened == 0 {
            let error = await Self.failure {
                _ = try await client.usage(Self.usage, timeout: .milliseconds(200))
            }
            #expect(error?.code == .deadlineExceeded)
        }
        try await silent.stop()
    }

    @Test func afterFailuresInARowCallsFailAtOnce() async throws {
        let peer = try await Self.listen()
        try await peer.stop()
        let client = Self.client([peer], attempts: 1, breaker: 3)
        defer { client.shutdown() }
        for _ in 0..<3 { _ = await Self.failure { _ = try await client.usage(Self.usage) } }
        let error = await Self.failure { _ = try await client.usage(Self.usage) }
        #expect(error?.code == .unavailable && error?.wasNotProcessed == true)
        #expect(error?.message.contains("3 times in a row") == true)
        let counters = client.counters
        #expect(counters.calls == 4 && counters.failed == [.unavailable: 4])
        #expect(counters.breakerOpened == 1 && counters.heldBack == 1)
        #expect(counters.endpointFailures == 3)
    }

    @Test func anAnswerOfAnyKindIsNoFailure() async throws {
        let peer = try await Self.listen()
        let client = Self.client([peer], attempts: 1, breaker: 2)
        defer { client.shutdown() }
        for status in [8, 8, 5, 8] {
            async let ended = Self.failure { _ = try await client.usage(Self.usage) }
            let frame = try await peer.next(.headers)
            try await frame.reply(FramePeer.trailers(frame.stream, status: status, isAlone: true))
            _ = await ended
        }
        #expect(client.counters.breakerOpened == 0 && client.counters.heldBack == 0)
        #expect(client.counters.failed == [.resourceExhausted: 3, .notFound: 1])
        try await peer.stop()
    }

    // MARK: Policies

    @Test func failClosedFails() async throws {
        let peer = try await Self.listen()
        try await peer.stop()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        let error = await Self.failure {
            _ = try await client.check(Self.request, onFailure: .failClosed)
        }
        #expect(error?.code == .unavailable && client.unsettled.isEmpty)
        #expect(client.counters.letThrough == 0 && client.counters.notLetThrough == 0)
    }

    @Test func failOpenLetsThroughUpToItsBudget() async throws {
        let peer = try await Self.listen()
        try await peer.stop()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        var keys: Set<String> = []
        for _ in 0..<3 {
            let outcome = try await client.check(Self.request, onFailure: Self.policy)
            guard case .letThrough(let action) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(
                action.cause == .unavailable && action.request.quantities == [Quantity(.spend, 3)])
            keys.insert(action.request.idempotencyKey)
        }
        #expect(keys.count == 3 && keys.contains("") == false)
        var large = Self.request
        large.quantities = [Quantity(.spend, 11)]
        let error = await Self.failure { [large] in
            _ = try await client.check(large, onFailure: Self.policy)
        }
        #expect(error?.code == .unavailable)
        #expect(Set(client.unsettled.map(\.request.idempotencyKey)) == keys)
        let counters = client.counters
        #expect(counters.letThrough == 3 && counters.notLetThrough == 1 && counters.unsettled == 3)
    }

    @Test func aDeadlineThatPassesIsAnOutageToo() async throws {
        let silent = try await Self.listen(.ignoresPings)
        let client = Self.client([silent], timeout: .milliseconds(50))
        defer { client.shutdown() }
        let outcome = try await client.check(Self.keyed, onFailure: Self.policy)
        guard case .letThrough(let action) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(action.cause == .deadlineExceeded && action.request == Self.keyed)
        try await silent.stop()
    }

    /// The service has spoken: neither its failures nor a caller that goes away are an outage.
    @Test func onlyAnOutageIsLetThrough() async throws {
        let peer = try await Self.listen()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        for (status, code) in [
            (3, TollgateError.Code.invalidArgument), (7, .permissionDenied),
            (8, .resourceExhausted), (9, .failedPrecondition),
        ] {
            async let ended = Self.failure {
                _ = try await client.check(Self.keyed, onFailure: Self.policy)
            }
            let frame = try await peer.next(.headers)
            try await frame.reply(FramePeer.trailers(frame.stream, status: status, isAlone: true))
            #expect(await ended?.code == code)
        }
        let task = Task { try await client.check(Self.keyed, onFailure: Self.policy) }
        _ = try await peer.next(.headers)
        task.cancel()
        let cancelled = await #expect(throws: TollgateError.self) { try await task.value }
        #expect(cancelled?.code == .cancelled)
        client.shutdown()
        let shut = await Self.failure {
            _ = try await client.check(Self.keyed, onFailure: Self.policy)
        }
        #expect(shut?.code == .unavailable && client.unsettled.isEmpty)
        try await peer.stop()
    }

    @Test func whatCannotBeSettledFailsClosed() async throws {
        let peer = try await Self.listen()
        try await peer.stop()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        var look = Self.keyed
        look.mode = .checkOnly
        var long = Self.keyed
        long.idempotencyKey = String(repeating: "k", count: 121)
        var strict = Self.keyed
        strict.overage = .reject
        for request in [look, long, strict] {
            let error = await Self.failure {
                _ = try await client.check(request, onFailure: Self.policy)
            }
            #expect(error?.code == .unavailable)
        }
        #expect(client.unsettled.isEmpty)
    }

    // MARK: Settling

    /// What a service answers to one call.
    enum Reply: Sendable {
        case ok([UInt8])
        /// INVALID_ARGUMENT, 49201.
        case keyReused
        case notFound
    }

    /// The messages that a settlement sends; what is recorded differs from what is checked.
    private static func settle(
        mode: Mode = .reserve, actual: [Quantity]? = nil, _ replies: [Reply]
    ) async throws -> [[UInt8]] {
        let peer = try await listen()
        let client = client([peer], attempts: 1)
        defer { client.shutdown() }
        var request = keyed
        request.mode = mode
        let action = LetThrough(request: request, atMilliseconds: 1, cause: .unavailable)
        let isKept = client.outage.withLock {
            $0.letThrough(action, budget: [Quantity(.spend, 3)], minute: 0)
        }
        #expect(isKept)
        async let settled: Void = client.settle(action, actual: actual)
        var calls: [[UInt8]] = []
        for reply in replies {
            let head = try await peer.next(.headers)
            calls.append(Array(try await peer.data().dropFirst(5)))
            switch reply {
            case .ok(let bytes):
                try await head.reply(
                    FramePeer.head(head.stream), FramePeer.message(head.stream, bytes),
                    FramePeer.trailers(head.stream, status: 0))
            case .keyReused:
                try await head.reply(
                    FramePeer.trailers(
                        head.stream, status: 3, isAlone: true, details: FramePeer.keyReused))
            case .notFound:
                try await head.reply(FramePeer.trailers(head.stream, status: 5, isAlone: true))
            }
        }
        try await settled
        #expect(client.unsettled.isEmpty && client.counters.settled == 1)
        try await peer.stop()
        return calls
    }

    private static func usage(_ amount: Int64, key: String) -> [UInt8] {
        RecordUsageRequest(
            tenantID: "acme", action: .charge, quantities: [Quantity(.spend, amount)],
            idempotencyKey: key
        ).encoded()
    }

    /// decision, reservation_id where there is one, and replayed.
    private static func answer(
        _ decision: UInt8, reservation: UInt8 = 0, isReplayed: Bool = true
    ) -> [UInt8] {
        [0x08, decision] + (reservation == 0 ? [] : [0x11, reservation, 0, 0, 0, 0, 0, 0, 0])
            + (isReplayed ? [0x40, 1] : [])
    }

    private static let commit = CommitRequest(
        reservationID: 9, actual: [Quantity(.spend, 2)], tenantID: "acme"
    ).encoded()

    @Test func usageIsRecordedUnderTheSameKey() async throws {
        let calls = try await Self.settle([.ok([])])
        #expect(calls == [Self.usage(3, key: "k")] && calls[0] != Self.keyed.encoded())
    }

    @Test func aHoldThatTheServiceHasIsCommitted() async throws {
        let calls = try await Self.settle(
            actual: [Quantity(.spend, 2)],
            [.keyReused, .ok(Self.answer(1, reservation: 9)), .ok([])])
        #expect(calls == [Self.usage(2, key: "k"), Self.keyed.encoded(), Self.commit])
    }

    @Test func aHoldThatIsForgottenIsRecordedApart() async throws {
        let calls = try await Self.settle(
            actual: [Quantity(.spend, 2)],
            [.keyReused, .ok(Self.answer(1, reservation: 9)), .notFound, .ok([])])
        #expect(calls[2...] == [Self.commit, Self.usage(2, key: "k~outage")])
    }

    /// The check had been denied, and fits only now: it might have been recorded apart before.
    @Test func aHoldThatIsTakenOnlyNowIsGivenBack() async throws {
        let calls = try await Self.settle(
            [
                .keyReused, .ok(Self.answer(1, reservation: 9, isReplayed: false)), .ok([]),
                .ok([]),
            ])
        let release = ReleaseRequest(reservationID: 9, tenantID: "acme").encoded()
        #expect(calls[2...] == [release, Self.usage(3, key: "k~outage")])
    }

    @Test func aChargeThatTheServiceHasIsEnough() async throws {
        let calls = try await Self.settle(mode: .commit, [.keyReused, .ok(Self.answer(1))])
        #expect(calls.count == 2)
    }

    @Test func whatGoesBeyondTheChargeIsRecordedApart() async throws {
        let calls = try await Self.settle(
            mode: .commit, actual: [Quantity(.spend, 5)],
            [.keyReused, .ok(Self.answer(1)), .ok([])])
        #expect(calls.last == Self.usage(2, key: "k~outage"))
    }

    @Test func whatIsDeniedAfterwardsHasHappenedAllTheSame() async throws {
        let calls = try await Self.settle([.keyReused, .ok(Self.answer(2)), .ok([])])
        #expect(calls.last == Self.usage(3, key: "k~outage"))
    }

    /// What failed is still there, and is settled by the next try.
    @Test func aSettlementThatFailsIsTriedAgain() async throws {
        let peer = try await Self.listen()
        try await peer.stop()
        let client = Self.client([peer], attempts: 1)
        defer { client.shutdown() }
        _ = try await client.check(Self.keyed, onFailure: Self.policy)
        let action = try #require(client.unsettled.first)
        let error = await Self.failure { try await client.settle(action) }
        #expect(error?.code == .unavailable && client.unsettled == [action])
        #expect(client.counters.settled == 0)
    }
}
