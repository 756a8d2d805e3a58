import Engine
import Journal
import Limits
import TestKit
import Testing

@testable import Backup

@Suite struct BackupTests {
    /// The service goes on, seals segments, makes checkpoints and removes what it does not need, whenever the backup makes
    /// a file.
    @Test(arguments: 1...8)
    func whatWasAcknowledgedBeforeIsThere(seed: Int) throws {
        var service = try BackedUpService(seed: UInt64(seed))
        try service.grow()
        try service.engine.makeCheckpoint()
        try service.grow()
        let before = service.tenants
        let target = SimulatedDisk(seed: UInt64(seed))
        var random = SeededGenerator(seed: UInt64(seed))
        var failure: (any Error)?
        var rounds = 0
        target.onCreate = { name in
            guard !name.hasPrefix("manifest"), rounds < 12 else { return }
            rounds += 1
            do {
                try service.grow(by: Int(random.next() % 500))
                if random.next() % 2 == 0 { try service.engine.makeCheckpoint() }
            } catch {
                failure = error
            }
        }
        let report = try BackedUpService.backUp(service.disk, to: target)
        #expect(failure == nil)
        #expect(rounds >= 2)
        let after = service.tenants
        let restored = try BackedUpService.restore(target)
        #expect((before...after).contains(try BackedUpService.tenants(restored)))
        #expect(report.manifest.takenAt == BackedUpService.start)
        service.engine.close()
    }

    /// Files that went while they were copied are not missed: the next attempt takes newer ones.
    @Test func removedFilesMakeItBeginAgain() throws {
        var service = try BackedUpService()
        try service.grow(by: 900)
        let target = SimulatedDisk(seed: 1)
        var isFirst = true
        target.onCreate = { name in
            guard name.hasPrefix("journal-"), isFirst else { return }
            isFirst = false
            // Two checkpoints cover the first segments, which go.
            for _ in 0..<2 {
                try? service.grow(by: 900)
                _ = try? service.engine.makeCheckpoint()
            }
        }
        let report = try BackedUpService.backUp(service.disk, to: target)
        #expect(try service.disk.segmentNumbers().first ?? 0 > 1)
        #expect(report.manifest.files.contains { $0.name.hasPrefix("checkpoint-") })
        #expect(try BackedUpService.tenants(BackedUpService.restore(target)) >= 900)
        // What the first attempt had copied is gone.
        let stored = Set(report.manifest.files.map(\.stored))
        #expect(Set(try target.list()) == stored.union([BackupManifest.fileName]))
        service.engine.close()
    }

    /// Of a service that was killed: a torn frame at the end is no part of it.
    @Test func aTornTailIsLeftOut() throws {
        var service = try BackedUpService()
        try service.grow(by: 10)
        let stopped = service.disk.copy()
        let name = JournalFiles.segment(1)
        var bytes = try #require(stopped.contents(name))
        let end = try JournalSnapshot(
            stopped, id: try #require(try JournalReader.id(stopped)), checkpoint: nil
        ).end
        bytes[end.offset + 200] = 7
        stopped.setContents(name, bytes)
        let target = SimulatedDisk(seed: 1)
        _ = try BackedUpService.backUp(stopped, to: target)
        #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == 10)
        service.engine.close()
    }

