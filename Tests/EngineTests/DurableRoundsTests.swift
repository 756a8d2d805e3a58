import Journal
import Synchronization
import TestKit
import Testing

@testable import Engine

/// Who waits for the journal is told, and telling costs the same each time.
@Suite struct DurableRoundsTests {
    /// A journal of one ring, whose rounds the test does.
    private final class Rounds {
        let disk = SimulatedDisk(seed: 1)
        let ring = RecordRing(capacity: 1_024)
        let writer: JournalWriter
        let rounds: DurableRounds

        init() throws {
            var configuration = JournalConfiguration()
            configuration.segmentBytes = JournalConfiguration.leastSegmentBytes
            writer = try JournalWriter(
                disk, id: JournalID(low: 1, high: 2), configuration,
                rings: [ring], after: nil)
            let rounds = DurableRounds(writer) {}
            self.rounds = rounds
            writer.onRound = { [weak rounds] in rounds?.roundDone() }
            writer.onFailure { [weak rounds] _ in rounds?.failed() }
        }

        /// A round whose sync fails.
        func fail() {
            var image = CheckpointEntry.Encoder()
            image.begin(.setting, version: 0, time: 0, tenant: 0)
            image.seal()
            for (index, word) in image.words.enumerated() { ring[ring.end + UInt64(index)] = word }
            ring.publish(to: ring.end + UInt64(image.words.count))
            disk.faults.failingSyncIn = 1
            writer.round()
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

    /// Who waits already when the journal fails learns of it, though nobody comes after.
    @Test(.timeLimit(.minutes(10))) func whoWaitsLearnsOfAFailure() async throws {
        let journal = try Rounds()
        let rounds = journal.rounds
        async let first = rounds.done()
        async let second = rounds.done()
        while rounds.tasksWaiting < 2 { await Task.yield() }
        journal.fail()
        try #require(journal.writer.hasFailed)
        let isDone = await [first, second]
        #expect(isDone == [false, false])
        #expect(await rounds.done() == false)
        #expect(!rounds.wait())
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
