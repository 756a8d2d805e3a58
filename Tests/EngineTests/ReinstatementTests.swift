import Limits
import Reservations
import Testing

@testable import Engine

/// A reinstatement that comes before the holds of the suspension have all been ended.
@Suite struct ReinstatementTests {
    /// 2026-03-11T12:00:00Z, Unix milliseconds.
    private static let noon: Int64 = 1_773_230_400_000

    /// Holds that would be charged at their expiry are released, and nothing is charged after it.
    private func expectNothingCharged(_ service: ClockedService) throws {
        #expect(try service.engine.status(ofTenant: "acme") == .active)
        #expect(try service.usage().cycle.held == 0)
        service.pass(601_000)
        #expect(try service.usage().cycle.committed == 0)
    }

    /// The defect: what the walk had not come to stayed open, and was charged at its expiry.
    @Test func endsWhatTheSuspensionHasLeft() async throws {
        let service = try ClockedService.make(at: Self.noon)
        #expect(try service.spend(3, mode: .reserve, onExpiry: .commit).decision == .allowed)
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        #expect(try service.usage().cycle.held == 3, "the walk has not begun")
        try await service.engine.reinstate(tenant: "acme")
        try expectNothingCharged(service)
    }

    /// What is held since the reinstatement of a tenant that only a limit had suspended is not touched.
    @Test func leavesWhatNoOperatorEnds() async throws {
        let service = try ClockedService.make(at: Self.noon)
        #expect(try service.spend(3, mode: .reserve, onExpiry: .commit).decision == .allowed)
        try await service.engine.reinstate(tenant: "acme")
        #expect(try service.usage().cycle.held == 3)
        service.pass(601_000)
        #expect(try service.usage().cycle.committed == 3)
    }

    /// Two operators: one reinstates, and while another one's walk is just done the tenant is suspended anew.
    @Test func anotherSuspensionThatComesBetweenIsNotPassedOver() async throws {
        let service = try ClockedService.make(at: Self.noon)
        let engine = service.engine
        try engine.setStatus(ofTenant: "acme", .suspended)
        let seen = engine.ending(ofTenant: "acme")
        #expect(seen.isUnderWay)
        await engine.endHolds(ofTenant: "acme")
        try await engine.reinstate(tenant: "acme")
        #expect(try service.spend(3, mode: .reserve, onExpiry: .commit).decision == .allowed)
        try engine.setStatus(ofTenant: "acme", .suspended)
        let error = #expect(throws: EngineError.self) {
            try engine.setStatus(ofTenant: "acme", .active, after: seen.number)
        }
        #expect(error?.code == .conflict)
        #expect(try engine.status(ofTenant: "acme") == .suspended)
        try await engine.reinstate(tenant: "acme")
        try expectNothingCharged(service)
    }

    @Test func waitsForRoomInTheJournal() async throws {
        let service = try ClockedService.make(at: Self.noon)
        let engine = service.engine
        #expect(try service.spend(3, mode: .reserve, onExpiry: .commit).decision == .allowed)
        try engine.setStatus(ofTenant: "acme", .suspended)
        var settings = try #require(engine.tenant("acme"))
        var changes = 0
        while changes < 10_000 {
            settings.name = "ACME \(changes)"
            guard (try? engine.setTenant(settings)) != nil else { break }
            changes += 1
        }
        try #require(changes < 10_000, "the journal has room for everything")
        let error = await #expect(throws: EngineError.self) {
            try await engine.reinstate(tenant: "acme", patience: 0)
        }
        #expect(error?.code == .busy)
        #expect(try engine.status(ofTenant: "acme") == .suspended)
        engine.runJournal()
        try await engine.reinstate(tenant: "acme", patience: 0)
        try expectNothingCharged(service)
    }
}
