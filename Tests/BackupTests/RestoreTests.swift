import Engine
import Foundation
import Journal
import TestKit
import Testing

@testable import Backup

@Suite struct RestoreTests {
    private func backup() throws -> (disk: SimulatedDisk, tenants: Int) {
        var service = try BackedUpService()
        try service.grow()
        try service.engine.makeCheckpoint()
        try service.grow()
        let target = SimulatedDisk(seed: 1)
        _ = try BackedUpService.backUp(service.disk, to: target)
        service.engine.close()
        return (target, service.tenants)
    }

    @Test func aByteThatChangedIsFound() throws {
        let (backup, _) = try backup()
        for name in try backup.list() where name != BackupManifest.fileName {
            let damaged = backup.copy()
            var bytes = try #require(damaged.contents(name))
            bytes[bytes.count / 2] ^= 1
            damaged.setContents(name, bytes)
            let disk = SimulatedDisk(seed: 2)
            let error = #expect(throws: JournalError.self) {
                _ = try Restorer(from: damaged, to: disk, work: CopyWork()).run()
            }
            #expect(error?.code == .damaged && error?.file == name)
            #expect(try disk.list().isEmpty)
        }
    }

    @Test func aFileThatIsMissingOrShortIsFoundBeforeAnythingIsMade() throws {
        let (backup, _) = try backup()
        for name in try backup.list() where name != BackupManifest.fileName {
            let short = backup.copy()
            short.setContents(name, Array(try #require(backup.contents(name)).dropLast()))
            #expect(throws: JournalError.self) { try Restorer.manifest(of: short) }
            let without = backup.copy()
            try without.remove(name)
            let error = #expect(throws: JournalError.self) {
                try Restorer.manifest(of: without)
            }
            #expect(error?.code == .missing && error?.file == name)
        }
    }

    /// A service does not start on half of a restored directory, wherever the power went.
    @Test func halfARestoredDirectoryIsNotServed() throws {
        let (backup, tenants) = try backup()
        var cuts = 0
        for cut in 1... {
            let disk = SimulatedDisk(seed: UInt64(cut))
            disk.setContents(JournalFiles.lock, [])
            disk.faults.powerCutIn = cut
            let isDone = (try? Restorer(from: backup, to: disk, work: CopyWork()).run()) != nil
            disk.crash()
            let isEmpty = try disk.list().allSatisfy {
                Restorer.isNothing($0) || $0.hasSuffix(".tmp")
            }
            do {
                let found = try BackedUpService.tenants(disk)
                #expect(isEmpty || found == tenants, "cut \(cut)")
            } catch is EngineError {
                #expect(!isDone && !isEmpty, "cut \(cut)")
            }
            if isDone { break }
            cuts = cut
        }
        #expect(cuts > 20)
    }

    /// The segment that was written is as long as it was, and no hole: room for what comes next is there.
    @Test func theLastSegmentIsWhole() throws {
        let (backup, _) = try backup()
        let manifest = try Restorer.manifest(of: backup)
        let disk = try BackedUpService.restore(backup)
        let last = try #require(
            manifest.files.first { $0.name == JournalFiles.segment(manifest.end.segment) })
        let bytes = try #require(disk.contents(last.name))
        #expect(last.bytes < last.size && bytes.count == last.size)
        #expect(bytes[last.bytes...].allSatisfy { $0 == 0 })
    }

    /// Of a directory that was restored and not started since: the time that is lost began with the first backup.
    @Test func theNoteIsBackedUp() throws {
        let restored = try BackedUpService.restore(backup().disk)
        let second = SimulatedDisk(seed: 3)
        _ = try BackedUpService.backUp(
            restored, to: second, now: BackedUpService.start + 3_600_000)
        let note = try RestoreNote.read(BackedUpService.restore(second))
        #expect(note?.takenAt == BackedUpService.start)
    }

    @Test func idsOfTheLostTimeArePassedOver() throws {
        let (backup, _) = try backup()
        let disk = try BackedUpService.restore(backup)
        let note = try #require(try RestoreNote.read(disk))
        #expect(note.takenAt == BackedUpService.start)
        let hour: Int64 = 3_600_000
        // Whatever the retention was in the time that is lost: one second is the shortest.
        #expect(note.generations(now: note.takenAt + hour) >= 3_600)
        #expect(note.generations(now: note.takenAt - hour) >= 64)
        try RestoreNote.remove(disk)
        #expect(try RestoreNote.read(disk) == nil)
        disk.setContents(CompanionFiles.restoreNote, Array("[]".utf8))
        #expect(throws: JournalError.self) { try RestoreNote.read(disk) }
    }
}

