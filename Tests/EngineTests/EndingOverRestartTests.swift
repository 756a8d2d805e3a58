import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// The end of a suspended tenant's holds over crashes and checkpoints.
@Suite struct EndingOverRestartTests {
    private static let now: Int64 = 1_700_000_000_000

    private func open(_ disk: SimulatedDisk) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 32 << 10
        settings.journal.maximumBytes = 16 << 20
        settings.hasThreads = false
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 4_000, bodies: 64, keys: 1_024, lanes: 3)
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity),
            clock: EngineClock.Source(boot: { Self.now }, wall: { Self.now }), disk: disk,
            settings: settings
        ).engine
    }

    private func hold(_ tenant: String, _ engine: Engine, _ lane: EngineLane) -> UInt64 {
        var answer = CheckAnswer()
        let failure = tenant.withBorrowedBytes { id in
            var command = CheckCommand(tenantID: id, action: .charge, amounts: Amounts(.dids, 1))
            command.onExpiry = .commit
            return lane.check(command, answer: &answer)
        }
        #expect(failure == nil && answer.decision == .allowed)
        engine.runJournal()
        return answer.reservationID
    }

    private func dids(_ tenant: String, _ lane: EngineLane) -> [Int64] {
        var answer = UsageAnswer()
        let failure = tenant.withBorrowedBytes { id in
            lane.usage(
                UsageQuery(tenantID: id, profileID: BorrowedBytes(start: nil, count: 0)),
                answer: &answer)
        }
        guard failure == nil else { return [] }
        return [answer.limits[.tenantDIDs].committed, answer.limits[.tenantDIDs].held]
    }

    @Test(arguments: [false, true], [false, true])
    func aCrashBeforeTheWalkEndsThemToo(_ checkpoint: Bool, _ closes: Bool) throws {
        let disk = SimulatedDisk(seed: 5)
        let engine = try open(disk)
        for id in ["acme", "other"] { try engine.setTenant(TenantSettings(id: id)) }
        let lane = try engine.makeLanes(1)[0]
        var ids: [UInt64] = []
        for _ in 0..<300 {
            ids.append(hold("acme", engine, lane))
            _ = hold("other", engine, lane)
        }
        #expect(dids("acme", lane) == [0, 300])
        try engine.setStatus(ofTenant: "acme", closes ? .closed : .suspended)
        engine.runJournal()
        if checkpoint { #expect(try engine.makeCheckpoint()) }
        disk.crash()

        let next = try open(disk)
        let nextLane = try next.makeLanes(1)[0]
        #expect(dids("acme", nextLane) == (closes ? [] : [0, 0]))
        #expect(dids("other", nextLane) == [0, 300])
        #expect(next.table.slots(of: 0) == 300 && next.table.slots(of: 1) == 300)
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: ids[7])
        #expect(nextLane.commit(command, answer: &answer) == nil && answer.late)
    }

    /// What finds no room waits for it.
    @Test func theWalkWaitsForRoom() async throws {
        let disk = SimulatedDisk(seed: 6)
        let engine = try open(disk)
        try engine.setTenant(TenantSettings(id: "acme"))
        let lane = try engine.makeLanes(1)[0]
        for _ in 0..<2_000 { _ = hold("acme", engine, lane) }
        try engine.setStatus(ofTenant: "acme", .suspended)
        await engine.endHolds(ofTenant: "acme")
        lane.beginBatch()
        #expect(dids("acme", lane) == [0, 0])
        try await engine.durable()
        disk.crash()
        #expect(dids("acme", try open(disk).makeLanes(1)[0]) == [0, 0])
    }
}
