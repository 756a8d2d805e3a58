import Limits
import Testing
import Wire

@testable import GRPCServer

@Suite struct LimitServiceTests {
    /// Answers and failures of every kind wait for the disk if the engine says so.
    @Test func everyMethodWaits() async throws {
        let test = try await LimitServer()
        let held: CheckResponse = try await test.call(.checkAndReserve, asking(1)).decoded()
        let requests: [(LimitServiceMethod, any RequestMessage, Int32)] = [
            (.checkAndReserve, asking(1), 0),
            (.checkAndReserve, asking(100), 0),
            (.checkAndReserve, asking(1, tenant: "nobody"), 5),
            (.checkAndReserveBatch, CheckBatchRequest([asking(1), asking(1)]), 0),
            (.checkAndReserveStream, asking(1), 0),
            (.extend, ExtendRequest(reservationID: held.reservationID, ttlMilliseconds: 5_000), 0),
            (.commit, CommitRequest(reservationID: held.reservationID), 0),
            (.release, ReleaseRequest(reservationID: held.reservationID), 9),
            (
                .recordUsage,
                RecordUsageRequest(tenantID: "acme", quantities: [Quantity(.extensions, 1)]), 0
            ),
            (.getUsage, UsageRequest(tenantID: "acme"), 0),
        ]
        test.gate.change { $0.answersWait = true }
        for (method, request, status) in requests {
            let before = test.gate.now.decisions
            let stream = try test.begin(method, [request])
            try await test.settle()
            #expect(test.gate.now.decisions > before)
            let waits =
                test.client.reply(stream).messages.isEmpty && !test.client.reply(stream).isEnded
            #expect(waits, "\(method)")
            try await test.makeDurable()
            #expect(try await test.client.finish(stream).status == status)
        }
        await test.stop()
    }

    /// The journal is told of what was answered at once; of what waits it learns by the ticket.
    @Test func theJournalIsToldOfWhatDoesNotWait() async throws {
        let test = try await LimitServer()
        #expect(test.gate.now.departures == 0)
        _ = try await test.call(.checkAndReserve, asking(1))
        let afterOne = test.gate.now.departures
        #expect(afterOne > 0)
        _ = try await test.call(.checkAndReserveStream, asking(1))
        #expect(test.gate.now.departures > afterOne)
        test.gate.change { $0.answersWait = true }
        let stream = try test.begin(.checkAndReserve, [asking(1)])
        try await test.settle()
        let whileOneWaits = test.gate.now.departures
        try await test.makeDurable()
        #expect(try await test.client.finish(stream).status == 0)
        #expect(test.gate.now.departures == whileOneWaits && test.gate.now.ticket > 0)
        await test.stop()
    }

    /// What the message alone says is wrong depends on no disk.
    @Test func badRequestsDoNotWait() async throws {
        let test = try await LimitServer()
        test.gate.change { $0.answersWait = true }
        let reply = try await test.call(.checkAndReserve, asking(-1))
        #expect(reply.status == Int32(GRPCCode.invalidArgument.rawValue))
        #expect(test.gate.now.decisions == 0)
        await test.stop()
    }

    @Test(arguments: [false, true]) func denialsAsStatus(held: Bool) async throws {
        let test = try await LimitServer()
        test.gate.change { $0.answersWait = held }
        let stream = try test.begin(.checkAndReserve, [asking(11)], timeout: "1H", deny: true)
        if held {
            try await test.settle()
            #expect(!test.client.reply(stream).isEnded)
            try await test.makeDurable()
        }
        let reply = try await test.client.finish(stream)
        #expect(reply.status == Int32(GRPCCode.resourceExhausted.rawValue))
        #expect(reply.messages.isEmpty && !reply.details.isEmpty)
        test.gate.change { $0.answersWait = false }
        let allowed: CheckResponse = try await test.call(
            .checkAndReserve, asking(10), deny: true
        ).decoded()
        #expect(allowed.decision == .allowed)
        await test.stop()
    }

    @Test func batchIsDecidedInOrderAndALaterEqualKeyReplays() async throws {
        let test = try await LimitServer()
        let batch = CheckBatchRequest([
            asking(6, key: "a"), asking(6), asking(6, key: "a"), asking(-1), asking(4),
            asking(5, key: "a"),
        ])
        let response: CheckBatchResponse = try await test.call(.checkAndReserveBatch, batch)
            .decoded()
        let results = response.results
        #expect(results.count == 6)
        #expect(results[0].response?.decision == .allowed)
        #expect(results[1].response?.decision == .denied)
        #expect(results[2].response?.isReplayed == true)
        #expect(results[2].response?.reservationID == results[0].response?.reservationID)
        #expect(results[3].response == nil)
        #expect(results[3].statusCode == Int32(GRPCCode.invalidArgument.rawValue))
        #expect(results[4].response?.decision == .allowed)
        #expect(results[5].errors.first?.code == "49201")
        #expect(try await test.extensions() == [0, 10])
        await test.stop()
    }

    @Test func badEntryOfAStreamIsAnsweredAndTheStreamGoesOn() async throws {
        let test = try await LimitServer()
        let entries = [asking(1), asking(-1), asking(1, tenant: "nobody"), asking(100), asking(2)]
        let reply = try await test.client.finish(test.begin(.checkAndReserveStream, entries))
        #expect(reply.status == 0 && reply.messages.count == 5)
        let answers: [CheckResponse] = try (0..<5).map { try reply.decoded($0) }
        #expect(answers.map(\.statusCode) == [0, 3, 5, 0, 0])
        #expect(answers.map(\.decision) == [.allowed, nil, nil, .denied, .allowed])
        #expect(try await test.extensions() == [0, 3])
        await test.stop()
    }

    @Test func readingStopsAtTheBoundAndHalfCloseAnswersAll() async throws {
        let test = try await LimitServer()
        test.gate.change { $0.answersWait = true }
        let count = 600
        let entries = (0..<count).map { asking(0, key: "\($0)") }
        let stream = try test.begin(.checkAndReserveStream, entries)
        try await test.settle()
        #expect(test.gate.now.decisions == 256)
        let unanswered = test.client.reply(stream).messages.isEmpty
        #expect(unanswered)
        while !test.client.reply(stream).isEnded {
            try await test.makeDurable()
            try test.client.poll()
        }
        let reply = test.client.reply(stream)
        #expect(reply.status == 0 && reply.messages.count == count)
        let ids = try (0..<count).map { index -> UInt64 in
            let answer: CheckResponse = try reply.decoded(index)
            return answer.reservationID
        }
        #expect(Set(ids).count == count)
        await test.stop()
    }
}
