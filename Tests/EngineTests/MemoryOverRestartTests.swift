import Limits
import Testing

@testable import Engine
@testable import Reservations

/// What a process remembers, the next one does: for whom keys count, and holds that were charged at their expiry.
@Suite struct MemoryOverRestartTests {
    private static let hour: Int64 = 3_600_000
    private static let minute: Int64 = 60_000
    /// 2026-03-11T00:00:00Z, Unix milliseconds.
    private static let midnight: Int64 = 1_773_187_200_000

    // MARK: Shares of keys

    /// Charges nothing under a key, on behalf of a caller that is bound to tenants.
    private func charge(_ service: ClockedService, _ tenant: String, _ key: String) -> ErrorCode? {
        let lane = service.lane
        lane.beginBatch()
        lane.isLimited = true
        defer { lane.isLimited = false }
        var answer = CheckAnswer()
        while true {
            let failure = tenant.withBorrowedBytes { tenant in
                key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: tenant, action: .charge, amounts: Amounts(.spend, 0))
                    command.mode = .commit
                    command.idempotencyKey = key
                    return lane.check(command, answer: &answer)
                }
            }
            guard lane.waitsForRoom else { return failure?.code }
            service.engine.runJournal()
        }
    }

    @Test(arguments: [false, true])
    func noTenantHasASecondBudgetOfKeys(withCheckpoint: Bool) throws {
        var service = try ClockedService.make(at: Self.midnight)
        try service.engine.setTenant(TenantSettings(id: "globex"))
        var made = 0
        while made < 1_024, charge(service, "acme", "k\(made)") == nil { made += 1 }
        #expect(charge(service, "acme", "more") == .tooManyRequests)
        service.engine.runJournal()
        if withCheckpoint { try service.makeCheckpoint() }
        for _ in 0..<2 {
            service = try service.killed()
            #expect((service.report.checkpoint != nil) == withCheckpoint)
            let table = service.engine.table
            #expect(table.keyShares.keys(of: 0) >= made - 128 && table.keyShares.keys(of: 1) == 0)
            #expect(charge(service, "acme", "more") == .tooManyRequests)
            #expect(charge(service, "acme", "k0") == nil, "what is remembered is answered")
        }
        #expect(charge(service, "globex", "k0") == nil)
        // What is over counts no more.
        service.pass(20 * Self.minute, inStepsOf: Self.minute)
        #expect(service.engine.table.keyShares.keys(of: 0) == 0)
        #expect(charge(service, "acme", "more") == nil)
    }

    // MARK: Budgets

    /// Seven tenths of the keys that the budget keeps up with, a minute at a time.
    private func use(_ service: ClockedService, minutes: Int, _ number: inout Int) throws {
        for _ in 0..<minutes {
            for _ in 0..<48 {
                number += 1
                _ = try service.spend(0, key: "key \(number)")
                if number % 16 == 0 { service.engine.runJournal() }
            }
            service.pass(Self.minute)
        }
    }

    /// Keys come free one after the other, in a table that was made of a checkpoint too: in one that makes the next
    /// checkpoint, and in the next process'.
    @Test func theBudgetOfKeysOutlivesCheckpoints() throws {
        var service = try ClockedService.make(at: Self.midnight)
        var number = 0
        for _ in 0..<4 {
            try use(service, minutes: 15, &number)
            let isMade = try service.engine.makeCheckpoint()
            #expect(isMade)
        }
        for _ in 0..<2 {
            service = try service.killed()
            #expect(service.report.checkpoint != nil)
            let replayed = try service.spend(0, key: "key \(number)")
            #expect(replayed.replayed)
            try use(service, minutes: 20, &number)
            let isMade = try service.engine.makeCheckpoint()
            #expect(isMade)
        }
    }

    /// A settled reservation is forgotten without a record, and what it needed for other amounts than were held goes to
    /// the next one: in a checkpoint's table and in the next process' too.
    @Test(arguments: [false, true]) func otherAmountsComeFree(withCheckpoint: Bool) throws {
        var service = try ClockedService.make(at: Self.midnight)
        try service.engine.setTenant(TenantSettings(id: "globex"))
        let bodies = 256
        let first = try (0..<bodies).map { _ in try reserve(service) }
        let second = try (0..<bodies).map { _ in try reserve(service) }
        for id in first { #expect(commitOther(service, id) == nil) }
        #expect(commitOther(service, second[0]) != nil, "there is none left")
        service.pass(20 * Self.minute, inStepsOf: Self.minute)
        for id in second { #expect(commitOther(service, id) == nil) }
        service.engine.runJournal()
        if withCheckpoint { try service.makeCheckpoint() }
        service = try service.killed()
        #expect((service.report.checkpoint != nil) == withCheckpoint)
        #expect(try spent(service) == Int64(2 * bodies))
        #expect(commitOther(service, second[1]) == nil, "it is answered as before")
    }

    private func reserve(_ service: ClockedService) throws -> UInt64 {
        service.lane.beginBatch()
        var answer = CheckAnswer()
        let failure = "globex".withBorrowedBytes { tenant in
            var command = CheckCommand(
                tenantID: tenant, action: .charge, amounts: Amounts(.spend, 2))
            command.ttlMilliseconds = 7_200_000
            return service.lane.check(command, answer: &answer)
        }
        try #require(failure == nil && answer.reservationID != 0)
        service.engine.runJournal()
        return answer.reservationID
    }

    private func spent(_ service: ClockedService) throws -> Int64 {
        service.lane.beginBatch()
        var answer = UsageAnswer()
        let failure = "globex".withBorrowedBytes { tenant in
            service.lane.usage(UsageQuery(tenantID: tenant, profileID: .none), answer: &answer)
        }
        try #require(failure == nil)
        return answer.limits[.tenantMonthlySpend].committed
    }

    private func commitOther(_ service: ClockedService, _ id: UInt64) -> ErrorCode? {
        defer { service.engine.runJournal() }
        return commit(service, id).0
    }

    // MARK: Charged holds

    /// A hold that was charged at its expiry, an hour ago.
    private func charged(_ service: ClockedService) throws -> UInt64 {
        let held = try service.spend(2, mode: .reserve, ttl: 1_000, onExpiry: .commit)
        service.pass(Self.hour, inStepsOf: Self.minute)
        #expect(service.engine.table.chargedRemembered == 1)
        #expect(try service.usage().cycle.committed == 2)
        return held.reservationID
    }

    private func commit(_ service: ClockedService, _ id: UInt64) -> (ErrorCode?, isLate: Bool) {
        service.lane.beginBatch()
        var answer = CommitAnswer()
        let command = CommitCommand(reservationID: id, actual: Amounts(.spend, 1))
        let failure = service.lane.commit(command, answer: &answer)
        return (failure?.code, answer.late)
    }

    @Test(arguments: [false, true])
    func aChargedHoldIsRememberedForADay(withCheckpoint: Bool) throws {
        var service = try ClockedService.make(at: Self.midnight)
        let id = try charged(service)
        for _ in 0..<2 {
            if withCheckpoint { try service.makeCheckpoint() }
            service = try service.killed()
            #expect((service.report.checkpoint != nil) == withCheckpoint)
            service.pass(11 * Self.hour, inStepsOf: 5 * Self.minute)
            #expect(service.engine.table.chargedRemembered == 1)
        }
        let (code, isLate) = commit(service, id)
        #expect(code == nil && isLate)
        #expect(try service.usage().cycle.committed == 1, "it replaces what was charged")
    }

    /// Also where the day ends while nobody runs.
    @Test(arguments: [false, true], [false, true])
    func aChargedHoldIsForgottenAfterwards(withCheckpoint: Bool, whileStopped: Bool) throws {
        var service = try ClockedService.make(at: Self.midnight)
        let id = try charged(service)
        if withCheckpoint { try service.makeCheckpoint() }
        if whileStopped { service.clocks.pass(24 * Self.hour) }
        service = try service.killed()
        service.pass(
            (whileStopped ? 1 : 25) * Self.hour, inStepsOf: 5 * Self.minute)
        #expect(commit(service, id).0 == .notFound)
        #expect(try service.usage().cycle.committed == 2, "what was charged stays")
        #expect(service.engine.table.chargedRemembered == 0)
        #expect(service.engine.table.slots(of: 0) == 0)
    }
}
