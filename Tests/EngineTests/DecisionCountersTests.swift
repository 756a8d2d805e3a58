import Journal
import Limits
import Reservations
import Testing

@testable import Engine

/// What is counted: each decision once, whatever it was and whoever remembers it; nothing else.
@Suite struct DecisionCountersTests {
    private let engine: Engine

    init() throws {
        engine = try Engine(
            configuration: EngineConfiguration(
                capacity: TableCapacity(
                    tenants: 16, profiles: 16, reservations: 1_024, keys: 1_024, lanes: 8)))
        let limits = TenantLimits(monthlySpendNanos: 100, maxExtensions: 3, maxDIDs: 2)
        try engine.setTenant(TenantSettings(id: "acme", limits: limits, onLimit: .block))
        var profile = ProfileSettings(id: "sms", tenantID: "acme")
        profile.dailySpendLimitNanos = 10
        profile.dailySpendLimitEnabled = true
        try engine.setProfile(profile)
    }

    /// The reservation, 0: none was made; nil: the call failed.
    @discardableResult
    private func check(
        _ lane: EngineLane, _ resource: Resource, _ amount: Int64, tenant: String = "acme",
        profile: String = "", key: String = "", mode: Mode = .reserve
    ) -> UInt64? {
        tenant.withBorrowedBytes { tenant in
            profile.withBorrowedBytes { profile in
                key.withBorrowedBytes { key in
                    var command = CheckCommand(
                        tenantID: tenant, action: .charge, amounts: Amounts(resource, amount))
                    command.profileID = profile
                    command.idempotencyKey = key
                    command.mode = mode
                    var answer = CheckAnswer()
                    let failure = lane.check(command, answer: &answer)
                    return failure == nil ? answer.reservationID : nil
                }
            }
        }
    }

    @discardableResult
    private func extend(
        _ lane: EngineLane, _ reservation: UInt64, by amount: Int64, key: String = ""
    ) -> Decision? {
        key.withBorrowedBytes { key in
            var command = ExtendCommand(reservationID: reservation)
            command.idempotencyKey = key
            command.additional = Amounts(.dids, amount)
            var answer = ExtendAnswer()
            let failure = lane.extend(command, answer: &answer)
            return failure == nil ? answer.decision : nil
        }
    }

    @Test func everyDecisionCountsOnceAndNothingElseDoes() throws {
        let lane = try engine.makeLane()
        var expected = DecisionTotals()
        #expect(engine.decisionTotals == expected)
        // Allowed, in every mode; a stored answer is no decision.
        for mode in [Mode.checkOnly, .reserve, .partial, .commit] {
            check(lane, .spend, 1, mode: mode)
        }
        check(lane, .spend, 1, key: "a")
        check(lane, .spend, 1, key: "a")
        expected.allowed = 5
        #expect(engine.decisionTotals == expected)
        // Denied without a key, which leaves no record; with one, and decided anew; not when nothing was to be held.
        check(lane, .extensions, 4)
        check(lane, .extensions, 4, key: "b")
        check(lane, .extensions, 4, key: "b")
        check(lane, .extensions, 4, mode: .checkOnly)
        check(lane, .spend, 101)
        check(lane, .dids, 3)
        // The profile's limit and the tenant's refuse: the first counts.
        check(lane, .spend, 101, profile: "sms")
        expected.denied = [
            .tenantExtensionLimit: 3, .tenantSpendLimit: 1, .tenantDIDLimit: 1,
            .profileSpendLimit: 1,
        ]
        #expect(engine.decisionTotals == expected)
        #expect(engine.decisionTotals.deniedCount == 6)
        // Failures.
        #expect(check(lane, .spend, 1, tenant: "nobody") == nil)
        #expect(check(lane, .spend, 1, profile: "none") == nil)
        #expect(check(lane, .spend, 2, key: "a") == nil)
        #expect(extend(lane, 1 << 40, by: 1) == nil)
        #expect(engine.decisionTotals == expected)
    }

