import NIOCore
import Testing
import Wire

@testable import TollgateClient

/// Batches and streams under a policy: what was asked has one outcome, whatever becomes of the service midway.
@Suite("Many checks of a service that is late or gone", .timeLimit(.minutes(5)))
struct ManyOutageTests {
    typealias Outcome = Result<CheckOutcome, TollgateError>

    private static let policy = FailurePolicy.failOpen(upTo: [Quantity(.spend, 10)])

    private static func request(_ amount: Int64, _ key: String = "") -> CheckRequest {
        CheckRequest(
            tenantID: "acme", action: .charge, quantities: [Quantity(.spend, amount)],
            idempotencyKey: key)
    }

    private static func with(
        _ manner: FramePeer.Manner = .polite,
        _ body: (FramePeer, TollgateClient) async throws -> Void
    ) async throws {
        let peer = try await FramePeer.listen(maximumStreams: 100, manner: manner)
        var configuration = TollgateClient.Configuration(
            host: "127.0.0.1", port: peer.port, timeout: .seconds(300),
            connectTimeout: .seconds(300), maximumAttempts: 1, keepaliveInterval: nil)
        configuration.circuitBreaker = nil
        let client = TollgateClient(configuration)
        defer { client.shutdown() }
        try await body(peer, client)
    }

    /// "answered", "through", or the error's code.
    private static func seen(_ outcome: Outcome) -> String {
        switch outcome {
        case .success(.answered): "answered"
        case .success(.letThrough(let action)): "through after \(action.cause)"
        case .failure(let error): "\(error.code)"
        }
    }