    /// Damage is found when something can be done about it, and the last backup stays.
    @Test func aDamagedSegmentIsRefused() throws {
        var service = try BackedUpService()
        let target = SimulatedDisk(seed: 1)
        try service.grow(by: 10)
        _ = try BackedUpService.backUp(service.disk, to: target)
        try service.grow(by: 900)
        let damaged = service.disk.copy()
        var bytes = try #require(damaged.contents(JournalFiles.segment(1)))
        bytes[9_000] ^= 1
        damaged.setContents(JournalFiles.segment(1), bytes)
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(damaged, to: target)
        }
        #expect(error?.code == .damaged && error?.file == JournalFiles.segment(1))
        #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == 10)
        service.engine.close()
    }

    /// A start passes a damaged checkpoint over, and so does a backup.
    @Test func aDamagedCheckpointIsPassedOver() throws {
        var service = try BackedUpService()
        try service.grow()
        try service.engine.makeCheckpoint()
        try service.grow()
        let damaged = service.disk.copy()
        let number = try #require(try damaged.checkpointNumbers().last)
        var bytes = try #require(damaged.contents(JournalFiles.checkpoint(number)))
        bytes[5_000] ^= 1
        damaged.setContents(JournalFiles.checkpoint(number), bytes)
        let target = SimulatedDisk(seed: 1)
        let report = try BackedUpService.backUp(damaged, to: target)
        #expect(!report.manifest.files.contains { $0.name.hasPrefix("checkpoint-") })
        #expect(
            try BackedUpService.tenants(BackedUpService.restore(target)) == service.tenants)
        service.engine.close()
    }

    @Test func aPlaceThatIsNoJournalIsRefused() {
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(SimulatedDisk(seed: 1), to: SimulatedDisk(seed: 2))
        }
        #expect(error?.code == .missing)
    }

    @Test func anotherServicesBackupIsRefused() throws {
        var first = try BackedUpService(seed: 1)
        var second = try BackedUpService(seed: 2)
        try first.grow(by: 1)
        try second.grow(by: 2)
        let target = SimulatedDisk(seed: 3)
        _ = try BackedUpService.backUp(first.disk, to: target)
        let before = target.copy()
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(second.disk, to: target)
        }
        #expect(error?.code == .foreign)
        #expect(try target.list() == before.list())
        first.engine.close()
        second.engine.close()
    }

    @Test func aDirectoryWithOtherFilesIsRefused() throws {
        let target = SimulatedDisk(seed: 1)
        try BackupWriter.checkTarget(target, "target")
        target.setContents(JournalFiles.lock, [])
        target.setContents("lost+found", [])
        try BackupWriter.checkTarget(target, "target")
        target.setContents("letter.txt", [1])
        let error = #expect(throws: JournalError.self) {
            try BackupWriter.checkTarget(target, "target")
        }
        #expect(error?.code == .invalid && error?.reason.contains("letter.txt") == true)
        #expect(throws: JournalError.self) { try Restorer.checkTarget(target, "target") }
    }
}

