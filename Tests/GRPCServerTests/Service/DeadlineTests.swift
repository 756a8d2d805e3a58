import Engine
import Limits
import NIOCore
import Testing
import Wire

@testable import GRPCServer

/// What becomes of decisions whose caller has gone (semantics §3, "Deadlines"): the deadline passes while the engine
/// decides, or while the answer waits for the disk.
@Suite struct DeadlineTests {
    private static let deadlineExceeded = Int32(GRPCCode.deadlineExceeded.rawValue)

    /// When the deadline of a call passes.
    enum Moment: CaseIterable {
        case whileDeciding, whileHeld
    }

    /// A call with a deadline that passes at `moment`.
    private func late(
        _ test: LimitServer, _ moment: Moment, _ method: LimitServiceMethod,
        _ messages: [any RequestMessage]
    ) async throws -> TestClient.Reply {
        test.gate.change {
            if moment == .whileHeld {
                $0.answersWait = true
            } else {
                $0.decisionTakes = .seconds(1)
            }
        }
        let stream = try test.begin(method, messages, timeout: "500m")
        if moment == .whileHeld {
            let before = try await test.extensions()
            #expect(before != [0, 0], "decided and held")
            test.gate.advance(.seconds(1))
        }
        let reply = try await test.client.finish(stream)
        try await test.makeDurable()
        test.gate.change {
            $0.answersWait = false
            $0.decisionTakes = .zero
        }
        return reply
    }

    @Test(arguments: Moment.allCases) func unkeyedHoldIsReleased(moment: Moment) async throws {
        let test = try await LimitServer()
        let reply = try await late(test, moment, .checkAndReserve, [asking(3)])
        #expect(reply.status == Self.deadlineExceeded && reply.messages.isEmpty)
        #expect(try await test.extensions() == [0, 0])
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func unkeyedChargeIsReversed(moment: Moment) async throws {
        let test = try await LimitServer()
        let reply = try await late(test, moment, .checkAndReserve, [asking(3, mode: .commit)])
        #expect(reply.status == Self.deadlineExceeded)
        #expect(try await test.extensions() == [0, 0])
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func aSuspensionGoesWithItsCharge(moment: Moment) async throws
    {
        let test = try await LimitServer()
        try test.engine.setTenant(
            TenantSettings(
                id: "acme", limits: TenantLimits(monthlySpendNanos: 5, autoSuspend: true)))
        var charge = asking(3, mode: .commit)
        charge.quantities.append(Quantity(.spend, 5))
        let reply = try await late(test, moment, .checkAndReserve, [charge])
        #expect(reply.status == Self.deadlineExceeded)
        #expect(try await test.extensions() == [0, 0])
        #expect(try test.engine.status(ofTenant: "acme") == .active)
        // One whose caller is there suspends.
        let stands: CheckResponse = try await test.call(.checkAndReserve, charge).decoded()
        #expect(stands.decision == .allowed && stands.tenantStatus == .suspended)
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func keyedHoldStandsForTheRetry(moment: Moment) async throws {
        let test = try await LimitServer()
        let reply = try await late(test, moment, .checkAndReserve, [asking(3, key: "k")])
        #expect(reply.status == Self.deadlineExceeded)
        #expect(try await test.extensions() == [0, 3])
        let retry: CheckResponse = try await test.call(.checkAndReserve, asking(3, key: "k"))
            .decoded()
        #expect(retry.isReplayed && retry.decision == .allowed && retry.reservationID != 0)
        #expect(try await test.extensions() == [0, 3])
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func ofABatchOnlyKeyedEntriesStand(moment: Moment)
        async throws
    {
        let test = try await LimitServer()
        let batch = CheckBatchRequest([
            asking(1), asking(2, key: "k"), asking(1, mode: .commit), asking(1, tenant: "nobody"),
            asking(1, key: "c", mode: .commit), asking(3),
        ])
        let reply = try await late(test, moment, .checkAndReserveBatch, [batch])
        #expect(reply.status == Self.deadlineExceeded)
        #expect(try await test.extensions() == [1, 2])
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func ofAStreamOnlyKeyedEntriesStand(moment: Moment)
        async throws
    {
        let test = try await LimitServer()
        // While deciding, the first entry is late already, and nothing is asked after it.
        let entries = [asking(1), asking(2, key: "k"), asking(4)]
        let reply = try await late(test, moment, .checkAndReserveStream, entries)
        #expect(reply.status == Self.deadlineExceeded && reply.messages.isEmpty)
        #expect(try await test.extensions() == (moment == .whileHeld ? [0, 2] : [0, 0]))
        await test.stop()
    }

    @Test(arguments: Moment.allCases) func otherMethodsStand(moment: Moment) async throws {
        let test = try await LimitServer()
        let usage = RecordUsageRequest(tenantID: "acme", quantities: [Quantity(.extensions, 2)])
        let reply = try await late(test, moment, .recordUsage, [usage])
        #expect(reply.status == Self.deadlineExceeded)
        #expect(try await test.extensions() == [2, 0])
        await test.stop()
    }

    @Test func cancelledHoldIsReleasedWhenItsTicketIsReached() async throws {
        let test = try await LimitServer()
        test.gate.change { $0.answersWait = true }
        let stream = try test.begin(.checkAndReserve, [asking(3)])
        #expect(try await test.extensions() == [0, 3])
        test.client.cancel(stream)
        #expect(try await test.extensions() == [0, 3])
        try await test.makeDurable()
        #expect(try await test.extensions() == [0, 0])
        await test.stop()
    }

    @Test func commitOfACancelledCallStands() async throws {
        let test = try await LimitServer()
        let held: CheckResponse = try await test.call(.checkAndReserve, asking(3)).decoded()
        test.gate.change { $0.answersWait = true }
        let stream = try test.begin(
            .commit, [CommitRequest(reservationID: held.reservationID)])
        #expect(try await test.extensions() == [3, 0])
        test.client.cancel(stream)
        #expect(try await test.extensions() == [3, 0])
        try await test.makeDurable()
        #expect(try await test.extensions() == [3, 0])
        await test.stop()
    }
}
