import TestKit
import Testing

@testable import Journal

/// Where a journal ends that somebody else writes, and which files that takes.
@Suite struct SnapshotTests {
    private static let id = SmallJournal.id

    /// A journal that is written in the third segment.
    private func withJournal(_ body: (inout SmallJournal) throws -> Void) throws {
        var journal = try SmallJournal(SimulatedDisk(seed: 3))
        defer { journal.deallocate() }
        var random = SeededGenerator(seed: 11)
        while journal.writer.currentSegment < 3 { try write(&journal, &random) }
        try write(&journal, &random)
        try body(&journal)
    }

    private func write(_ journal: inout SmallJournal, _ random: inout SeededGenerator) throws {
        for _ in 0..<20 { journal.publish(&random) }
        let isDone = journal.round()
        try #require(isDone)
    }

    private func snapshot(
        _ disk: SimulatedDisk, checkpoint: UInt64? = nil, needed: UInt64? = nil
    ) throws(JournalError) -> JournalSnapshot {
        try JournalSnapshot(disk, id: Self.id, checkpoint: checkpoint, needed: needed)
    }

    @Test func itEndsBehindTheLastFrame() throws {
        try withJournal { journal in
            let end = try SmallJournal.read(journal.disk).end
            let found = try snapshot(journal.disk)
            #expect(found.end == JournalPlace(segment: end.segment, offset: end.offset))
            #expect(found.first == 1)
            #expect(found.parts.map(\.name) == (1...3).map { JournalFiles.segment($0) })
            #expect(found.parts.map(\.isFinal) == [true, true, false])
            #expect(
                found.parts.map(\.size) == [Int](repeating: SmallJournal.segmentBytes, count: 3))
            #expect(found.parts.map(\.bytes) == found.parts.dropLast().map(\.size) + [end.offset])
        }
    }

    /// All of a segment's bytes are told of, the zeros behind its frames too: whoever bounds a rate must know.
    @Test func whatIsReadIsTold() throws {
        try withJournal { journal in
            var read = 0
            _ = try JournalSnapshot(journal.disk, id: Self.id, checkpoint: nil) { read += $0 }
            #expect(read >= SmallJournal.segmentBytes - FileHeader.bytes - 16)
        }
    }

    @Test func itBeginsWhereTheCheckpointOrAFollowerNeedsIt() throws {
        try withJournal { journal in
            #expect(try snapshot(journal.disk, checkpoint: 2).first == 2)
            #expect(try snapshot(journal.disk, checkpoint: 3).parts.map(\.isFinal) == [false])
            #expect(try snapshot(journal.disk, checkpoint: 3, needed: 2).first == 2)
            #expect(try snapshot(journal.disk, checkpoint: 2, needed: 3).first == 2)
            // It is gone: the follower begins anew.
            try journal.disk.remove(JournalFiles.segment(1))
            #expect(try snapshot(journal.disk, checkpoint: 2, needed: 1).first == 2)
        }
    }

    /// A seal is the segment's last frame: the journal goes on in the next one, where nothing is yet.
    @Test func behindASealItEndsInTheNextSegment() throws {
        try withJournal { journal in
            let disk = journal.disk.copy()
            let third = try #require(disk.contents(JournalFiles.segment(3)))
            disk.setContents(
                JournalFiles.segment(3),
                Array(third.prefix(FileHeader.bytes))
                    + [UInt8](repeating: 0, count: third.count - FileHeader.bytes))
            let found = try snapshot(disk)
            #expect(found.end == JournalPlace(segment: 3, offset: FileHeader.bytes))
            try disk.remove(JournalFiles.segment(3))
            let error = #expect(throws: JournalError.self) { try snapshot(disk) }
            #expect(error?.code == .missing && error?.file == JournalFiles.segment(3))
        }
    }

    @Test func aHoleIsNoEnd() throws {
        try withJournal { journal in
            for number: UInt64 in 1...2 {
                let disk = journal.disk.copy()
                try disk.remove(JournalFiles.segment(number))
                let error = #expect(throws: JournalError.self) { try snapshot(disk) }
                #expect(error?.code == .missing && error?.file == JournalFiles.segment(number))
            }
        }
    }

    /// A frame that is not whole and has others behind it is damage; at the end it was never acknowledged.
    @Test func damageIsToldFromATornEnd() throws {
        try withJournal { journal in
            var random = SeededGenerator(seed: 5)
            let before = try snapshot(journal.disk).end
            try write(&journal, &random)
            let last = try snapshot(journal.disk).end
            try write(&journal, &random)
            let name = JournalFiles.segment(3)
            let whole = try #require(journal.disk.contents(name))
            let torn = journal.disk.copy()
            var bytes = whole
            bytes[last.offset + FrameHeader.bytes + 8] ^= 1
            torn.setContents(name, bytes)
            #expect(try snapshot(torn).end == last)
            bytes = whole
            bytes[before.offset + FrameHeader.bytes + 8] ^= 1
            torn.setContents(name, bytes)
            let error = #expect(throws: JournalError.self) { try snapshot(torn) }
            #expect(error?.code == .damaged && error?.offset == before.offset)
        }
    }

    @Test func aSealedSegmentIsReadToItsSeal() throws {
        try withJournal { journal in
            var read = 0
            try JournalSnapshot.check(sealed: 1, journal.disk, id: Self.id) { read += $0 }
            #expect(read > SmallJournal.segmentBytes / 2)
            let error = #expect(throws: JournalError.self) {
                try JournalSnapshot.check(sealed: 3, journal.disk, id: Self.id)
            }
            #expect(error?.code == .damaged && error?.file == JournalFiles.segment(3))
        }
    }
}