/// What goes wrong on the way.
@Suite struct InterruptedBackupTests {
    /// Wherever the power goes: the last backup is whole until the new one is, and the next attempt completes it.
    @Test func aBackupIsWholeWhereverThePowerGoes() throws {
        var service = try BackedUpService()
        try service.grow()
        let former = SimulatedDisk(seed: 1)
        _ = try BackedUpService.backUp(service.disk, to: former)
        let before = service.tenants
        try service.grow()
        var cuts = 0
        for cut in 1... {
            let target = SimulatedDisk(seed: UInt64(cut))
            for name in try former.list() {
                target.setContents(name, former.contents(name) ?? [])
            }
            target.faults.powerCutIn = cut
            let isDone = (try? BackedUpService.backUp(service.disk, to: target)) != nil
            target.crash()
            let found = try BackedUpService.tenants(BackedUpService.restore(target))
            #expect(found == before || found == service.tenants, "cut \(cut)")
            _ = try BackedUpService.backUp(service.disk, to: target)
            #expect(
                try BackedUpService.tenants(BackedUpService.restore(target)) == service.tenants)
            if isDone { break }
            cuts = cut
        }
        #expect(cuts > 20)
        service.engine.close()
    }

    /// After a restore the journal goes another way, and has other segments under the names that the last backup lists: that
    /// one is whole, wherever the power goes.
    @Test func otherContentsUnderTheSameNamesReplaceNothing() throws {
        var service = try BackedUpService()
        try service.grow(by: 10)
        let branch = service.disk.copy()
        try service.grow(by: 900)
        let former = SimulatedDisk(seed: 1)
        _ = try BackedUpService.backUp(service.disk, to: former)
        let before = service.tenants
        service.engine.close()
        let other = try BackedUpService.open(branch)
        for number in 0..<1_300 {
            try other.setTenant(TenantSettings(id: "other-\(number)", name: "Another name"))
            other.runJournal()
        }
        let listed = Set(try Restorer.manifest(of: former).files.map(\.stored))
        try #require(listed.contains(JournalFiles.segment(1)))
        var cuts = 0
        for cut in 1... {
            let target = former.copy()
            target.faults.powerCutIn = cut
            let isDone = (try? BackedUpService.backUp(branch, to: target)) != nil
            target.crash()
            // Ten tenants are in both.
            let found = try BackedUpService.tenants(BackedUpService.restore(target))
            #expect(found == (isDone ? 10 : before) || found == 10, "cut \(cut)")
            _ = try BackedUpService.backUp(branch, to: target)
            #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == 10)
            if isDone { break }
            cuts = cut
        }
        #expect(cuts > 20)
        other.close()
    }

    /// The data directory's disk has damaged what the last backup has intact: that one stays.
    @Test(arguments: [JournalFiles.segment(1), nil]) func damageReplacesNothing(
        _ segment: String?
    ) throws {
        var service = try BackedUpService()
        try service.grow(by: 900)
        if segment == nil { try service.engine.makeCheckpoint() }
        try service.grow(by: 10)
        let target = SimulatedDisk(seed: 1)
        let report = try BackedUpService.backUp(service.disk, to: target)
        let name = try #require(
            segment ?? report.manifest.files.first { $0.name.hasPrefix("checkpoint-") }?.name)
        try #require(report.manifest.files.contains { $0.stored == name })
        let intact = try #require(target.contents(name))
        let damaged = service.disk.copy()
        var bytes = try #require(damaged.contents(name))
        bytes[5_000] ^= 1
        damaged.setContents(name, bytes)
        _ = try? BackedUpService.backUp(damaged, to: target)
        if segment != nil { #expect(target.contents(name) == intact) }
        #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == 910)
        service.engine.close()
    }

    /// A first backup that is not complete is no backup, and is told from a directory that is none.
    @Test func halfAFirstBackupIsRefused() throws {
        var service = try BackedUpService()
        try service.grow()
        let target = SimulatedDisk(seed: 1)
        target.faults.capacity = 40 << 10
        let full = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(service.disk, to: target)
        }
        #expect(full?.code == .noSpace)
        #expect(try !target.list().contains { $0.hasSuffix(".tmp") })
        let refused = #expect(throws: JournalError.self) { try Restorer.manifest(of: target) }
        #expect(refused?.reason.contains("interrupted") == true)
        let none = #expect(throws: JournalError.self) {
            try Restorer.manifest(of: SimulatedDisk(seed: 1))
        }
        #expect(none?.reason.contains("no backup") == true)
        target.faults.capacity = nil
        _ = try BackedUpService.backUp(service.disk, to: target)
        #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == service.tenants)
        service.engine.close()
    }

    @Test func anInterruptionIsSaid() throws {
        var service = try BackedUpService()
        try service.grow()
        let target = SimulatedDisk(seed: 1)
        var pieces = 0
        let work = CopyWork(isInterrupted: {
            pieces += 1
            return pieces > 3
        })
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(service.disk, to: target, work: work)
        }
        #expect(error?.code == .interrupted)
        #expect(try !target.list().contains { $0.hasSuffix(".tmp") })
        service.engine.close()
    }

    /// It has all files each time: one for each of them would be their square.
    @Test func theRecordOfWhatIsWholeIsWrittenInSteps() throws {
        try BackedUpService.withDirectories { data, _ in
            let service = try BackedUpService()
            try service.churn(24 * 400)
            // What a file is taken for when it is met again only the system's have.
            try service.fill(data)
            let target = SimulatedDisk(seed: 1)
            var records = 0
            target.onCreate = { if $0.hasPrefix(BackupManifest.partialName) { records += 1 } }
            let sealed = try BackedUpService.backUp(data, to: target).manifest.files
                .filter { $0.stamp != nil }
            try #require(sealed.count > 24)
            #expect(records > 8 && records < sealed.count * 3 / 4, "\(records) of \(sealed.count)")
            service.engine.close()
        }
    }

    /// What is read and not copied is bound too: the rest of the segment that is written, which is zeros.
    @Test func readingKeepsToTheRate() throws {
        var service = try BackedUpService()
        try service.grow(by: 1)
        let began = ContinuousClock.now
        let report = try BackedUpService.backUp(
            service.disk, to: SimulatedDisk(seed: 1), work: CopyWork(rate: 256 << 10))
        #expect(report.copiedBytes < 8 << 10)
        #expect(ContinuousClock.now - began >= .milliseconds(200))
        service.engine.close()
    }

    @Test func aRateIsKept() throws {
        let work = CopyWork(rate: 1 << 20)
        let began = ContinuousClock.now
        try work.spend(200 << 10)
        #expect(ContinuousClock.now - began >= .milliseconds(190))
    }

    @Test func aNumberBeyondReasonIsRefused() throws {
        var service = try BackedUpService()
        try service.grow(by: 1)
        let target = SimulatedDisk(seed: 1)
        _ = try BackedUpService.backUp(service.disk, to: target)
        let text = String(
            decoding: try #require(target.contents(BackupManifest.fileName)), as: UTF8.self)
        let changed = text.replacing(#/"number"(\s*:\s*)1\b/#) {
            "\"number\"\($0.output.1)\(Int64.max)"
        }
        try #require(changed != text)
        target.setContents(BackupManifest.fileName, Array(changed.utf8))
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(service.disk, to: target)
        }
        #expect(error?.code == .damaged)
        service.engine.close()
    }
}