@Suite struct BackupManifestTests {
    private var manifest: BackupManifest {
        BackupManifest(
            number: 3, journal: JournalID(low: .max, high: 1), takenAt: 1_700_000_000_123,
            end: JournalPlace(segment: 7, offset: 4_096),
            files: [
                BackupManifest.File(
                    name: JournalFiles.segment(6), stored: JournalFiles.segment(6), bytes: 8_192,
                    size: 8_192, checksum: String(repeating: "ab", count: 32),
                    stamp: FileIdentity(inode: .max, modified: .min)),
                BackupManifest.File(
                    name: "webhook-key", stored: "webhook-key.3", bytes: 3, size: 3,
                    checksum: String(repeating: "0", count: 64)),
            ])
    }

    @Test func itIsReadAsWritten() throws {
        #expect(try BackupManifest(manifest.encoded, name: "m") == manifest)
    }

    /// Nobody may have files written elsewhere, or read from there.
    @Test(arguments: [
        (#""stored_as" : "webhook-key.3""#, #""stored_as" : "../webhook-key""#),
        (#""stored_as" : "webhook-key.3""#, #""stored_as" : "webhook-key.""#),
        (#""stored_as" : "webhook-key.3""#, #""stored_as" : "webhook-key.3/../../x""#),
        (#""name" : "webhook-key""#, #""name" : "../webhook-key""#),
        (#""name" : "webhook-key""#, #""name" : ".bashrc""#),
        (#""bytes" : 3"#, #""bytes" : -3"#), (#""bytes" : 3"#, #""bytes" : 4"#),
        (#""size" : 3"#, #""size" : 9000000000000000000"#),
        (#""number" : 3"#, #""number" : 0"#), (#""number" : 3"#, #""number" : 3.5"#),
        (#""format" : 1"#, #""format" : 2"#), (#""format" : 1"#, #""former" : 1"#),
        (#""segment" : 7"#, #""segment" : "7""#), ("0000000000000001", "000000000000001"),
        (#""name" : "webhook-key""#, #""name" : "journal-00000000000000000006.log""#),
        ("{\n  \"format\"", "{{\n  \"format\""),
    ])
    func whatIsWrongIsRefused(good: String, bad: String) throws {
        let text = String(decoding: manifest.encoded, as: UTF8.self)
        try #require(text.contains(good))
        #expect(throws: JournalError.self) {
            try BackupManifest(Array(text.replacing(good, with: bad).utf8), name: "m")
        }
    }

    @Test func namesOfABackupAreKnown() {
        #expect(DataFile.isStored("webhook-key.12"))
        #expect(DataFile.isStored(JournalFiles.segment(3)))
        #expect(DataFile.isStored(JournalFiles.segment(3) + ".4"))
        for other in ["manifest.json", "webhook-key.", "webhook-key.a", "letter.1", "LOCK"] {
            #expect(!DataFile.isStored(other))
        }
    }
}

/// On the system's own files.
@Suite struct IncrementalBackupTests {
    @Test func whatIsThereIsNotCopiedAgain() throws {
        try BackedUpService.withDirectories { data, target in
            var service = try BackedUpService()
            try service.grow(by: 900)
            try service.fill(data)
            let first = try BackedUpService.backUp(data, to: target)
            let sealed = first.manifest.files.filter { $0.stamp != nil }
            #expect(sealed.count >= 2)
            let second = try BackedUpService.backUp(data, to: target)
            #expect(second.manifest.number == 2)
            #expect(second.copiedFiles == first.copiedFiles - sealed.count)
            #expect(second.copiedBytes < 100 << 10)
            #expect(try BackedUpService.tenants(BackedUpService.restore(target)) == 900)
            // Other files of the same names, as after a restore: the journal may have gone another way.
            try service.fill(data)
            let third = try BackedUpService.backUp(data, to: target)
            #expect(third.copiedFiles == first.copiedFiles)
            service.engine.close()
        }
    }

    @Test func aDirectoryKnowsWhatIsAboveIt() throws {
        try BackedUpService.withDirectories { data, target in
            try FileManager.default.createDirectory(
                atPath: data.path + "/a/b", withIntermediateDirectories: true)
            #expect(try SystemDisk(path: data.path + "/a/b").isWithin(data))
            #expect(try data.isWithin(data))
            #expect(try !target.isWithin(data))
        }
    }

    @Test func whoReadsKeepsOutWhoWrites() throws {
        try BackedUpService.withDirectories { data, _ in
            try data.lockForReading()
            try SystemDisk(path: data.path).lockForReading()
            let error = #expect(throws: JournalError.self) {
                try SystemDisk(path: data.path).lock()
            }
            #expect(error?.code == .locked)
            #expect(try data.list().isEmpty)
        }
    }
}
