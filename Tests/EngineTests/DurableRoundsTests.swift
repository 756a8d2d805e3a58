import Journal
import Synchronization
import TestKit
import Testing

@testable import Engine

/// Who waits for the journal is told, and telling costs the same each time.
@Suite struct DurableRoundsTests {
    /// A journal of one ring, whose rounds the test does.
    private final class Rounds {
        let ring = RecordRing(capacity: 1_024)
        let writer: JournalWriter
        let rounds: DurableRounds

        init() throws {
            var configuration = JournalConfiguration()
            configuration.segmentBytes = JournalConfiguration.leastSegmentBytes
            writer = try JournalWriter(
                SimulatedDisk(seed: 1), id: JournalID(low: 1, high: 2), configuration,
                rings: [ring], after: nil)
            let rounds = DurableRounds(writer) {}
            self.rounds = rounds
            writer.onRound = { rounds.roundDone() }
        }

        deinit { ring.deallocate() }
    }

    /// What each call of the listener's callback finds of its stack.
    private final class Depth: Sendable {
        let calls = Atomic<Int>(0)
        let first = Atomic<UInt>(0)
        let last = Atomic<UInt>(0)

        func note() {
            var place = 0
            let address = withUnsafePointer(to: &place) { UInt(bitPattern: $0) }
            if calls.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
                first.store(address, ordering: .relaxed)
            }
            last.store(address, ordering: .relaxed)
        }
    }

    @Test func tellingALaneGoesNoDeeperAfterManyRounds() throws {
        let journal = try Rounds()
        let listener = journal.rounds.makeListener()
        let depth = Depth()
        listener.onDurable { depth.note() }
        for _ in 0..<20_000 {
            _ = journal.rounds.takeTicket(listener)
            journal.writer.round()
        }
        #expect(depth.calls.load(ordering: .relaxed) == 20_000)
        #expect(depth.last.load(ordering: .relaxed) == depth.first.load(ordering: .relaxed))
    }

    @Test func aLaneIsToldOnlyOfItsOwnTickets() throws {
        let journal = try Rounds()
        let (one, other) = (journal.rounds.makeListener(), journal.rounds.makeListener())
        let (depthOfOne, depthOfOther) = (Depth(), Depth())
        one.onDurable { depthOfOne.note() }
        other.onDurable { depthOfOther.note() }
        let ticket = journal.rounds.takeTicket(one)
        #expect(journal.rounds.durable < ticket)
        journal.writer.round()
        journal.writer.round()
        #expect(journal.rounds.durable >= ticket)
        #expect(depthOfOne.calls.load(ordering: .relaxed) == 1)
        #expect(depthOfOther.calls.load(ordering: .relaxed) == 0)
    }
}