    private static func failure(_ body: () async throws -> Void) async -> TollgateError? {
        await #expect(throws: TollgateError.self) { try await body() }
    }

    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count)] + bytes
    }

    /// decision ALLOWED, and a reservation.
    private static func allowed(_ reservation: UInt8) -> [UInt8] {
        [0x08, 1, 0x11, reservation, 0, 0, 0, 0, 0, 0, 0]
    }

    // MARK: Batches

    @Test func eachEntryOfABatchWithoutAnAnswerIsJudged() async throws {
        try await Self.with { peer, client in
            try await peer.stop()
            var look = Self.request(1, "look")
            look.mode = .checkOnly
            let outcomes = try await client.check(
                [Self.request(3, "a"), Self.request(3), look, Self.request(5, "b")],
                onFailure: Self.policy)
            let through = "through after UNAVAILABLE"
            #expect(outcomes.map(Self.seen) == [through, through, "UNAVAILABLE", "UNAVAILABLE"])
            let keys = client.unsettled.map(\.request.idempotencyKey)
            #expect(keys.count == 2 && keys.contains("a") && keys.contains("") == false)
            let counters = client.counters
            #expect(counters.letThrough == 2 && counters.notLetThrough == 1)
            #expect(counters.calls == 1 && counters.failed == [.unavailable: 1])
        }
    }

    @Test func aBatchOfWhichNothingIsLetThroughFails() async throws {
        try await Self.with { peer, client in
            try await peer.stop()
            for (requests, policy) in [
                ([Self.request(3, "a")], .failClosed), ([Self.request(11, "a")], Self.policy),
                ([], Self.policy),
            ] as [([CheckRequest], FailurePolicy)] {
                let error = await Self.failure {
                    _ = try await client.check(requests, onFailure: policy)
                }
                #expect(error?.code == .unavailable)
            }
            #expect(client.unsettled.isEmpty)
        }
    }

    /// It is gone or silent when it has read the batch.
    @Test(arguments: [true, false])
    func aBatchWhoseServiceGoesMidway(_ isKilled: Bool) async throws {
        try await Self.with(isKilled ? .polite : .ignoresPings) { peer, client in
            async let outcomes = client.check(
                [Self.request(3, "a"), Self.request(3, "b")], onFailure: Self.policy,
                timeout: isKilled ? .seconds(300) : .milliseconds(200))
            if isKilled {
                let call = try await peer.next(.headers)
                try await call.channel.close().get()
            }
            let cause = isKilled ? "UNAVAILABLE" : "DEADLINE_EXCEEDED"
            #expect(
                try await outcomes.map(Self.seen)
                    == ["through after \(cause)", "through after \(cause)"])
            try await peer.stop()
        }
    }

    /// What the service decided stands; what it could not decide goes to the policy.
    @Test func aBatchThatIsAnsweredInPart() async throws {
        try await Self.with { peer, client in
            let requests = ["a", "b", "c", "d"].map { Self.request(6, $0) }
            async let ended = client.check(requests, onFailure: Self.policy)
            let call = try await peer.next(.headers)
            #expect(
                try await peer.data().dropFirst(5).elementsEqual(
                    CheckBatchRequest(requests).encoded()))
            let results: [[UInt8]] = [
                Self.field(1, Self.allowed(9)),
                [0x10, 14] + Self.field(3, Self.field(1, Array("10037".utf8))),
                [0x10, 14] + Self.field(3, Self.field(1, Array("10037".utf8))),
                [0x10, 5] + Self.field(3, Self.field(1, Array("10005".utf8))),
            ]
            try await call.reply(
                FramePeer.head(call.stream),
                FramePeer.message(call.stream, results.flatMap { Self.field(1, $0) }),
                FramePeer.trailers(call.stream, status: 0))
            let outcomes = try await ended
            #expect(
                outcomes.map(Self.seen)
                    == ["answered", "through after UNAVAILABLE", "UNAVAILABLE", "NOT_FOUND"])
            guard case .success(.answered(let answer)) = outcomes[0],
                case .failure(let unknown) = outcomes[3]
            else { return }
            #expect(answer.reservationID == 9 && unknown.catalogueCode == "10005")
            #expect(client.unsettled.map(\.request) == [requests[1]])
            #expect(client.counters.allowed == 1 && client.counters.notLetThrough == 1)
            try await peer.stop()
        }
    }

    @Test func aBatchWithTooFewAnswersIsNoAnswer() async throws {
        try await Self.with { peer, client in
            async let ended = Self.failure {
                _ = try await client.check(
                    [Self.request(1, "a"), Self.request(1, "b")], onFailure: Self.policy)
            }
            let call = try await peer.next(.headers)
            try await call.reply(
                FramePeer.head(call.stream),
                FramePeer.message(call.stream, Self.field(1, Self.field(1, Self.allowed(9)))),
                FramePeer.trailers(call.stream, status: 0))
            #expect(await ended?.code == .internal)
            #expect(client.unsettled.isEmpty)
            try await peer.stop()
        }
    }

    // MARK: Streams

    /// The outcomes to the end, and what ended them.
    private static func all(_ stream: CheckOutcomeStream) async -> ([String], TollgateError?) {
        var found: [String] = []
        do throws(TollgateError) {
            while let outcome = try await stream.outcomes.next() { found.append(seen(outcome)) }
            return (found, nil)
        } catch {
            return (found, error)
        }
    }

    /// Sends checks of 4 and answers the first.
    private static func begin(
        _ stream: CheckOutcomeStream, _ peer: FramePeer
    ) async throws -> FramePeer.Frame {
        for key in ["a", "b", "", "d"] { try await stream.send(request(4, key)) }
        let call = try await peer.next(.headers)
        try await call.reply(
            FramePeer.head(call.stream), FramePeer.message(call.stream, allowed(9)))
        let first = try await stream.outcomes.next()
        #expect(first.map(seen) == "answered")
        return call
    }

    @Test func whatAKilledServiceOwesIsJudgedInItsOrder() async throws {
        try await Self.with { peer, client in
            let stream = client.checkStream(onFailure: Self.policy)
            let call = try await Self.begin(stream, peer)
            try await call.channel.close().get()
            let (found, error) = await Self.all(stream)
            let through = "through after UNAVAILABLE"
            #expect(found == [through, through, "UNAVAILABLE"] && error?.code == .unavailable)
            let keys = client.unsettled.map(\.request.idempotencyKey)
            #expect(keys.contains("b") && keys.contains("") == false && keys.count == 2)
            let refused = await Self.failure { try await stream.send(Self.request(1, "e")) }
            #expect(refused?.wasNotProcessed == true)
            // That was not sent, so nothing became of it.
            #expect(await Self.all(stream).0.isEmpty)
            let counters = client.counters
            #expect(counters.letThrough == 2 && counters.notLetThrough == 1)
            #expect(counters.allowed == 1)
            try await peer.stop()
        }
    }

    @Test func whatAPausedServiceOwesIsJudgedInTime() async throws {
        try await Self.with(.ignoresPings) { peer, client in
            let stream = client.checkStream(
                onFailure: Self.policy, answerTimeout: .milliseconds(200))
            for key in ["a", "b"] { try await stream.send(Self.request(4, key)) }
            async let ended = Self.all(stream)
            let call = try await peer.next(.headers)
            // On a machine that stands still it may come too late.
            try? await call.reply(
                FramePeer.head(call.stream), FramePeer.message(call.stream, Self.allowed(9)))
            let (found, error) = await ended
            #expect(found.count == 2 && found.last == "through after DEADLINE_EXCEEDED")
            #expect(error?.code == .deadlineExceeded)
            // The service is told.
            #expect(try await peer.next(.reset).stream == call.stream)
            try await peer.stop()
        }
    }

    /// Nobody is there from the beginning.
    @Test func aStreamThatNeverBegins() async throws {
        try await Self.with { peer, client in
            try await peer.stop()
            let stream = client.checkStream(onFailure: Self.policy)
            // It is queued before the connection fails, or refused after that.
            let isSent = (try? await stream.send(Self.request(4, "a"))) != nil
            let (found, error) = await Self.all(stream)
            #expect(found == (isSent ? ["through after UNAVAILABLE"] : []))
            #expect(error?.code == .unavailable && client.unsettled.count == found.count)
        }
    }

    /// Who is owed nothing waits as long as the stream lives.
    @Test func aReaderLosesNoPatienceOverNothing() async throws {
        try await Self.with(.ignoresPings) { peer, client in
            let stream = client.checkStream(
                onFailure: Self.policy, answerTimeout: .milliseconds(1))
            async let ended = Self.all(stream)
            _ = try await peer.next(.headers)
            let late = await Self.failure {
                _ = try await client.usage(
                    UsageRequest(tenantID: "a"), timeout: .milliseconds(50))
            }
            #expect(late?.code == .deadlineExceeded)
            try await stream.send(Self.request(4, "a"))
            #expect(await ended.0 == ["through after DEADLINE_EXCEEDED"])
            try await peer.stop()
        }
    }

    @Test func entriesThatTheServiceCouldNotDecide() async throws {
        try await Self.with { peer, client in
            let stream = client.checkStream(onFailure: Self.policy)
            let call = try await Self.begin(stream, peer)
            stream.finish()
            try await call.reply(
                FramePeer.message(call.stream, [0x50, 14]),
                FramePeer.message(call.stream, [0x50, 5]),
                FramePeer.message(call.stream, Self.allowed(8)),
                FramePeer.trailers(call.stream, status: 0))
            let (found, error) = await Self.all(stream)
            #expect(found == ["through after UNAVAILABLE", "NOT_FOUND", "answered"])
            #expect(error == nil && client.counters.allowed == 2)
            try await peer.stop()
        }
    }

    @Test func aServiceThatEndsWithoutAnAnswerToAll() async throws {
        try await Self.with { peer, client in
            let stream = client.checkStream(onFailure: Self.policy)
            let call = try await Self.begin(stream, peer)
            try await call.reply(FramePeer.trailers(call.stream, status: 0))
            let (found, error) = await Self.all(stream)
            let through = "through after UNAVAILABLE"
            #expect(found == [through, through, "UNAVAILABLE"] && error == nil)
            try await peer.stop()
        }
    }

    /// No outage, no policy, or nobody who waits.
    @Test(arguments: [TollgateError.Code.unavailable, .permissionDenied, .cancelled])
    func whereNothingIsLetThroughTheStreamFailsAtOnce(_ code: TollgateError.Code) async throws {
        try await Self.with { peer, client in
            let stream = client.checkStream(
                onFailure: code == .unavailable ? .failClosed : Self.policy)
            let call = try await Self.begin(stream, peer)
            switch code {
            case .cancelled: stream.cancel()
            case .unavailable: try await call.channel.close().get()
            default: try await call.reply(FramePeer.trailers(call.stream, status: 7))
            }
            let (found, error) = await Self.all(stream)
            #expect(found.isEmpty && error?.code == code && client.unsettled.isEmpty)
            try await peer.stop()
        }
    }
}
