import Journal
import Limits
import Reservations
import Synchronization
import TestKit
import Testing

@testable import Engine

/// A journal that fails, seen from the engine.
@Suite struct FailureTests {
    private static let holds = 600
    /// Unix milliseconds.
    private static let start: Int64 = 1_700_000_000_000

    private func open(_ disk: SimulatedDisk, at time: Int64 = Self.start) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 1 << 20
        settings.journal.maximumBytes = 64 << 20
        settings.hasThreads = false
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 4 * Self.holds, bodies: 64, keys: 64, lanes: 3)
        let clock = EngineClock.Source(boot: { time }, wall: { time })
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity), clock: clock, disk: disk,
            settings: settings
        ).engine
    }

    @Test func whoeverAsksIsToldOnce() throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try open(disk)
        let before = Atomic<Int>(0)
        let after = Atomic<Int>(0)
        engine.onJournalFailure { _ in before.wrappingAdd(1, ordering: .relaxed) }
        try engine.setTenant(TenantSettings(id: "acme"))
        disk.faults.failingSyncIn = 1
        let error = #expect(throws: EngineError.self) { try engine.awaitDurable() }
        #expect(error?.code == .system && engine.hasFailed)
        #expect(before.load(ordering: .relaxed) == 1)
        engine.onJournalFailure { _ in after.wrappingAdd(1, ordering: .relaxed) }
        #expect(after.load(ordering: .relaxed) == 1)
        engine.close()
        #expect(before.load(ordering: .relaxed) == 1 && after.load(ordering: .relaxed) == 1)
    }

    /// Whichever sync fails, and all after it, while hundreds of holds expire at the start: the start ends, and a
    /// failure is told.
    @Test func aStartWhoseJournalFailsComesToAnEnd() throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try open(disk)
        try engine.setTenant(TenantSettings(id: "acme"))
        let lane = try engine.makeLane()
        for _ in 0..<Self.holds {
            try hold(lane)
            engine.runJournal()
        }
        engine.close()
        var refused = 0
        let told = Atomic<Int>(0)
        for sync in 1...100 {
            let copy = disk.copy()
            copy.faults.failingSyncIn = sync
            guard let engine = try? open(copy, at: Self.start + 86_400_000) else {
                refused += 1
                continue
            }
            guard engine.journalStatus?.trouble != nil else { break }
            engine.onJournalFailure { _ in told.wrappingAdd(1, ordering: .relaxed) }
            engine.close()
        }
        // Before the journal is open, and while the holds' records fill the ring again and again.
        #expect(refused > 0 && told.load(ordering: .relaxed) > 0)
    }

    private func hold(_ lane: EngineLane) throws {
        lane.beginBatch()
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenantID in
            var amounts = Amounts()
            amounts.set(Resource.spend.index, 1)
            return lane.check(
                CheckCommand(tenantID: tenantID, action: .sendMessage, amounts: amounts),
                answer: &answer)
        }
        try #require(failure == nil)
        try #require(answer.reservationID != 0)
    }
}
