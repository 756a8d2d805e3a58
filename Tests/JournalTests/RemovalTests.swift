import TestKit
import Testing

@testable import Journal

/// Files that are removed piece by piece.
@Suite struct RemovalTests {
    private static let bytes = 10 << 20

    /// Wherever the power goes, a file is whole under its name, or not there.
    @Test func aPartIsNeverFoundUnderItsName() throws {
        let content = (0..<Self.bytes).map { UInt8(truncatingIfNeeded: $0 / 512) }
        let names = [JournalFiles.segment(1), JournalFiles.segment(2)]
        var cuts = 0
        for cut in 1... {
            let disk = SimulatedDisk(seed: UInt64(cut))
            for name in names { disk.setContents(name, content) }
            disk.faults.powerCutIn = cut
            let isDone: Bool
            do throws(JournalError) {
                try disk.removeGently(names) {}
                isDone = true
            } catch {
                isDone = false
            }
            disk.crash()
            for name in names {
                if let found = disk.contents(name) { #expect(found == content, "cut \(cut)") }
            }
            try disk.removeTemporaries()
            #expect(try disk.list().allSatisfy(names.contains))
            if isDone { break }
            cuts = cut
        }
        // Each renamed, the directory synced, shrunk and synced twice, removed.
        #expect(cuts == 2 * (1 + 1 + 2 * 2 + 1))
    }

    /// Without a descriptor nothing can be shrunk: then nothing is renamed either, and the next attempt finds it all.
    @Test func whatCannotBeOpenedStays() throws {
        let disk = SimulatedDisk(seed: 1)
        let names = [JournalFiles.segment(1), JournalFiles.segment(2)]
        for name in names { disk.setContents(name, Array(repeating: 1, count: Self.bytes)) }
        disk.faults.openFiles = 0
        let error = #expect(throws: JournalError.self) { try disk.removeGently(names) {} }
        #expect(error?.isOfDescriptors == true)
        disk.faults.openFiles = nil
        #expect(try disk.list() == names)
        try disk.removeGently(names) {}
        #expect(try disk.list().isEmpty)
    }

    @Test func eachPieceIsFollowedByARest() throws {
        let disk = SimulatedDisk(seed: 1)
        disk.setContents("large", Array(repeating: 1, count: Self.bytes))
        disk.setContents("small", [1])
        var rests = 0
        try disk.removeGently(["large", "small"]) { rests += 1 }
        #expect(rests == 2)
        #expect(try disk.list().isEmpty)
    }

    /// Who reads a segment while it goes learns that it is gone, not that the journal is damaged.
    @Test func aFollowerIsToldThatItsSegmentIsGone() throws {
        let disk = SimulatedDisk(seed: 1)
        var configuration = JournalConfiguration()
        // More than a follower reads at once.
        configuration.segmentBytes = 6 << 20
        let ring = RecordRing(capacity: 1 << 16)
        defer { ring.deallocate() }
        let writer = try JournalWriter(
            disk, id: SmallJournal.id, configuration, rings: [ring], after: nil)
        writer.prepareNext()
        var version: UInt64 = 0
        while writer.currentSegment == 1 {
            for _ in 0..<500 {
                version += 1
                var image = CheckpointEntry.Encoder()
                image.begin(.setting, version: version, time: 0, tenant: 0)
                for word in 0..<60 { image.append(UInt64(word)) }
                image.seal()
                for (index, word) in image.words.enumerated() {
                    ring[ring.end + UInt64(index)] = word
                }
                ring.publish(to: ring.end + UInt64(image.words.count))
            }
            writer.round()
        }
        let follower = JournalFollower(disk, id: SmallJournal.id, at: .start(ofSegment: 1))
        _ = try follower.next(before: writer.durableEnd)
        // It was opened, and is gone half.
        try disk.removeGently([JournalFiles.segment(1)]) {}
        let code: JournalError.Code?
        do throws(JournalError) {
            while try follower.next(before: writer.durableEnd) != nil {}
            code = nil
        } catch {
            code = error.code
        }
        #expect(code == .missing)
    }
}
