import Engine
import Journal
import TestKit
import Testing

@testable import Backup

/// Files that are not there: those that the service has just removed, and those that are gone for good.
@Suite struct MissingFilesTests {
    /// How often the copy began.
    private final class Attempts { var count = 0 }

    private func counting(_ target: SimulatedDisk) -> Attempts {
        let attempts = Attempts()
        // A small file is copied before the journal.
        target.onCreate = { if $0.hasPrefix(CompanionFiles.webhookKey) { attempts.count += 1 } }
        return attempts
    }

    /// Nothing comes back by itself: it is said at once, and what to do.
    @Test(arguments: [1, 2]) func aSegmentThatIsGoneIsSaidAtOnce(number: UInt64) throws {
        var service = try BackedUpService()
        try service.grow(by: 1_300)
        let damaged = service.disk.copy()
        try damaged.remove(JournalFiles.segment(number))
        let target = SimulatedDisk(seed: 1)
        let attempts = counting(target)
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(damaged, to: target)
        }
        #expect(error?.code == .missing && error?.file == JournalFiles.segment(number))
        #expect(attempts.count == 1)
        service.engine.close()
    }

    /// As the system says it.
    @Test func theSystemsWordsForItAreNotShown() throws {
        try BackedUpService.withDirectories { data, target in
            var service = try BackedUpService()
            try service.grow(by: 1_300)
            try service.fill(data)
            try data.remove(JournalFiles.segment(2))
            let error = #expect(throws: JournalError.self) {
                try BackedUpService.backUp(data, to: target)
            }
            #expect(error?.code == .missing && error?.file == JournalFiles.segment(2))
            #expect(error?.remedy == JournalError.restoreDirectory)
            service.engine.close()
        }
    }

    /// A service that removes its files faster than they are copied.
    @Test func aCopyThatIsNeverFastEnoughSaysSo() throws {
        let service = try BackedUpService()
        try service.churn(900)
        let target = SimulatedDisk(seed: 1)
        let attempts = counting(target)
        let count = target.onCreate
        var began = 0
        target.onCreate = { name in
            count?(name)
            guard name.hasPrefix("journal-"), began < attempts.count else { return }
            began = attempts.count
            for _ in 0..<2 {
                try? service.churn(900)
                _ = try? service.engine.makeCheckpoint()
            }
        }
        let error = #expect(throws: JournalError.self) {
            try BackedUpService.backUp(service.disk, to: target, attempts: 3)
        }
        #expect(error?.code == .removed && error?.reason.contains("3 times") == true)
        #expect(attempts.count == 3)
        service.engine.close()
    }
}

/// Lists that follow the journal from further back than the newest checkpoint.
@Suite struct LaggingListsTests {
    private func service() throws -> BackedUpService {
        var service = try BackedUpService()
        try service.grow(by: 900)
        try service.engine.makeCheckpoint()
        try service.grow(by: 10)
        service.disk.setContents(CompanionFiles.lists, [1, 2, 3])
        try #require(try service.disk.segmentNumbers().first == 1)
        try #require(try service.disk.checkpointNumbers().last ?? 0 > 2)
        return service
    }

    private func backUp(
        _ service: BackedUpService, needing segment: UInt64?
    ) throws -> (target: SimulatedDisk, segments: [UInt64], end: UInt64) {
        let target = SimulatedDisk(seed: 1)
        let report = try BackupWriter(from: service.disk, to: target, work: CopyWork()) {
            name throws(JournalError) in
            target.setContents(name, [1, 2, 3])
            return segment
        }.run(now: BackedUpService.start)
        let names = report.manifest.files.map(\.name)
        #expect(names.contains(CompanionFiles.lists))
        return (
            target, names.compactMap(JournalFiles.segmentNumber).sorted(),
            report.manifest.end.segment
        )
    }

    @Test func theSegmentsThatTheyNeedAreCopiedToo() throws {
        let service = try service()
        let newest = try #require(try service.disk.checkpointNumbers().last)
        let (target, segments, end) = try backUp(service, needing: 1)
        #expect(segments == Array(1...end) && end >= newest)
        let restored = try BackedUpService.restore(target)
        #expect(restored.contents(CompanionFiles.lists) == [1, 2, 3])
        #expect(try restored.segmentNumbers() == segments)
        #expect(try BackedUpService.tenants(restored) == service.tenants)
        service.engine.close()
    }

    /// They are made anew from the checkpoint then, as at a start.
    @Test(arguments: [nil, 99] as [UInt64?])
    func withoutAnyTheCopyBeginsWithTheCheckpoint(needed: UInt64?) throws {
        let service = try service()
        let newest = try service.disk.checkpointNumbers().last
        #expect(try backUp(service, needing: needed).segments.first == newest)
        service.engine.close()
    }
}
