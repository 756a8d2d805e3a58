import Foundation
import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// Thousands of changes of the configuration, one after the other, and a journal that has room for a few at a time.
@Suite struct RoomTests {
    private func open(
        _ disk: any Disk, hasThreads: Bool, stallMilliseconds: Int64 = 3_600_000
    ) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 256 << 10
        settings.journal.maximumBytes = 64 << 20
        settings.hasThreads = hasThreads
        settings.stallMilliseconds = stallMilliseconds
        let capacity = TableCapacity(
            tenants: 3_000, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3)
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity), disk: disk, settings: settings
        ).engine
    }

    @Test(arguments: [false, true])
    func changesWaitForRoom(hasThreads: Bool) throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "tollgate-room-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let disk: any Disk =
            if hasThreads { try SystemDisk(path: directory.path) } else { SimulatedDisk(seed: 1) }
        let engine = try open(disk, hasThreads: hasThreads)
        for number in 0..<3_000 {
            try engine.waitingForRoom { () throws(EngineError) in
                try engine.setTenant(TenantSettings(id: "tenant-\(number)", name: "Name"))
            }
        }
        try engine.awaitDurable()
        engine.close()
        let again = try open(disk, hasThreads: false)
        #expect(again.tenant("tenant-2999")?.name == "Name")
        // What will never fit is refused without waiting.
        let began = ContinuousClock.now
        do {
            try again.waitingForRoom { () throws(EngineError) in
                try again.setTenant(TenantSettings(id: "one more"))
            }
            Issue.record("a tenant beyond the bound was accepted")
        } catch {
            #expect(error.code == .full)
        }
        #expect(ContinuousClock.now - began < .seconds(5))
        again.close()
    }

    /// Without waiting, the journal says that it has no room at the moment, and nothing has changed.
    @Test func aRingThatIsFullSaysSo() throws {
        let engine = try open(SimulatedDisk(seed: 2), hasThreads: false)
        var made = 0
        do {
            while made < 3_000 {
                try engine.setTenant(TenantSettings(id: "tenant-\(made)"))
                made += 1
            }
            Issue.record("the ring took everything")
        } catch {
            #expect(error.code == .busy)
        }
        #expect(made > 10 && engine.tenant("tenant-\(made)") == nil)
        try engine.awaitDurable()
        try engine.setTenant(TenantSettings(id: "tenant-\(made)"))
        engine.close()
    }

    /// A change that comes while the journal has no room waits for it, without a thread, and not for ever.
    @Test func whoMayWaitFindsRoom() async throws {
        let engine = try open(SimulatedDisk(seed: 4), hasThreads: false)
        await engine.roomForChanges()
        func fill() -> Int {
            var made = engine.tenantCount
            while (try? engine.setTenant(TenantSettings(id: "tenant-\(made)"))) != nil { made += 1 }
            return made
        }
        let made = fill()
        let change = Task {
            await engine.roomForChanges()
            try engine.setTenant(TenantSettings(id: "tenant-\(made)"))
        }
        let rounds = Task {
            // Nobody has room before the writer has moved.
            for _ in 0..<10 { await Task.yield() }
            engine.runJournal()
        }
        try await change.value
        await rounds.value
        #expect(engine.tenant("tenant-\(made)") != nil)
        engine.close()
    }

    @Test func whoMayWaitIsToldThatTheDiskStalls() async throws {
        let engine = try open(SimulatedDisk(seed: 5), hasThreads: false, stallMilliseconds: 20)
        var made = 0
        while (try? engine.setTenant(TenantSettings(id: "tenant-\(made)"))) != nil { made += 1 }
        await engine.roomForChanges()
        let error = #expect(throws: EngineError.self) {
            try engine.setTenant(TenantSettings(id: "tenant-\(made)"))
        }
        #expect(error?.code == .busy)
        engine.close()
    }

    /// The wait is bounded.
    @Test func whoWaitsInVainIsToldSo() throws {
        let engine = try open(SimulatedDisk(seed: 3), hasThreads: false)
        var calls = 0
        do {
            try engine.waitingForRoom(atMost: 20) { () throws(EngineError) in
                calls += 1
                throw EngineError(TableError.busy)
            }
            Issue.record("there was no error")
        } catch {
            #expect(error.code == .busy && calls > 1)
        }
        engine.close()
    }
}