    @Test func extensionsCountToo() throws {
        let lane = try engine.makeLane()
        let held = try #require(check(lane, .dids, 1))
        #expect(extend(lane, held, by: 1) == .allowed)
        #expect(extend(lane, held, by: 1) == .denied)
        #expect(extend(lane, held, by: 1, key: "k") == .denied)
        #expect(extend(lane, held, by: 1, key: "k") == .denied)
        #expect(
            engine.decisionTotals == DecisionTotals(allowed: 2, denied: [.tenantDIDLimit: 3]))
    }

    @Test func eachOperationHasItsOwnCounts() throws {
        let lane = try engine.makeLane()
        for mode in [Mode.checkOnly, .reserve, .partial, .commit] {
            check(lane, .spend, 1, mode: mode)
            // A part of it fits.
            check(lane, .extensions, 4, mode: mode)
        }
        let held = try #require(check(lane, .dids, 1, key: "a"))
        check(lane, .dids, 1, key: "a")
        #expect(extend(lane, held, by: 2) == .denied)
        let (counts, replays) = engine.decisionCounts
        #expect(replays == 1)
        #expect(counts.map(\.operation) == DecidedOperation.allCases)
        let found = Dictionary(uniqueKeysWithValues: counts.map { ($0.operation, $0) })
        let denied: [ErrorCode: UInt64] = [.tenantExtensionLimit: 1]
        #expect(
            found[.check(.reserve)]
                == DecisionCount(operation: .check(.reserve), allowed: 2, denied: denied))
        #expect(
            found[.check(.checkOnly)]
                == DecisionCount(operation: .check(.checkOnly), allowed: 1, denied: denied))
        #expect(
            found[.check(.commit)]
                == DecisionCount(operation: .check(.commit), allowed: 1, denied: denied))
        #expect(
            found[.check(.partial)] == DecisionCount(operation: .check(.partial), allowed: 2))
        #expect(
            found[.extend]
                == DecisionCount(operation: .extend, denied: [.tenantDIDLimit: 1]))
        // The sum of them, without what only asked.
        #expect(
            engine.decisionTotals
                == DecisionTotals(
                    allowed: 6, denied: [.tenantExtensionLimit: 2, .tenantDIDLimit: 1]))
    }

    @Test func aSuspensionIsAReasonOfItsOwn() throws {
        let lane = try engine.makeLane()
        let held = try #require(check(lane, .dids, 1))
        try engine.setStatus(ofTenant: "acme", .suspended)
        check(lane, .spend, 1)
        check(lane, .extensions, 4, key: "k")
        #expect(extend(lane, held, by: 1) == .denied)
        #expect(engine.decisionTotals == DecisionTotals(allowed: 1, denied: [.suspended: 3]))
    }

    @Test func lanesAddUpAndStayInTheSumWhenTheyAreGone() throws {
        let first = try engine.makeLane()
        check(first, .spend, 1)
        do {
            let second = try engine.makeLane()
            check(second, .spend, 1)
            check(second, .dids, 3)
            #expect(
                engine.decisionTotals == DecisionTotals(allowed: 2, denied: [.tenantDIDLimit: 1]))
        }
        #expect(engine.decisionTotals == DecisionTotals(allowed: 2, denied: [.tenantDIDLimit: 1]))
        let third = try engine.makeLane()
        check(third, .dids, 3)
        #expect(engine.decisionTotals == DecisionTotals(allowed: 2, denied: [.tenantDIDLimit: 2]))
    }

    @Test func differencesLeaveOutWhatDidNotChange() {
        let before = DecisionTotals(allowed: 5, denied: [.suspended: 2, .tenantDIDLimit: 1])
        let after = DecisionTotals(
            allowed: 9, denied: [.suspended: 2, .tenantDIDLimit: 4, .tenantSpendLimit: 1])
        #expect(
            after.since(before)
                == DecisionTotals(allowed: 4, denied: [.tenantDIDLimit: 3, .tenantSpendLimit: 1]))
    }
}
