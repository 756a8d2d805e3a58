import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// Calls for which the journal has no room just then wait for it, and are refused once the disk stalls.
@Suite struct RoomForCallsTests {
    private static func engine(
        _ disk: SimulatedDisk, stallMilliseconds: Int64 = 3_600_000
    ) throws -> Engine {
        let capacity = TableCapacity(
            tenants: 4, profiles: 4, reservations: 4_096, bodies: 64, keys: 1_024, lanes: 2)
        let engine = try Engine.simulated(
            capacity, on: disk, stallMilliseconds: stallMilliseconds
        ).engine
        try engine.setTenant(TenantSettings(id: "acme"))
        engine.runJournal()
        return engine
    }

    @discardableResult
    private static func take(
        _ lane: EngineLane, mode: Mode = .reserve
    ) -> (failure: Failure?, answer: CheckAnswer) {
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenantID in
            var command = CheckCommand(
                tenantID: tenantID, action: .provisionExtension, amounts: Amounts(.extensions, 1))
            command.mode = mode
            return lane.check(command, answer: &answer)
        }
        return (failure, answer)
    }

    /// Takes until there is no room; how many it were.
    @discardableResult
    private static func fill(_ lane: EngineLane) -> Int {
        var taken = 0
        while take(lane).failure == nil { taken += 1 }
        return taken
    }

    private static func record(_ lane: EngineLane) -> Failure? {
        var answer = RecordAnswer()
        return "acme".withBorrowedBytes { tenantID in
            lane.record(
                RecordCommand(tenantID: tenantID, amounts: Amounts(.extensions, 1)),
                answer: &answer)
        }
    }

    /// Takes what reservations leave, too.
    @discardableResult
    private static func fillUp(_ lane: EngineLane) -> Int {
        fill(lane)
        var recorded = 0
        while record(lane) == nil { recorded += 1 }
        return recorded
    }

    private static func extend(
        _ lane: EngineLane, _ id: UInt64, _ additional: Amounts = Amounts()
    ) -> Failure? {
        var answer = ExtendAnswer()
        var command = ExtendCommand(reservationID: id)
        command.ttlMilliseconds = 600_000
        command.additional = additional
        return lane.extend(command, answer: &answer)
    }

    private static func commit(_ lane: EngineLane, _ id: UInt64) -> Failure? {
        var answer = CommitAnswer()
        return lane.commit(CommitCommand(reservationID: id), answer: &answer)
    }

    private static func release(_ lane: EngineLane, _ id: UInt64) -> Failure? {
        var answer = ReleaseAnswer()
        return lane.release(id, answer: &answer)
    }

    /// While the writer stands still, what gives room back or says what has happened goes on for longer than what asks for
    /// room: also once the disk counts as stalled.
    @Test(arguments: [3_600_000, 0] as [Int64])
    func reservationsLeaveTheLastOfTheRing(stallMilliseconds: Int64) throws {
        let engine = try Self.engine(
            SimulatedDisk(seed: 1), stallMilliseconds: stallMilliseconds)
        let lane = try engine.makeLane()
        let ids = (0..<3).map { _ in Self.take(lane).answer.reservationID }
        Self.fill(lane)
        #expect(Self.take(lane, mode: .commit).failure?.code == .unavailable)
        #expect(Self.extend(lane, ids[0], Amounts(.extensions, 1))?.code == .unavailable)
        #expect(lane.waitsForRoom == (stallMilliseconds > 0))
        #expect(Self.commit(lane, ids[0]) == nil)
        #expect(Self.release(lane, ids[1]) == nil)
        #expect(Self.extend(lane, ids[2]) == nil)
        #expect(Self.take(lane).failure?.code == .unavailable)
        let recorded = Self.fillUp(lane)
        #expect(recorded > 5, "\(recorded)")
        #expect(Self.commit(lane, ids[2])?.code == .unavailable)
        engine.runJournal()
        #expect(Self.take(lane).failure == nil)
        engine.close()
    }

    /// What settles does not wait behind what asks for room, and finds what is kept for it.
    @Test func whatSettlesWaitsBehindNoReservation() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let lane = try engine.makeLane()
        let id = Self.take(lane).answer.reservationID
        Self.fill(lane)
        var done: [String] = []
        func attempt(_ name: String, settles: Bool, _ call: @escaping (EngineLane) -> Failure?) {
            lane.attempt(by: 1, settles: settles) { lane in
                let failure = call(lane)
                if lane.waitsForRoom { return false }
                #expect(failure == nil)
                done.append(name)
                return true
            }
        }
        attempt("take", settles: false) { Self.take($0).failure }
        attempt("commit", settles: true) { Self.commit($0, id) }
        #expect(done == ["commit"])
        Self.fillUp(lane)
        attempt("record", settles: true) { Self.record($0) }
        engine.runJournal()
        lane.resumeWork()
        #expect(done == ["commit", "take", "record"])
        engine.close()
    }

    @Test func aFullRingIsWorthAnotherTry() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let lane = try engine.makeLane()
        for _ in 0..<3 {
            #expect(Self.fill(lane) > 0)
            #expect(lane.waitsForRoom && !lane.hasRoom)
            #expect(!lane.answerWaits, "a call that did nothing waits for nothing")
            engine.runJournal()
            #expect(lane.hasRoom)
        }
        #expect(Self.take(lane).failure == nil && !lane.waitsForRoom)
        engine.close()
    }

    /// Other failures are final, and so is this one when the disk makes no progress.
    @Test func onlyWantOfRoomIsWorthAnotherTry() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1), stallMilliseconds: 0)
        let lane = try engine.makeLane()
        Self.fill(lane)
        #expect(!lane.waitsForRoom, "the disk has stalled")
        #expect(lane.hasRoom, "what waits is told so")
        engine.close()
        let other = try Self.engine(SimulatedDisk(seed: 2))
        let another = try other.makeLane()
        var answer = CheckAnswer()
        let failure = "nobody".withBorrowedBytes {
            another.check(
                CheckCommand(tenantID: $0, action: .charge, amounts: Amounts(.extensions, 1)),
                answer: &answer)
        }
        #expect(failure?.code == .notFound && !another.waitsForRoom)
        other.close()
    }

    @Test func aFailedJournalIsWorthNoTry() throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try Self.engine(disk)
        let lane = try engine.makeLane()
        Self.take(lane)
        disk.faults.failingSyncIn = 1
        engine.runJournal()
        try #require(engine.hasFailed)
        #expect(Self.take(lane).failure?.code == .unavailable)
        #expect(!lane.waitsForRoom && lane.hasRoom)
        engine.close()
    }

    /// A full disk is no progress, though there is nothing left to write: who comes later is refused at once.
    @Test func aFullDiskStalls() throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try Self.engine(disk, stallMilliseconds: 0)
        let lane = try engine.makeLane()
        disk.faults.capacity = disk.usedBytes
        var rounds = 0
        while Self.fill(lane) > 0, rounds < 1_000 {
            engine.runJournal()
            lane.tick()
            rounds += 1
        }
        #expect(rounds < 1_000 && !lane.waitsForRoom && lane.hasRoom)
        disk.faults.capacity = nil
        engine.runJournal()
        lane.tick()
        #expect(Self.take(lane).failure == nil)
        engine.close()
    }

    /// What waits is done in turn, as far as there is room, each once.
    @Test func workWaitsInTurn() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let lane = try engine.makeLane()
        let before = Self.fill(lane)
        var done: [Int] = []
        for index in 0..<3 * before {
            lane.attempt(by: 7) { lane in
                #expect(lane.caller == 7)
                let failure = Self.take(lane).failure
                if lane.waitsForRoom { return false }
                #expect(failure == nil)
                done.append(index)
                return true
            }
        }
        #expect(done.isEmpty)
        var rounds = 0
        while done.count < 3 * before, rounds < 20 {
            engine.runJournal()
            lane.resumeWork()
            rounds += 1
        }
        #expect(done == Array(0..<3 * before) && rounds > 1)
        engine.close()
    }

    /// When time no longer passes for a lane, what waits is told that there is no room.
    @Test func whatWaitsIsToldAtTheEnd() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let lane = try engine.makeLane()
        Self.fill(lane)
        var told: [ErrorCode?] = []
        for _ in 0..<2 {
            lane.attempt(by: 0) { lane in
                let failure = Self.take(lane).failure
                if lane.waitsForRoom { return false }
                told.append(failure?.code)
                return true
            }
        }
        #expect(told.isEmpty)
        lane.end()
        #expect(told == [.unavailable, .unavailable])
        engine.close()
    }

    /// What cannot be taken back for want of room can be later.
    @Test(arguments: [Mode.reserve, .commit]) func whatIsTakenBackWaitsToo(_ mode: Mode) throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let lane = try engine.makeLane()
        let answer = Self.take(lane, mode: mode).answer
        Self.fillUp(lane)
        let withdraw = {
            "acme".withBorrowedBytes { tenantID in
                var command = CheckCommand(
                    tenantID: tenantID, action: .provisionExtension,
                    amounts: Amounts(.extensions, 1))
                command.mode = mode
                return lane.withdraw(command, answer)
            }
        }
        #expect(!withdraw())
        engine.runJournal()
        let before = Self.used(lane)
        #expect(withdraw())
        #expect(Self.used(lane) == before - 1)
        engine.close()
    }

    private static func used(_ lane: EngineLane) -> Int64 {
        var usage = UsageAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            "".withBorrowedBytes { none in
                lane.usage(UsageQuery(tenantID: tenant, profileID: none), answer: &usage)
            }
        }
        #expect(failure == nil)
        let state = usage.limits[.tenantExtensions]
        return state.committed + state.held
    }
}
