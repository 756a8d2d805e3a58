import Foundation
import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// A directory of a test's own.
private final class Directory {
    private let url = FileManager.default.temporaryDirectory.appending(
        path: "tollgate-checkpointer-\(UUID())")

    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    var path: String { url.path }
}

@Suite struct CheckpointerTests {
    private static let tenants = 6_000

    private func open(
        _ disk: any Disk, maximumBytes: Int = 64 << 20, retention: Int64 = 3_600_000,
        hasThreads: Bool = false
    ) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 256 << 10
        settings.journal.maximumBytes = maximumBytes
        settings.retention = retention
        settings.hasThreads = hasThreads
        let capacity = TableCapacity(
            tenants: Self.tenants, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3)
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity), disk: disk, settings: settings
        ).engine
    }

    private func fill(_ engine: Engine) throws {
        for number in 0..<Self.tenants {
            try engine.waitingForRoom(atMost: 300_000) { () throws(EngineError) in
                try engine.setTenant(TenantSettings(id: "tenant-\(number)", name: "Name"))
            }
        }
        try engine.awaitDurable()
    }

    private func checkpoints(_ disk: any Disk) throws -> [String] {
        try disk.list().filter { $0.hasPrefix("checkpoint") }
    }

    /// Nothing of it is left, and the journal is whole without it.
    @Test func aStopInTheMiddleGivesACheckpointUp() throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try open(disk)
        try fill(engine)
        let checkpointer = try #require(engine.journal?.checkpointer)
        var begun = 0
        disk.onCreate = { name in
            guard name.hasPrefix("checkpoint") else { return }
            begun += 1
            checkpointer.stop()
        }
        let error = #expect(throws: EngineError.self) { try engine.makeCheckpoint() }
        #expect(error?.code == .interrupted && begun == 1)
        #expect(try checkpoints(disk).isEmpty)
        engine.close()
        disk.onCreate = nil
        let again = try open(disk)
        #expect(again.tenant("tenant-\(Self.tenants - 1)")?.name == "Name")
        #expect(try again.makeCheckpoint())
        #expect(try checkpoints(disk).count == 1)
        again.close()
    }

    /// Where the journal has reached half of --journal-maximum, work that rests is too slow.
    @Test func quietWorkIsGivenUpWhenTheJournalFillsUp() throws {
        let disk = SimulatedDisk(seed: 2)
        let engine = try open(disk, maximumBytes: 6 << 18)
        try fill(engine)
        let checkpointer = try #require(engine.journal?.checkpointer)
        let kept = try #require(engine.journal?.writer.bytesKept)
        try #require(kept > (6 << 18) / 2)
        let error = #expect(throws: EngineError.self) { try checkpointer.make(.quiet) }
        #expect(error?.code == .interrupted)
        #expect(try checkpoints(disk).isEmpty)
        #expect(try checkpointer.make(.urgent))
        #expect(try checkpoints(disk).count == 1)
        engine.close()
    }

    /// The quiet one may stop anywhere, for as long as the machine likes: nobody waits for it, and it does no harm later.
    @Test(arguments: [Checkpointer.Manner.quiet, .urgent])
    func theUrgentOneWaitsForNobody(manner: Checkpointer.Manner) throws {
        let disk = SimulatedDisk(seed: 4)
        let engine = try open(disk)
        try fill(engine)
        let checkpointer = try #require(engine.journal?.checkpointer)
        let number = try #require(engine.journal?.writer.currentSegment)
        var isMade: Bool?
        disk.onCreate = { name in
            guard name.hasPrefix("checkpoint"), isMade == nil else { return }
            isMade = false
            // In the middle of the other one.
            isMade = try? checkpointer.make(.urgent)
        }
        let error = #expect(throws: EngineError.self) { try checkpointer.make(manner) }
        #expect(error?.code == .interrupted && isMade == true)
        disk.onCreate = nil
        #expect(try checkpoints(disk) == [JournalFiles.checkpoint(number)])
        engine.close()
        let again = try open(disk)
        #expect(again.tenant("tenant-\(Self.tenants - 1)")?.name == "Name")
        again.close()
    }

    /// Fills segments and makes a checkpoint, so many times. Returns the checkpoints' numbers: the first segments that
    /// they do not cover.
    private func makeCheckpoints(
        _ count: Int, _ engine: Engine, _ afterEach: ([UInt64]) throws -> Void = { _ in }
    ) throws -> [UInt64] {
        let writer = try #require(engine.journal?.writer)
        var numbers: [UInt64] = []
        for _ in 0..<count {
            let segment = writer.currentSegment
            while writer.currentSegment < segment + 2 {
                for number in 0..<100 {
                    try engine.setTenant(TenantSettings(id: "tenant-\(number)", name: "Name"))
                    // No more at once than the ring holds.
                    if number % 25 == 0 { engine.runJournal() }
                }
                engine.runJournal()
            }
            let isMade = try engine.makeCheckpoint()
            #expect(isMade)
            numbers.append(writer.currentSegment)
            try afterEach(numbers)
        }
        return numbers
    }

    /// Not before: without the newest one, a start needs what the older one does not cover.
    @Test func aSegmentGoesWhenTwoCheckpointsCoverIt() throws {
        let disk = SimulatedDisk(seed: 3)
        let engine = try open(disk, retention: 0)
        let writer = try #require(engine.journal?.writer)
        _ = try makeCheckpoints(4, engine) { numbers in
            // The older one of the last two; of a single one, everything is kept.
            let first = numbers.dropLast().last ?? 1
            let last = writer.currentSegment + (writer.isPrepared ? 1 : 0)
            let (segments, checkpoints) = (try disk.segmentNumbers(), try disk.checkpointNumbers())
            #expect(segments == Array(first...last) && checkpoints == numbers.suffix(2))
        }
        engine.close()
    }

    @Test func coveredSegmentsAreKeptForTheirTime() throws {
        let disk = SimulatedDisk(seed: 3)
        let engine = try open(disk, retention: 3_600_000)
        let checkpointer = try #require(engine.journal?.checkpointer)
        _ = try makeCheckpoints(3, engine) { numbers in
            try checkpointer.removeOldSegments(.quiet)
            #expect(try disk.segmentNumbers().first == 1)
            #expect(try disk.checkpointNumbers() == numbers.suffix(2))
        }
        engine.close()
        // The same with no time to be kept for.
        let other = SimulatedDisk(seed: 3)
        let hasty = try open(other, retention: 1)
        let numbers = try makeCheckpoints(3, hasty)
        try #require(try other.segmentNumbers().first == 1)
        let began = ContinuousClock.now
        while try other.segmentNumbers().first != numbers[1],
            ContinuousClock.now - began < .seconds(10)
        {
            try hasty.journal?.checkpointer.removeOldSegments(.quiet)
        }
        #expect(try other.segmentNumbers().first == numbers[1])
        hasty.close()
    }

    /// Their time is a wish, the bounds are not.
    @Test func coveredSegmentsGoWhenTheJournalFillsUp() throws {
        let disk = SimulatedDisk(seed: 3)
        let maximum = 16 * 256 << 10
        let engine = try open(disk, maximumBytes: maximum, retention: 3_600_000)
        let numbers = try makeCheckpoints(4, engine)
        let writer = try #require(engine.journal?.writer)
        try #require(writer.bytesKept > maximum / 2)
        try #require(try disk.segmentNumbers().first == 1)
        try engine.journal?.checkpointer.removeOldSegments(.urgent)
        #expect(try disk.segmentNumbers().first == numbers[2])
        engine.close()
    }

    // MARK: A full journal

    private static let fourSegments = 4 * 256 << 10

    /// Changes settings until the journal has no room for more.
    private func fillUp(_ engine: Engine) throws {
        let error = #expect(throws: EngineError.self) {
            for number in 0..<100 * Self.tenants {
                try engine.setTenant(
                    TenantSettings(id: "tenant-\(number % Self.tenants)", name: "Name"))
                if number % 25 == 0 { engine.runJournal() }
            }
        }
        #expect(error?.code == .busy)
        try #require(engine.refusal != nil)
    }

    /// The last checkpoint covers all that is sealed, and nothing is covered by two: without that one alone, nothing
    /// could ever be recorded again.
    @Test(arguments: [false, true]) func aFullJournalGoesOn(overAStart: Bool) throws {
        let disk = SimulatedDisk(seed: 5)
        var engine = try open(disk, maximumBytes: Self.fourSegments)
        try fillUp(engine)
        let isMade = try engine.makeCheckpoint()
        #expect(isMade)
        engine.runJournal()
        #expect(engine.refusal != nil)
        if overAStart {
            engine.close()
            engine = try open(disk, maximumBytes: Self.fourSegments)
            #expect(engine.refusal != nil)
        }
        let isMadeAgain = try engine.makeCheckpoint()
        engine.runJournal()
        #expect(!isMadeAgain && engine.refusal == nil)
        #expect(try checkpoints(disk).count == 1)
        try engine.setTenant(TenantSettings(id: "tenant-0", name: "Later"))
        engine.runJournal()
        engine.close()
        let again = try open(disk, maximumBytes: Self.fourSegments)
        #expect(again.tenant("tenant-0")?.name == "Later")
        #expect(again.tenant("tenant-1")?.name == "Name")
        again.close()
    }

    /// One that is not whole does not do alone.
    @Test func aDamagedCheckpointMakesNoRoom() throws {
        let disk = SimulatedDisk(seed: 6)
        let engine = try open(disk, maximumBytes: Self.fourSegments)
        try fillUp(engine)
        let isMade = try engine.makeCheckpoint()
        #expect(isMade)
        let name = try #require(try checkpoints(disk).first)
        var bytes = try #require(disk.contents(name))
        bytes[bytes.count / 2] ^= 1
        disk.setContents(name, bytes)
        let segments = try disk.segmentNumbers()
        let error = #expect(throws: EngineError.self) { try engine.makeCheckpoint() }
        #expect(error?.message.contains(name) == true)
        #expect(try disk.segmentNumbers() == segments)
        engine.close()
    }

    /// A directory with more segments than four, which a start with lower bounds finds.
    ///
    /// - Parameter later: segments behind the first of two checkpoints.
    private func leftBehind(later: Int) throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: 7)
        let engine = try open(disk)
        for number in 0..<Self.tenants {
            if number % 25 == 0 { engine.runJournal() }
            try engine.setTenant(TenantSettings(id: "tenant-\(number)", name: "First"))
        }
        for name in ["Second", "Third"] {
            let writer = try #require(engine.journal?.writer)
            let end = writer.currentSegment + (name == "Third" ? UInt64(later) : 2)
            while writer.currentSegment < end {
                for number in 0..<25 {
                    try engine.setTenant(TenantSettings(id: "tenant-\(number)", name: name))
                }
                engine.runJournal()
            }
            let isMade = try engine.makeCheckpoint()
            #expect(isMade)
        }
        engine.close()
        return disk
    }

    private func expectAll(_ engine: Engine) {
        for number in 0..<Self.tenants {
            let name = engine.tenant("tenant-\(number)")?.name
            if name != (number < 25 ? "Third" : "First") { Issue.record("tenant \(number)") }
        }
    }

    /// Bounds that a start has lowered are kept, and both checkpoints where they leave room.
    @Test(arguments: [(later: 1, checkpoints: 2), (later: 6, checkpoints: 1)])
    func loweredBoundsAreKept(later: Int, checkpoints count: Int) throws {
        let disk = try leftBehind(later: later)
        let engine = try open(disk, maximumBytes: Self.fourSegments)
        let writer = try #require(engine.journal?.writer)
        try #require(writer.bytesKept > Self.fourSegments)
        let isMade = try engine.makeCheckpoint()
        engine.runJournal()
        #expect(!isMade && writer.bytesKept <= Self.fourSegments && engine.refusal == nil)
        #expect(try checkpoints(disk).count == count)
        engine.close()
        let again = try open(disk, maximumBytes: Self.fourSegments)
        expectAll(again)
        again.close()
    }

    /// Wherever the power goes while room is made, everything is there afterwards. `TOLLGATE_EVERY_CUT=1`: at every write,
    /// not at every fifth.
    @Test(arguments: [1, 6]) func noCutLosesAnything(later: Int) throws {
        let left = try leftBehind(later: later)
        var cuts = 0
        let isEvery = ProcessInfo.processInfo.environment["TOLLGATE_EVERY_CUT"] == "1"
        for cut in stride(from: 1, through: 200, by: isEvery ? 1 : 5) {
            let disk = left.durableCopy()
            let engine = try open(disk, maximumBytes: Self.fourSegments)
            disk.faults.powerCutIn = cut
            _ = try? engine.makeCheckpoint()
            guard disk.hasNoPower else { break }
            cuts = cut
            disk.crash()
            let again = try open(disk)
            expectAll(again)
            again.close()
        }
        #expect(cuts > 10 && cuts < 200)
    }

    /// Of what a follower has not read no more goes than the bounds ask for.
    @Test func aFollowerLosesNoMoreThanItMust() throws {
        let disk = try leftBehind(later: 6)
        let engine = try open(disk, maximumBytes: Self.fourSegments)
        let writer = try #require(engine.journal?.writer)
        writer.keepSegments(from: 0)
        try #require(writer.isFull && !writer.isOpen)
        try engine.makeCheckpoint()
        #expect(writer.bytesKept == 3 * 256 << 10)
        writer.keepSegments(from: nil)
        try engine.journal?.checkpointer.removeOldSegments(.urgent)
        #expect(try disk.segmentNumbers().first == writer.currentSegment)
        engine.close()
    }

    /// The next start makes it anew from the one before.
    @Test func aDamagedCheckpointIsMadeAnew() throws {
        let disk = try leftBehind(later: 6)
        let name = try #require(try checkpoints(disk).last)
        let engine = try open(disk, maximumBytes: Self.fourSegments)
        var bytes = try #require(disk.contents(name))
        bytes[bytes.count / 2] ^= 1
        disk.setContents(name, bytes)
        #expect(throws: EngineError.self) { try engine.makeCheckpoint() }
        #expect(try checkpoints(disk).count == 2)
        engine.close()
        let again = try open(disk, maximumBytes: Self.fourSegments)
        for _ in 0..<3 where again.refusal != nil {
            try again.makeCheckpoint()
            again.runJournal()
        }
        #expect(again.refusal == nil)
        again.close()
        let last = try open(disk)
        expectAll(last)
        last.close()
    }

    /// Also of a disk that is smaller than the bounds: what nobody needs any more is not kept there for its time, and of
    /// what a follower needs a segment goes at a time.
    @Test(arguments: [false, true]) func aFullDiskTakesWhatIsKept(forAFollower: Bool) throws {
        let disk = SimulatedDisk(seed: 8)
        let engine = try open(disk, retention: 3_600_000)
        let numbers = try makeCheckpoints(3, engine)
        let writer = try #require(engine.journal?.writer)
        if forAFollower { writer.keepSegments(from: 1) }
        try engine.journal?.checkpointer.removeOldSegments(.quiet)
        #expect(try disk.segmentNumbers().first == 1)
        disk.faults.capacity = disk.usedBytes
        try fillUp(engine)
        try engine.journal?.checkpointer.removeOldSegments(.quiet)
        #expect(try disk.segmentNumbers().first == (forAFollower ? 2 : numbers[1]))
        engine.runJournal()
        #expect(engine.refusal == nil)
        engine.close()
    }

    @Test func aStopEndsTheLook() throws {
        let disk = try leftBehind(later: 6)
        let engine = try open(disk, maximumBytes: Self.fourSegments)
        let names = try disk.list()
        engine.journal?.checkpointer.stop()
        let error = #expect(throws: EngineError.self) { try engine.makeCheckpoint() }
        #expect(error?.code == .interrupted)
        #expect(try disk.list() == names)
        engine.close()
    }

    /// With the threads, within seconds.
    @Test func theThreadsOpenAFullJournal() throws {
        let directory = try Directory()
        let disk = try SystemDisk(path: directory.path)
        var engine = try open(disk, maximumBytes: Self.fourSegments)
        try fillUp(engine)
        let isMade = try engine.makeCheckpoint()
        #expect(isMade)
        engine.close()
        engine = try open(disk, maximumBytes: Self.fourSegments, hasThreads: true)
        try engine.waitingForRoom(atMost: 300_000) { () throws(EngineError) in
            try engine.setTenant(TenantSettings(id: "tenant-0", name: "Later"))
        }
        engine.close()
    }

    /// Nobody in the journal keeps the others alive.
    @Test(arguments: [false, true]) func aJournalThatWasClosedIsFreed(hasThreads: Bool) throws {
        let directory = try Directory()
        weak var disk: SystemDisk?
        do {
            let strong = try SystemDisk(path: directory.path)
            disk = strong
            let engine = try open(strong, hasThreads: hasThreads)
            try engine.setTenant(TenantSettings(id: "acme"))
            if hasThreads { try engine.awaitDurable() } else { engine.runJournal() }
            engine.close()
        }
        #expect(disk == nil)
    }

    /// Ten times the bounds pass through: nothing is refused for long, for the threads make room in time.
    @Test func theThreadsMakeRoom() throws {
        let directory = try Directory()
        let disk = try SystemDisk(path: directory.path)
        let engine = try open(disk, maximumBytes: 2 << 20, hasThreads: true)
        for _ in 0..<10 { try fill(engine) }
        let kept = try #require(engine.journal?.writer.bytesKept)
        #expect(kept <= 2 << 20)
        #expect(try !checkpoints(disk).isEmpty)
        let began = ContinuousClock.now
        engine.close()
        #expect(ContinuousClock.now - began < .seconds(120))
        let again = try open(disk, maximumBytes: 2 << 20)
        #expect(again.tenant("tenant-\(Self.tenants - 1)")?.name == "Name")
        again.close()
    }
}
