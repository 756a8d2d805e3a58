import Foundation
import TestKit
import Testing

@testable import Journal

/// The power goes at any operation of the disk, and any of the 512-byte sectors that were not synced are lost:
/// what was acknowledged is there, once, and nothing that was not published. `TOLLGATE_STATES` sets how often.
@Suite struct PowerLossTests {
    static func number(_ name: String, _ standard: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard
    }

    @Test func whatIsAcknowledgedIsThere() throws {
        let states = Self.number("TOLLGATE_STATES", 2_000)
        let first = UInt64(Self.number("TOLLGATE_SEED", 1))
        var seed = first
        var seen = 0
        while seen < states {
            seen += try Self.life(seed: seed, crashes: min(20, states - seen))
            seed += 1
        }
        print("\(seen) states, seeds \(first) to \(seed - 1)")
    }

    /// One disk, and so many crashes.
    static func life(seed: UInt64, crashes: Int) throws -> Int {
        let disk = SimulatedDisk(seed: seed)
        var random = SeededGenerator(seed: seed &+ 77)
        var end: JournalEnd?
        var next: UInt64 = 0
        for crash in 0..<crashes {
            disk.faults.powerCutIn = 1 + Int(random.next() % 60)
            var acknowledged = next
            var published = next
            if var journal = try? SmallJournal(disk, after: end, next: next) {
                while true {
                    for _ in 0..<random.next() % 12 { journal.publish(&random) }
                    guard journal.round(), !disk.hasNoPower else { break }
                    if random.next() % 8 == 0 { journal.writer.mark() }
                }
                acknowledged = journal.acknowledged
                published = journal.published
                journal.deallocate()
            }
            disk.crash()
            guard try disk.segmentNumbers().isEmpty == false else {
                #expect(acknowledged == 0)
                end = nil
                next = 0
                continue
            }
            let (numbers, found) = try SmallJournal.read(disk)
            let sorted = numbers.sorted()
            #expect(sorted == Array(Set(numbers)).sorted(), "seed \(seed), crash \(crash): twice")
            #expect(
                sorted.filter { $0 < acknowledged } == Array(0..<acknowledged),
                "seed \(seed), crash \(crash): lost")
            #expect(sorted.last.map { $0 < published } ?? true, "seed \(seed), crash \(crash)")
            end = found
            // What was there without having been acknowledged stays.
            next = max(published, acknowledged)
            if sorted.count != Int(next) { return crash + 1 }
        }
        return crashes
    }
}
