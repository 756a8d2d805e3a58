import Foundation
import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// Which answers and failures wait for the disk: those that reflect what is not on it yet, whoever put it on record
/// (semantics §3, "Nothing leaves before it is durable").
@Suite struct AnswerWaitsTests {
    /// What the last call came to, and whether its answer must wait.
    private struct Outcome: Equatable, CustomStringConvertible {
        let result: String
        let waits: Bool
        var description: String { "\(result), \(waits ? "waits" : "leaves")" }
    }

    /// One event loop.
    private struct Caller {
        let lane: EngineLane

        private func outcome(_ failure: Failure?, _ result: String) -> Outcome {
            Outcome(
                result: failure.map { "\($0.code.rawValue)" } ?? result, waits: lane.answerWaits)
        }

        func check(
            _ extensions: Int64, tenant: String = "acme", key: String = "", mode: Mode = .reserve
        ) -> (id: UInt64, Outcome) {
            lane.beginBatch()
            var answer = CheckAnswer()
            let failure = tenant.withBorrowedBytes { tenantID in
                key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: tenantID, action: .provisionExtension,
                        amounts: Amounts(.extensions, extensions))
                    command.idempotencyKey = key
                    command.mode = mode
                    return lane.check(command, answer: &answer)
                }
            }
            let result = answer.replayed ? "replayed" : "\(answer.decision)"
            return (answer.reservationID, outcome(failure, result))
        }

        func usage(_ tenant: String = "acme") -> Outcome {
            lane.beginBatch()
            var answer = UsageAnswer()
            let failure = tenant.withBorrowedBytes { tenant in
                "".withBorrowedBytes { none in
                    lane.usage(UsageQuery(tenantID: tenant, profileID: none), answer: &answer)
                }
            }
            return outcome(failure, "told")
        }

        func commit(_ id: UInt64) -> Outcome {
            lane.beginBatch()
            var answer = CommitAnswer()
            let failure = lane.commit(CommitCommand(reservationID: id), answer: &answer)
            return outcome(failure, answer.replayed ? "replayed" : "committed")
        }

        func release(_ id: UInt64) -> Outcome {
            lane.beginBatch()
            var answer = ReleaseAnswer()
            let failure = lane.release(id, answer: &answer)
            return outcome(failure, "released")
        }
    }

    private static func engine(
        _ disk: any Disk, _ change: (inout DurabilitySettings) -> Void = { _ in }
    ) throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 1 << 20
        settings.journal.maximumBytes = 64 << 20
        settings.hasThreads = false
        change(&settings)
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3)
        let engine = try Engine.open(
            configuration: EngineConfiguration(capacity: capacity), disk: disk, settings: settings
        ).engine
        // A cap of 5 extensions, which refuses whatever else is set.
        for id in ["acme", "other"] {
            try engine.setTenant(TenantSettings(id: id, limits: TenantLimits(maxExtensions: 5)))
        }
        try engine.awaitDurable()
        return engine
    }

    private static func leaves(_ result: String) -> Outcome {
        Outcome(result: result, waits: false)
    }
    private static func waits(_ result: String) -> Outcome { Outcome(result: result, waits: true) }

    private static let notFound = "\(ErrorCode.notFound.rawValue)"
    private static let keyReused = "\(ErrorCode.keyReused.rawValue)"
    private static let alreadySettled = "\(ErrorCode.alreadySettled.rawValue)"

    /// What changes nothing, asked by another event loop: each waits exactly as long as what it tells of.
    @Test func whatOthersDidIsToldWhenItIsOnDisk() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 1))
        let author = Caller(lane: try engine.makeLane())
        let reader = Caller(lane: try engine.makeLane())
        #expect(reader.usage() == Self.leaves("told"))

        let (id, held) = author.check(5, key: "one")
        #expect(held == Self.waits("allowed") && id != 0)
        for waits in [true, false] {
            let told = { (result: String) in Outcome(result: result, waits: waits) }
            #expect(reader.usage() == told("told"))
            #expect(reader.check(1).1 == told("denied"), "for want of what is held")
            #expect(reader.check(1, mode: .checkOnly).1 == told("denied"))
            #expect(reader.check(5, key: "one") == (id, told("replayed")))
            #expect(reader.check(4, key: "one").1 == told(Self.keyReused))
            #expect(author.usage() == told("told"), "the author's own")
            // These reflect nothing of it.
            #expect(reader.usage("other") == Self.leaves("told"))
            #expect(reader.check(6, tenant: "other", mode: .checkOnly).1 == Self.leaves("denied"))
            #expect(reader.usage("nobody") == Self.leaves(Self.notFound))
            #expect(reader.check(1, tenant: "nobody").1 == Self.leaves(Self.notFound))
            #expect(reader.commit(id + 1) == Self.leaves(Self.notFound), "no such reservation")
            #expect(reader.release(id + 1 << 32) == Self.leaves(Self.notFound))
            engine.runJournal()
        }
        engine.close()
    }

    /// What settles a reservation waits, and so do the retry of it and the refusal that it causes.
    @Test func aSettlementIsToldWhenItIsOnDisk() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 2))
        let author = Caller(lane: try engine.makeLane())
        let reader = Caller(lane: try engine.makeLane())
        let (id, _) = author.check(1)
        engine.runJournal()
        #expect(reader.usage() == Self.leaves("told"))
        #expect(author.commit(id) == Self.waits("committed"))
        for waits in [true, false] {
            #expect(reader.commit(id) == Outcome(result: "replayed", waits: waits))
            #expect(reader.release(id) == Outcome(result: Self.alreadySettled, waits: waits))
            engine.runJournal()
        }
        engine.close()
    }

    /// A tenant's settings and status are on record like everything else.
    @Test func aSuspensionIsToldWhenItIsOnDisk() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 3))
        let reader = Caller(lane: try engine.makeLane())
        try engine.setStatus(ofTenant: "acme", .suspended)
        for waits in [true, false] {
            #expect(reader.check(1).1 == Outcome(result: "denied", waits: waits))
            engine.runJournal()
        }
        try engine.setStatus(ofTenant: "acme", .closed)
        for waits in [true, false] {
            #expect(reader.check(1).1 == Outcome(result: Self.notFound, waits: waits))
            engine.runJournal()
        }
        engine.close()
    }

    /// The ticket of an answer that waits comes due with the round that takes its record, not before.
    @Test func aTicketComesDueWithItsRound() throws {
        let engine = try Self.engine(SimulatedDisk(seed: 4))
        let author = Caller(lane: try engine.makeLane())
        let reader = Caller(lane: try engine.makeLane())
        var last: UInt64 = 0
        for _ in 0..<3 {
            #expect(author.check(1).1 == Self.waits("allowed"))
            #expect(reader.usage() == Self.waits("told"))
            let ticket = reader.lane.takeTicket()
            #expect(ticket > last && reader.lane.durableTicket < ticket)
            engine.runJournal()
            #expect(reader.lane.durableTicket >= ticket)
            last = ticket
        }
        engine.close()
    }

    /// While the disk fails nothing comes due, and what is not on it is not told.
    @Test func nothingComesDueOnADiskThatFails() throws {
        let disk = SimulatedDisk(seed: 5)
        let engine = try Self.engine(disk)
        let author = Caller(lane: try engine.makeLane())
        let reader = Caller(lane: try engine.makeLane())
        #expect(author.check(1).1 == Self.waits("allowed"))
        let ticket = author.lane.takeTicket()
        disk.faults.failingSyncIn = 1
        for _ in 0..<3 {
            engine.runJournal()
            #expect(reader.usage() == Self.waits("told"))
            #expect(author.lane.durableTicket < ticket)
        }
        #expect(engine.hasFailed)
        engine.close()
    }

    /// Durability `interval`: nothing waits, and what a batch put on record is written though no time passes for the
    /// lane and nobody takes a ticket.
    @Test(.timeLimit(.minutes(5))) func answersThatLeaveWakeTheJournal() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "tollgate-waits-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let engine = try Self.engine(SystemDisk(path: directory.path)) {
            $0.hasThreads = true
            $0.answersWait = false
            $0.journal.intervalMilliseconds = 1
        }
        let caller = Caller(lane: try engine.makeLane())
        for _ in 0..<5 {
            #expect(caller.check(1).1 == Self.leaves("allowed"))
            #expect(caller.lane.lane.hasUnwritten)
            caller.lane.answersLeave()
            while caller.lane.lane.hasUnwritten {
                try Task.checkCancellation()
                await Task.yield()
            }
        }
        engine.close()
    }
}
