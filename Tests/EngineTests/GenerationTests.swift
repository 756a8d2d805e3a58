import Journal
import Limits
import TestKit
import Testing

@testable import Engine
@testable import Reservations

/// Reservation ids over the lives of many processes: crashes, orderly stops, checkpoints, refusals, and their end.
@Suite struct GenerationTests {
    private final class Lives {
        let disk = SimulatedDisk(seed: 3)
        var now: Int64 = 1_700_000_000_000
        /// By id: the tenant that it was given to.
        var given: [UInt64: Int] = [:]
        var answersWait = true

        func open(keys: Int = 128) throws -> Engine {
            var settings = DurabilitySettings()
            settings.journal.segmentBytes = 32 << 10
            settings.journal.maximumBytes = 16 << 20
            settings.retention = 0
            settings.hasThreads = false
            settings.answersWait = answersWait
            let capacity = TableCapacity(
                tenants: 16, profiles: 16, reservations: 256, bodies: 64, keys: keys, lanes: 3,
                retention: 1_000)
            let time = now
            return try Engine.open(
                configuration: EngineConfiguration(capacity: capacity),
                clock: EngineClock.Source(boot: { time }, wall: { time }), disk: disk,
                settings: settings
            ).engine
        }

        /// Refusals, then as many holds as there is room for. Returns why there are no more.
        ///
        /// - Parameter engine: writes what is given; nil: nothing is written.
        func give(_ lane: EngineLane, _ engine: Engine?) -> Failure? {
            let tenant = given.count % 2
            for number in 0..<200 {
                _ = reserve(lane, tenant, key: "\(now) \(number)")
                if number % 20 == 0 { engine?.runJournal() }
            }
            while true {
                engine?.runJournal()
                if let failure = reserve(lane, tenant, key: "") { return failure }
            }
        }

        private func reserve(_ lane: EngineLane, _ tenant: Int, key: String) -> Failure? {
            var answer = CheckAnswer()
            let failure = "tenant-\(tenant)".withBorrowedBytes { id in
                key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: id, action: .charge, amounts: Amounts(.dids, 0))
                    command.idempotencyKey = key.count == 0 ? BorrowedBytes.none : key
                    command.ttlMilliseconds = 1_000
                    return lane.lane.check(command, now: now, answer: &answer)
                }
            }
            guard failure == nil else { return failure }
            let id = answer.reservationID
            #expect(given.updateValue(tenant, forKey: id) == nil, "\(id) was given before")
            #expect(id != 0 && id >> 56 == 0)
            return nil
        }
    }

    /// Whether a refusal says that it is for want of ids.
    private func saysIDs(_ failure: Failure?) -> Bool {
        guard let failure else { return false }
        return "\(failure.detail)".split(separator: " ").contains("ids")
    }

    @Test func noIDIsGivenTwice() throws {
        let lives = Lives()
        for life in 0..<12 {
            let engine = try lives.open()
            for tenant in 0..<2 {
                try engine.setTenant(TenantSettings(id: "tenant-\(tenant)"))
            }
            let lane = try engine.makeLanes(1)[0]
            for _ in 0..<3 {
                #expect(lives.give(lane, engine)?.code == .unavailable)
                engine.runJournal()
                // All of them expire, and are forgotten.
                for _ in 0..<4 {
                    lives.now += 2_000
                    lane.lane.tick(now: lives.now)
                    engine.runJournal()
                }
                if life % 3 == 1 { try engine.makeCheckpoint() }
            }
            if life % 2 == 0 { engine.close() }
            if life % 2 == 0 { lives.disk.endProcess() } else { lives.disk.crash() }
        }
        #expect(lives.given.count > 12 * 128)
    }

    /// What a process without `sync` gave out and a crash took back is on no record, and is not given out again.
    @Test func whatACrashTookBackIsNotGivenAgain() throws {
        let lives = Lives()
        lives.answersWait = false
        for _ in 0..<4 {
            let engine = try lives.open()
            for tenant in 0..<2 {
                try engine.setTenant(TenantSettings(id: "tenant-\(tenant)"))
            }
            engine.runJournal()
            let lane = try engine.makeLanes(1)[0]
            #expect(lives.give(lane, nil)?.code == .unavailable)
            lives.disk.crash()
        }
        // The next one waits for the disk; what was given before is not on it all the same.
        lives.answersWait = true
        let engine = try lives.open()
        #expect(lives.give(try engine.makeLanes(1)[0], engine)?.code == .unavailable)
    }

    @Test func theLastIDsAreRefusedOverRestarts() throws {
        let lives = Lives()
        var refusal: Failure?
        for life in 0..<6 {
            let engine = try lives.open()
            for tenant in 0..<2 {
                try engine.setTenant(TenantSettings(id: "tenant-\(tenant)"))
            }
            if life == 0 {
                engine.table.passOverGenerations(upTo: ReservationID.lastGeneration - 3)
            }
            let lane = try engine.makeLanes(1)[0]
            refusal = lives.give(lane, engine)
            #expect(refusal?.code == .unavailable)
            for _ in 0..<4 {
                engine.runJournal()
                lives.now += 2_000
                lane.lane.tick(now: lives.now)
            }
            engine.runJournal()
            if life == 4 { try engine.makeCheckpoint() }
            engine.close()
            lives.disk.endProcess()
        }
        #expect(!lives.given.isEmpty)
        #expect(saysIDs(refusal))
    }
}
