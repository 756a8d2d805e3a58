import Access
import JSON
import Limits
import NIOCore
import Testing
import Wire

@testable import GRPCServer

/// What the access log says of the service's calls.
@Suite struct LimitObservationTests {
    private let lines = CallLines()

    /// An answer that was taken back is none.
    @Test func aWithdrawnAnswerIsNotTold() async throws {
        let test = try await LimitServer { [lines] in $0.observer = lines.observer }
        test.gate.change { $0.answersWait = true }
        let late = try test.begin(.checkAndReserve, [asking(1)], timeout: "500m")
        let cancelled = try test.begin(.checkAndReserve, [asking(2)])
        #expect(try await test.extensions() == [0, 3])
        test.client.cancel(cancelled)
        test.gate.advance(.seconds(1))
        _ = try await test.client.finish(late)
        try await test.makeDurable()
        test.gate.change { $0.answersWait = false }
        _ = try await test.call(.checkAndReserve, asking(3))
        _ = try await test.call(.checkAndReserve, asking(100))
        await test.stop()
        let found = try await lines.all().filter {
            $0["method"] == "tollgate.v1.LimitService/CheckAndReserve"
                && $0["status"] != "INVALID_ARGUMENT"
        }
        #expect(found.count == 4 && found.allSatisfy { $0["tenant"] == "acme" })
        let answers = Dictionary(
            grouping: found, by: { $0["status"]?.string ?? "" }
        ).mapValues { $0.map { $0["answer"]?.string } }
        #expect(
            answers == [
                "DEADLINE_EXCEEDED": [nil], "CANCELLED": [nil], "OK": ["allowed", "denied"],
            ])
    }

    /// Whoever is refused for its scope is known.
    @Test func whoIsForbiddenIsNamed() async throws {
        let test = try await LimitServer(isOpen: false) { [lines] in $0.observer = lines.observer }
        let token = try test.authority.create(
            name: "x", scopes: Scopes(.metrics), tenantIDs: []
        ).secret
        let stream = try test.begin(.checkAndReserveStream, [asking(1)], token: token)
        _ = try await test.client.finish(stream)
        _ = try await test.client.finish(
            test.begin(.watchUsage, [WatchUsageRequest(tenantID: "acme")], token: token))
        _ = try await test.call(.getUsage, UsageRequest(tenantID: "acme"), token: token)
        _ = try await test.call(.getUsage, UsageRequest(tenantID: "acme"), token: "nobody's")
        await test.stop()
        let found = try await lines.all()
        #expect(
            found.map { $0["status"] } == [
                "PERMISSION_DENIED", "PERMISSION_DENIED", "PERMISSION_DENIED", "UNAUTHENTICATED",
            ])
        #expect(found.map { $0["caller"] != nil } == [true, true, true, false])
    }
}
