import Foundation
import TestKit

@testable import Journal

/// A journal of small segments on a simulated disk, its records numbered, for tests to write, damage and read.
struct SmallJournal {
    static let id = JournalID(low: 7, high: 9)
    static let segmentBytes = 16 << 10

    let disk: SimulatedDisk
    let rings: [RecordRing]
    private(set) var writer: JournalWriter
    /// Records published so far, in order.
    private(set) var published: UInt64 = 0
    /// Of those, the ones that were acknowledged: every record of a number below this.
    private(set) var acknowledged: UInt64 = 0

    /// - Parameter after: what a reader found; nil: a new journal.
    init(_ disk: SimulatedDisk, after end: JournalEnd? = nil, next: UInt64 = 0) throws {
        self.disk = disk
        rings = [RecordRing(capacity: 1_024), RecordRing(capacity: 1_024)]
        do {
            writer = try JournalWriter(
                disk, id: Self.id, Self.configuration, rings: rings, after: end)
        } catch {
            rings.forEach { $0.deallocate() }
            throw error
        }
        published = next
        acknowledged = next
        writer.prepareNext()
    }

    static var configuration: JournalConfiguration {
        var configuration = JournalConfiguration()
        configuration.segmentBytes = segmentBytes
        return configuration
    }

    func deallocate() { rings.forEach { $0.deallocate() } }

    /// Publishes a record of 4 to 12 words, if there is room.
    mutating func publish(_ random: inout SeededGenerator) {
        let ring = rings[Int(random.next() % 2)]
        guard ring.isOpen, ring.hasRoom(16) else { return }
        var image = CheckpointEntry.Encoder()
        image.begin(.setting, version: published, time: 0, tenant: 0)
        for index in 0..<random.next() % 9 { image.append(published &* 1_000 &+ index) }
        image.seal()
        for (index, word) in image.words.enumerated() { ring[ring.end + UInt64(index)] = word }
        ring.publish(to: ring.end + UInt64(image.words.count))
        published += 1
    }

    /// Does a round. False: the disk has failed.
    mutating func round() -> Bool {
        let before = published
        writer.prepareNext()
        writer.round()
        guard !writer.hasFailed else { return false }
        acknowledged = before
        return true
    }

    /// The numbers of the records that a reader finds, from a checkpoint and behind it.
    static func read(_ disk: SimulatedDisk) throws(JournalError) -> (
        numbers: [UInt64], end: JournalEnd
    ) {
        var numbers: [UInt64] = []
        var first: UInt64 = 1
        var last: UInt64?
        let checkpoints = try disk.checkpointNumbers()
        for number in checkpoints.reversed()
        where CheckpointReader(disk, id: id).check(number) == nil {
            last = try CheckpointReader(disk, id: id).read(number, wrapping: { $0 }) {
                (block) throws(JournalError) in
                block.forEachRecord { numbers.append($0[1]) }
            }.sequence
            first = number
            break
        }
        let end = try JournalReader(disk, id: id).read(
            from: first, after: last, wrapping: { $0 }
        ) { (event) throws(JournalError) in
            if case .records(let payload, _) = event {
                payload.forEachRecord { numbers.append($0[1]) }
            }
        }
        return (numbers, end)
    }
}
