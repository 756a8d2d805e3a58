import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// What a reservation takes of the journal (docs/performance.md, "The journal").
@Suite struct RecordSizeTests {
    private let engine: Engine
    private let lane: EngineLane

    init() throws {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 1 << 20
        settings.journal.maximumBytes = 64 << 20
        settings.hasThreads = false
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 64, bodies: 64, keys: 64, lanes: 3)
        engine = try Engine.open(
            configuration: EngineConfiguration(capacity: capacity),
            clock: EngineClock.Source(boot: { 1_700_000_000_000 }, wall: { 1_700_000_000_000 }),
            disk: SimulatedDisk(seed: 1), settings: settings
        ).engine
        lane = try engine.makeLane()
        lane.beginBatch()
        try engine.setTenant(TenantSettings(id: "acme"))
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        // The first one opens the tenant's cycle and the profile's day.
        try settle(reserve("first", profile: "sms"))
    }

    private func reserve(_ key: String, profile: String = "") throws -> UInt64 {
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenantID in
            key.withBorrowedBytes { key in
                profile.withBorrowedBytes { profileID in
                    var amounts = Amounts()
                    amounts.set(Resource.spend.index, 5)
                    var command = CheckCommand(
                        tenantID: tenantID, action: .sendMessage, amounts: amounts)
                    command.idempotencyKey = key
                    command.profileID = profileID
                    return lane.check(command, answer: &answer)
                }
            }
        }
        try #require(failure == nil && answer.reservationID != 0)
        return answer.reservationID
    }

    private func settle(_ id: UInt64) throws {
        var answer = CommitAnswer()
        let failure = lane.commit(CommitCommand(reservationID: id), answer: &answer)
        try #require(failure == nil)
    }

    /// Bytes that a round writes.
    private func round() throws -> UInt64 {
        let before = try #require(engine.journalStatus?.bytes)
        engine.runJournal()
        return try #require(engine.journalStatus?.bytes) - before
    }

    @Test func aReserveAndItsCommitTogether() throws {
        _ = try round()
        try settle(reserve("key"))
        #expect(try round() == 112 + 88 + 48)
    }

    /// A lone caller waits for a round each.
    @Test func aReserveAndItsCommitAlone() throws {
        _ = try round()
        let id = try reserve("key")
        #expect(try round() == 112 + 48)
        try settle(id)
        #expect(try round() == 88 + 48)
    }

    @Test func withAProfileAndACaller() throws {
        _ = try round()
        lane.caller = 3
        try settle(reserve("key", profile: "sms"))
        // Two words more of the reserve, three of the commit, and one each for the caller.
        #expect(try round() == 112 + 88 + 48 + 40 + 16)
    }
}
