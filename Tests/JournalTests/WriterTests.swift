import Foundation
import Synchronization
import TestKit
import Testing

@testable import Journal

@Suite struct WriterTests {
    @Test func aFailedSyncIsFinal() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        let failures = Atomic<Int>(0)
        journal.writer.onFailure { _ in failures.wrappingAdd(1, ordering: .relaxed) }
        journal.publish(&random)
        let round1 = journal.round()
        #expect(round1)
        let durable = journal.writer.durableRound
        disk.faults.failingSyncIn = 1
        journal.publish(&random)
        let round2 = journal.round()
        #expect(!round2)
        #expect(journal.rings.allSatisfy { !$0.isOpen })
        // The disk is well again; the journal is not.
        disk.faults.failingSyncIn = nil
        let round3 = journal.round()
        #expect(!round3)
        #expect(journal.writer.durableRound == durable)
        #expect(failures.load(ordering: .relaxed) == 1)
        #expect(journal.writer.currentStatus.trouble != nil)
    }

    @Test func nothingIsPreparedAfterAFailure() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        disk.faults.failingSyncIn = 1
        journal.publish(&random)
        journal.writer.round()
        try #require(journal.writer.hasFailed)
        disk.faults.failingSyncIn = nil
        let operations = disk.operations
        #expect(!journal.writer.prepareNext())
        #expect(disk.operations == operations)
    }

    /// Of segments that are large enough to be prepared in several slices.
    private static func writer(
        _ disk: SimulatedDisk, _ ring: RecordRing, segmentBytes: Int, after end: JournalEnd? = nil
    ) throws -> JournalWriter {
        var configuration = SmallJournal.configuration
        configuration.segmentBytes = segmentBytes
        return try JournalWriter(
            disk, id: SmallJournal.id, configuration, rings: [ring], after: end)
    }

    /// A segment that is prepared meanwhile does not make all well again.
    @Test func aFailureStaysTheTrouble() throws {
        let disk = SimulatedDisk(seed: 1)
        let ring = RecordRing(capacity: 1_024)
        defer { ring.deallocate() }
        let writer = try Self.writer(disk, ring, segmentBytes: 1 << 20)
        disk.onSync = { _ in
            guard !writer.hasFailed else { return }
            Self.publish(on: ring)
            disk.faults.failingSyncIn = 1
            writer.round()
            disk.faults.failingSyncIn = nil
        }
        writer.prepareNext()
        #expect(writer.isPrepared && writer.hasFailed)
        #expect(writer.currentStatus.trouble?.code == .system)
        disk.onSync = nil
    }

    @Test func whoAsksAfterAFailureIsToldAtOnce() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        let told = Lock<[String]>([])
        journal.writer.onFailure { _ in told.withLock { $0.append("one") } }
        journal.writer.onFailure { _ in told.withLock { $0.append("two") } }
        disk.faults.failingSyncIn = 1
        journal.publish(&random)
        journal.writer.round()
        #expect(told.withLock { $0 } == ["one", "two"])
        let trouble = journal.writer.currentStatus.trouble
        journal.writer.onFailure { error in
            told.withLock { $0.append(error == trouble ? "three" : "\(error)") }
        }
        #expect(told.withLock { $0 } == ["one", "two", "three"])
    }

    /// A stop does not wait for a segment that nobody needs yet.
    @Test func aStopGivesUpTheSegmentThatIsPrepared() throws {
        let disk = SimulatedDisk(seed: 1)
        let ring = RecordRing(capacity: 1_024)
        defer { ring.deallocate() }
        let writer = try Self.writer(disk, ring, segmentBytes: 4 << 20)
        let thread = JournalThread(writer)
        let slices = Atomic<Int>(0)
        let isAsked = DispatchSemaphore(value: 0)
        // Nothing is published: only the thread that prepares uses the disk.
        disk.onSync = { name in
            guard name == JournalFiles.nextSegment,
                slices.wrappingAdd(1, ordering: .relaxed).newValue == 3
            else { return }
            thread.askToStop()
            isAsked.signal()
        }
        thread.start()
        isAsked.wait()
        thread.stop()
        disk.onSync = nil
        #expect(slices.load(ordering: .relaxed) == 3, "no slice was written after the stop")
        #expect(try disk.list() == [JournalFiles.segment(1)])
        #expect(!writer.hasFailed && writer.currentStatus.trouble == nil)
        // Behind what was read the journal goes on.
        let again = try Self.writer(
            disk, ring, segmentBytes: 4 << 20, after: SmallJournal.read(disk).end)
        #expect(again.prepareNext() && again.isPrepared)
        Self.publish(on: ring)
        #expect(again.round())
        #expect(try SmallJournal.read(disk).numbers == [0])
    }

    private static func publish(on ring: RecordRing) {
        var image = CheckpointEntry.Encoder()
        image.begin(.setting, version: 0, time: 0, tenant: 0)
        image.seal()
        for (index, word) in image.words.enumerated() { ring[ring.end + UInt64(index)] = word }
        ring.publish(to: ring.end + UInt64(image.words.count))
    }

    @Test func aFullDiskShutsTheDoorAndOpensItAgain() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        disk.faults.capacity = 2 * SmallJournal.segmentBytes
        var refused = false
        for _ in 0..<400 where !refused {
            let before = journal.published
            journal.publish(&random)
            refused = journal.published == before
            let round4 = journal.round()
            #expect(round4, "nothing that was let in fails")
        }
        #expect(refused)
        #expect(journal.writer.currentStatus.trouble?.code == .noSpace)
        disk.faults.capacity = nil
        let round5 = journal.round()
        #expect(round5)
        let before = journal.published
        journal.publish(&random)
        let isDone = journal.round()
        #expect(journal.published == before + 1 && isDone)
        #expect(try SmallJournal.read(disk).numbers.count == Int(journal.published))
    }

    /// The next segment is open already; the one after it is made when a descriptor is free again. Meanwhile the door shuts
    /// before anything that was let in fails.
    @Test func spentDescriptorsShutTheDoorAndOpenItAgain() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        try #require(journal.writer.isPrepared)
        disk.faults.openFiles = 0
        var refused = false
        for _ in 0..<400 where !refused {
            let before = journal.published
            journal.publish(&random)
            refused = journal.published == before
            let isDone = journal.round()
            #expect(isDone, "nothing that was let in fails")
        }
        #expect(refused && journal.writer.currentSegment == 2)
        #expect(journal.writer.currentStatus.trouble?.isOfDescriptors == true)
        // Nothing that is kept is to go for it.
        #expect(!journal.writer.lacksRoom && !journal.writer.isOpen)
        disk.faults.openFiles = nil
        let isDone = journal.round()
        #expect(isDone && journal.writer.isPrepared && journal.writer.isOpen)
        #expect(journal.writer.currentStatus.trouble == nil)
        let before = journal.published
        while journal.writer.currentSegment == 2 {
            journal.publish(&random)
            let isDone = journal.round()
            try #require(isDone)
        }
        #expect(journal.published > before)
        #expect(try SmallJournal.read(disk).numbers.count == Int(journal.published))
    }

    /// A descriptor that is lent is given back: one for the segment that is written, and one for the one behind it.
    @Test func twoFilesAreOpenHoweverManySegmentsThereWere() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        do {
            var journal = try SmallJournal(disk)
            defer { journal.deallocate() }
            while journal.writer.currentSegment < 6 {
                journal.publish(&random)
                let isDone = journal.round()
                try #require(isDone)
                #expect(disk.openFiles == 1 + (journal.writer.isPrepared ? 1 : 0))
            }
        }
        #expect(disk.openFiles == 0)
    }

    /// Its sync failed, and the system holds it in memory all the same: who finds it there and goes on behind it must have
    /// it on disk, or what is acknowledged there stands behind a hole after the next power loss.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func aSealInMemoryIsWrittenAgain(seed: UInt64) throws {
        let disk = SimulatedDisk(seed: seed)
        var random = SeededGenerator(seed: seed)
        var journal = try SmallJournal(disk)
        // More than half a segment: the second round has to seal the first one.
        for _ in 0..<150 { journal.publish(&random) }
        let isDone = journal.round()
        try #require(isDone && journal.writer.currentSegment == 1)
        for _ in 0..<150 { journal.publish(&random) }
        disk.faults.failingSyncIn = 1
        let isDoneAgain = journal.round()
        #expect(!isDoneAgain)
        let acknowledged = journal.acknowledged
        journal.deallocate()
        disk.endProcess()
        let found = try SmallJournal.read(disk)
        try #require(found.end.seal?.segment == 1 && found.end.segment == 2)
        var next = try SmallJournal(disk, after: found.end, next: UInt64(found.numbers.count))
        defer { next.deallocate() }
        for _ in 0..<20 { next.publish(&random) }
        let goesOn = next.round()
        #expect(goesOn)
        disk.crash()
        let numbers = try SmallJournal.read(disk).numbers
        #expect(acknowledged == 150 && numbers.count == Int(next.acknowledged))
    }

    /// Starts alone may fill the last segment that the bounds allow: the next one is opened beyond them, for only an open
    /// journal can make room.
    @Test func aFullJournalIsOpened() throws {
        let disk = SimulatedDisk(seed: 1)
        let ring = RecordRing(capacity: 1_024)
        defer { ring.deallocate() }
        var configuration = SmallJournal.configuration
        configuration.maximumBytes = SmallJournal.segmentBytes
        var end: JournalEnd?
        var starts = 0
        repeat {
            let writer = try JournalWriter(
                disk, id: SmallJournal.id, configuration, rings: [ring], after: end)
            #expect(!writer.prepareNext() && writer.isFull)
            end = try SmallJournal.read(disk).end
            starts += 1
        } while end?.segment == 1 && starts < 1_000
        #expect(end?.segment == 2 && starts > 10)
    }

    /// However many records there are, in however many rings, and where a ring ends in the middle of them.
    @Test func aRoundIsOneWriteAndOneSync() throws {
        let disk = SimulatedDisk(seed: 1)
        var random = SeededGenerator(seed: 1)
        var journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        let synced = Atomic<Int>(0)
        var rounds = 0
        while journal.rings.contains(where: { $0.end <= UInt64($0.capacity) }) {
            journal.writer.prepareNext()
            let before = journal.published
            for _ in 0...random.next() % 30 { journal.publish(&random) }
            try #require(journal.published > before)
            let (operations, segment) = (disk.operations, journal.writer.currentSegment)
            synced.store(0, ordering: .relaxed)
            disk.onSync = { _ in synced.wrappingAdd(1, ordering: .relaxed) }
            let hasRecords = journal.writer.round()
            disk.onSync = nil
            #expect(hasRecords)
            // Where a segment ends its seal is written and synced, too.
            let isSealed = journal.writer.currentSegment != segment
            #expect(disk.operations - operations == (isSealed ? 4 : 2))
            #expect(synced.load(ordering: .relaxed) == (isSealed ? 2 : 1))
            rounds += 1
        }
        #expect(rounds > 20)
        #expect(try SmallJournal.read(disk).numbers.count == Int(journal.published))
    }

    @Test func roundsWithNothingToWriteComeToAnEnd() throws {
        let disk = SimulatedDisk(seed: 1)
        let journal = try SmallJournal(disk)
        defer { journal.deallocate() }
        let operations = disk.operations
        let ticket = journal.writer.roundsStarted + 1
        #expect(journal.writer.durableRound < ticket)
        journal.writer.round()
        #expect(journal.writer.durableRound == ticket)
        #expect(disk.operations == operations, "nothing was written or synced")
    }

    /// Two lanes publish, take tickets and wait for them, with the real threads on a real directory: every ticket
    /// comes due, and everything is there in the end.
    @Test func wakeUpsLoseNothing() throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("tollgate-journal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let disk = try SystemDisk(path: directory.path)
        let rings = [RecordRing(capacity: 4_096), RecordRing(capacity: 4_096)]
        defer { rings.forEach { $0.deallocate() } }
        var configuration = JournalConfiguration()
        configuration.segmentBytes = 1 << 20
        let writer = try JournalWriter(
            disk, id: SmallJournal.id, configuration, rings: rings, after: nil)
        let journal = JournalThread(writer)
        journal.start()
        let perLane = 4_000
        let group = DispatchGroup()
        for (index, ring) in rings.enumerated() {
            group.enter()
            Thread.detachNewThread {
                var count = 0
                while count < perLane {
                    guard ring.isOpen, ring.hasRoom(64) else {
                        journal.wake()
                        sched_yield()
                        continue
                    }
                    var image = CheckpointEntry.Encoder()
                    image.begin(
                        .setting, version: UInt64(index * perLane + count), time: 0, tenant: 0)
                    image.seal()
                    for (place, word) in image.words.enumerated() {
                        ring[ring.end + UInt64(place)] = word
                    }
                    ring.publish(to: ring.end + UInt64(image.words.count))
                    count += 1
                    if count % 8 == 0 {
                        let ticket = writer.roundsStarted + 1
                        journal.wake()
                        while writer.durableRound < ticket { sched_yield() }
                    }
                }
                group.leave()
            }
        }
        group.wait()
        journal.stop()
        var numbers: Set<UInt64> = []
        _ = try JournalReader(disk, id: SmallJournal.id).read(from: 1, wrapping: { $0 }) {
            (event) throws(JournalError) in
            if case .records(let payload, _) = event {
                payload.forEachRecord { numbers.insert($0[1]) }
            }
        }
        #expect(numbers.count == 2 * perLane)
    }
}
