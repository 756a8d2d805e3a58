import Engine
import GRDB
import Journal
import Limits

// Where the projection begins: where the file ends, or with the oldest that the journal still has.
extension JournalIngester {
    /// The writer and the follower, at the place where the file ends, or at the beginning if it is empty.
    func ready() throws -> (ProjectionWriter, JournalFollower) {
        if let writer, let follower { return (writer, follower) }
        kept = nil
        let found = try pool.read { db in
            let found = try ProjectionWriter.position(db)
            let told = try HistoryWatermark.read(db)
            guard found?.journal ?? feed.id == feed.id, told?.journal ?? feed.id == feed.id else {
                throw ProjectionError(.otherJournal, "the file belongs to another journal")
            }
            return found
        }
        if found == nil, try pool.read(Self.hasBegun) {
            // It ended in the middle of a checkpoint.
            try file.makeStateAnew(pool, Self.extent(feed))
        }
        let fresh = ProjectionWriter(feed.id, capacity)
        fresh.attemptsGoOn = configuration.attemptsGoOn
        try fresh.load(pool, goOn)
        let position: JournalPosition
        if let found {
            position = found.position
            try keep(position.place.segment)
            guard position.place <= feed.durableEnd,
                try feed.disk.segmentNumbers().contains(position.place.segment)
            else {
                throw ProjectionError(
                    .unusable, "the journal does not continue where the file ends")
            }
        } else if try feed.disk.segmentNumbers().first == 1 {
            position = .start(ofSegment: 1)
        } else {
            position = try takeCheckpoint(fresh)
        }
        let reader = JournalFollower(feed.disk, id: feed.id, at: position)
        passed = found?.records ?? 0
        writer = fresh
        follower = reader
        return (fresh, reader)
    }

    private static func hasBegun(_ db: Database) throws -> Bool {
        let tenant: Int64? = try db.value(.anyTenant)
        let setting: String? = try db.value(.anySetting)
        return tenant != nil || setting != nil
    }

    /// Takes the oldest checkpoint up that is whole and whose successor segment is there, a step at a time; the newest if
    /// the oldest once went before it was taken up: that one stays longest.
    private func takeCheckpoint(_ writer: ProjectionWriter) throws -> JournalPosition {
        let segments = try feed.disk.segmentNumbers()
        let reader = CheckpointReader(feed.disk, id: feed.id)
        var numbers = try feed.disk.checkpointNumbers().filter(segments.contains)
        if beginsLate { numbers.reverse() }
        for number in numbers where try isWhole(number, reader) {
            let start = JournalPosition.start(ofSegment: number).place
            writer.reach(start, from: start)
            let summary: CheckpointReader.Summary
            do {
                summary = try reader.read(number, wrapping: { $0 as any Error }) { block in
                    try restore(block, writer)
                }
            } catch let error as JournalError {
                if try !feed.disk.checkpointNumbers().contains(number) { beginsLate = true }
                throw error
            }
            let position = JournalPosition.start(ofSegment: number, after: summary.sequence)
            let now = clock.now
            try pool.write { db in
                try writer.endOrphans(db)
                try writer.finish(db, position, records: 0, now: now)
            }
            return position
        }
        throw JournalError(
            .damaged, file: JournalFiles.checkpoint(segments.first ?? 1),
            reason: "no intact checkpoint to start the projection from",
            remedy: "stop the service, and run `tollgate journal verify`")
    }

    /// Whether a checkpoint can be read to its end; a stop ends the look.
    private func isWhole(_ number: UInt64, _ reader: CheckpointReader) throws -> Bool {
        do {
            _ = try reader.read(number, wrapping: { $0 as any Error }) { _ in try goOn() }
            return true
        } catch let error as JournalError where !error.isOfDescriptors {
            return false
        }
    }

    /// Entries of a checkpoint that are taken over in one transaction.
    private static let entries = 500

    private func restore(_ block: UnsafeBufferPointer<UInt64>, _ writer: ProjectionWriter) throws {
        let now = clock.now
        var offset = 0
        while offset < block.count {
            try goOn()
            try pool.write { db in
                for _ in 0..<Self.entries where offset < block.count {
                    let count = RecordWords.count(block[offset])
                    guard count > 0, offset + count <= block.count else {
                        throw ProjectionError(
                            .journal, "an entry of the checkpoint is longer than its block")
                    }
                    let words = UnsafeBufferPointer(rebasing: block[offset..<offset + count])
                    try writer.restore(words, db, now: now)
                    offset += count
                }
                try writer.writeStates(db, now: now)
            }
        }
    }
}
