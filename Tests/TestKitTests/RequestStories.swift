import Limits
import Testing

@testable import TestKit

@Suite("semantics §3: modes, idempotency, suspension")
struct RequestStories {
    @Test("CHECK_ONLY changes nothing at all", arguments: Side.allCases)
    func checkOnly(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 1, autoSuspend: true))
        let allowed = try story.check([.extensions: 1], mode: .checkOnly) { $0.key = "k" }
        #expect(allowed.decision == .allowed && allowed.reservation == 0 && allowed.expiresAt == 0)
        #expect(try story.held(.tenantExtensions) == 0)
        let denied = try story.check([.extensions: 2], mode: .checkOnly) { $0.key = "k" }
        #expect(denied.refused == LimitSet(.tenantExtensions))
        #expect(denied.tenantStatus == .active && denied.replayed == false)
        #expect(story.events.isEmpty)
        // It stored nothing under the key either.
        #expect(try story.check([.extensions: 1]) { $0.key = "k" }.replayed == false)
        #expect(
            try story.check([.extensions: 1], mode: .checkOnly) { $0.key = "k" }.decision
                == .denied)
    }

    @Test("COMMIT charges at once and alerts and suspends like a commit", arguments: Side.allCases)
    func commitMode(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        let answer = try story.check([.spend: 10], mode: .commit)
        #expect(answer.decision == .allowed && answer.reservation == 0)
        #expect(answer.tenantStatus == .suspended && story.events.count == 3)
        #expect(try story.committed(.tenantMonthlySpend) == 10)
        #expect(try story.held(.tenantMonthlySpend) == 0)
    }

    @Test(
        "PARTIAL holds the largest common fraction that fits all limits, rounded down",
        arguments: Side.allCases)
    func partial(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(maxExtensions: 10, maxDIDs: 100, autoSuspend: true), dailyCap: 1_000)
        try story.check([.extensions: 3])
        // Extensions leave 7 of 20: 35 %. 0.35 × 30 = 10.5 numbers.
        let answer = try story.check([.extensions: 20, .dids: 30], mode: .partial)
        #expect(answer.decision == .allowed)
        #expect(answer.granted == [.extensions: 7, .dids: 10])
        // "A partial grant is not a refusal."
        #expect(story.events.isEmpty && answer.refused.isEmpty)
        #expect(try story.held(.tenantExtensions) == 10)
        #expect(try story.held(.tenantDIDs) == 10)
    }

    @Test(
        "PARTIAL: below any min_amount it is a denial; 0 means 1; asked 0 is exempt",
        arguments: Side.allCases)
    func partialMinimum(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 10, maxDIDs: 10, autoSuspend: true))
        try story.check([.extensions: 9])
        // One extension of 10 leaves no whole number of 5: extensions refuse, though one would fit.
        let common = try story.check([.extensions: 10, .dids: 5], mode: .partial)
        #expect(common.refused == LimitSet(.tenantExtensions))
        // Others' holds alone caused it: with held = 0 all ten extensions would fit.
        #expect(common.tenantStatus == .active && story.events.isEmpty)
        let least = try story.check([.extensions: 10], mode: .partial) {
            $0.minimums = [.extensions: 2]
        }
        #expect(least.refused == LimitSet(.tenantExtensions))
        let exempt = try story.check([.extensions: 10, .dids: 0], mode: .partial)
        #expect(exempt.granted == [.extensions: 1])
        let none = try story.check([.extensions: 1], mode: .partial)
        #expect(none.decision == .denied && none.tenantStatus == .active)
        // With no hold there would be ten, still fewer than eleven.
        let tripped = try story.check([.extensions: 20], mode: .partial) {
            $0.minimums = [.extensions: 11]
        }
        #expect(tripped.tenantStatus == .suspended)
    }

    @Test(
        "Same key and content: the stored answer; a denial is none, so a retry is decided anew",
        arguments: Side.allCases)
    func replays(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 1))
        let first = try story.check([.extensions: 1]) { $0.key = "a" }
        var repeated = try story.check([.extensions: 1]) { $0.key = "a" }
        #expect(repeated.replayed)
        repeated.replayed = false
        #expect(repeated == first)
        #expect(try story.held(.tenantExtensions) == 1)

        let denied = try story.check([.extensions: 1]) { $0.key = "b" }
        #expect(denied.decision == .denied)
        #expect(try story.check([.extensions: 1]) { $0.key = "b" } == denied)
        // Room came back.
        try story.release(first.reservation)
        let allowed = try story.check([.extensions: 1]) { $0.key = "b" }
        #expect(allowed.decision == .allowed && allowed.replayed == false)
        #expect(try story.check([.extensions: 1]) { $0.key = "b" }.replayed)
        #expect(try story.held(.tenantExtensions) == 1)
        // The operator raised the limit, or reinstated the tenant.
        let longer = try story.extend(allowed.reservation, [.extensions: 1]) { $0.key = "c" }
        #expect(longer.decision == .denied)
        story.tenant.limits.maxExtensions = 2
        story.configure()
        let granted = try story.extend(allowed.reservation, [.extensions: 1]) { $0.key = "c" }
        #expect(granted.decision == .allowed && granted.replayed == false)
        #expect(try story.extend(allowed.reservation, [.extensions: 1]) { $0.key = "c" }.replayed)
        story.perform(.suspend("acme"))
        #expect(try story.check([.spend: 1]) { $0.key = "d" }.refusedBySuspension)
        story.perform(.reinstate("acme"))
        #expect(try story.check([.spend: 1]) { $0.key = "d" }.decision == .allowed)
    }

    @Test(
        "A key stays bound to the content of its denial, for the retention from the first one",
        arguments: Side.allCases)
    func boundByDenial(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 0))
        try story.check([.extensions: 1]) { $0.key = "k" }
        var other = CheckOperation(tenantID: "acme", amounts: [.extensions: 2])
        other.key = "k"
        #expect(story.perform(.check(other)) == .failure(.keyReused))
        var usage = RecordOperation(tenantID: "acme", amounts: [.extensions: 1])
        usage.key = "k"
        #expect(story.perform(.record(usage)) == .failure(.keyReused))
        story.wait(Story.retention - 1)
        try story.check([.extensions: 1]) { $0.key = "k" }
        #expect(story.perform(.check(other)) == .failure(.keyReused))
        story.wait(1)
        #expect(story.perform(.check(other)) != .failure(.keyReused))
    }

    @Test(
        "What is no part of the content: order, zeros, include_limits, fields without meaning",
        arguments: Side.allCases)
    func content(_ side: Side) throws {
        var story = Story(side)
        func ask(
            _ amounts: ModelAmounts, _ mode: Mode, _ change: (inout CheckOperation) -> Void
        ) -> ModelAnswer {
            var operation = CheckOperation(tenantID: "acme", amounts: amounts)
            operation.mode = mode
            operation.key = "\(mode)"
            change(&operation)
            return story.perform(.check(operation))
        }
        func isReplayed(_ answer: ModelAnswer) -> Bool {
            if case .check(let answer) = answer { answer.replayed } else { false }
        }
        for mode in [Mode.reserve, .commit, .partial] {
            #expect(isReplayed(ask([.spend: 1, .dids: 1], mode) { _ in }) == false)
            #expect(isReplayed(ask([.dids: 1, .spend: 1, .extensions: 0], mode) { _ in }))
            let hold = ask([.spend: 1, .dids: 1], mode) { $0.ttlMilliseconds = 5_000 }
            #expect(isReplayed(hold) == (mode == .commit))
            #expect(
                isReplayed(ask([.spend: 1, .dids: 1], mode) { $0.onExpiry = .commit })
                    == (mode == .commit))
            #expect(
                isReplayed(ask([.spend: 1, .dids: 1], mode) { $0.overage = .cap })
                    == (mode == .commit))
            // 0 means 1.
            #expect(isReplayed(ask([.spend: 1, .dids: 1], mode) { $0.minimums = [.spend: 1] }))
            #expect(
                ask([.spend: 1, .dids: 1], mode) { $0.reference = "other" } == .failure(.keyReused))
        }
        #expect(ask([.spend: 9], .reserve) { $0.key = "least" } != .failure(.keyReused))
        #expect(
            isReplayed(
                ask([.spend: 9], .reserve) { ($0.key, $0.minimums) = ("least", [.spend: 5]) }))
        try story.record([.spend: 1, .dids: 0], key: "usage")
        #expect(try story.record([.spend: 1], key: "usage").replayed)
    }

    @Test(
        "Other content under a key is 49201, across methods too; failures are not stored",
        arguments: Side.allCases)
    func keyReused(_ side: Side) throws {
        var story = Story(side)
        try story.record([.spend: 1], key: "k")
        #expect(try story.record([.spend: 1], key: "k").replayed)
        #expect(try story.committed(.tenantMonthlySpend) == 1)
        var usage = RecordOperation(tenantID: "acme", amounts: [.spend: 2])
        usage.key = "k"
        #expect(story.perform(.record(usage)) == .failure(.keyReused))
        var ask = CheckOperation(tenantID: "acme", amounts: [.spend: 1])
        ask.key = "k"
        #expect(story.perform(.check(ask)) == .failure(.keyReused))
        let hold = try story.check([.spend: 1]).reservation
        var longer = ExtendOperation(reservation: hold)
        longer.key = "k"
        #expect(story.perform(.extend(longer)) == .failure(.keyReused))

        ask.key = "failed"
        ask.profileID = "nothing"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
        ask.profileID = ""
        guard case .check(let answer) = story.perform(.check(ask)) else { throw Story.Failed() }
        #expect(answer.replayed == false)
    }

    @Test(
        "A key is scoped to the tenant and remembered for the retention", arguments: Side.allCases)
    func keyRetention(_ side: Side) throws {
        var story = Story(side)
        story.perform(.setTenant(TenantSettings(id: "globex")))
        try story.record([.spend: 1], key: "k")
        var usage = RecordOperation(tenantID: "globex", amounts: [.spend: 9])
        usage.key = "k"
        guard case .record(let answer) = story.perform(.record(usage)) else {
            throw Story.Failed()
        }
        #expect(answer.replayed == false)
        story.wait(Story.retention - 1)
        #expect(try story.record([.spend: 1], key: "k").replayed)
        story.wait(1)
        #expect(try story.record([.spend: 1], key: "k").replayed == false)
    }

    @Test(
        "A reversed charge takes the suspension back that it caused, and its alerts",
        arguments: Side.allCases)
    func reversal(_ side: Side) throws {
        var story = Story(
            side, TenantLimits(monthlySpendNanos: 10, autoSuspend: true), dailyCap: 10)
        var charge = CheckOperation(tenantID: "acme", amounts: [.spend: 9])
        charge.mode = .commit
        charge.profileID = "promo"
        try story.record([.spend: 1])
        let raised: [ModelEvent] = [
            .thresholdReached(.profileDailySpend, subject: "promo"),
            .thresholdReached(.tenantMonthlySpend, subject: "acme"),
            .limitReached(.tenantMonthlySpend, subject: "acme"), .suspended(tenantID: "acme"),
        ]
        for _ in 0..<2 {
            story.perform(.withdrawnCheck(charge))
            #expect(story.eventsSinceLast() == raised + [.reinstated(tenantID: "acme")])
            #expect(try story.committed(.tenantMonthlySpend) == 1)
            #expect(try story.committed(.profileDailySpend) == 0)
        }
        // Its alerts are due again.
        try story.check([.spend: 9], mode: .commit, profileID: "promo")
        #expect(story.eventsSinceLast() == raised)
    }

    @Test(
        "Tripped all the same without it: the suspension stays, and so does what it raised",
        arguments: Side.allCases)
    func reversalOfNoCause(_ side: Side) throws {
        var story = Story(side, TenantLimits(monthlySpendNanos: 10, monthlyCallSeconds: 5))
        try story.record([.callSeconds: 5])
        story.tenant.limits.autoSuspend = true
        story.configure()
        _ = story.eventsSinceLast()
        var charge = CheckOperation(tenantID: "acme", amounts: [.spend: 10])
        charge.mode = .commit
        story.perform(.withdrawnCheck(charge))
        #expect(
            story.eventsSinceLast() == [
                .thresholdReached(.tenantMonthlySpend, subject: "acme"),
                .limitReached(.tenantMonthlySpend, subject: "acme"),
                .suspended(tenantID: "acme"),
            ])
        #expect(try story.check([.spend: 1]).refusedBySuspension)
        // A charge that suspended nobody leaves its alerts raised.
        var other = Story(side, TenantLimits(monthlySpendNanos: 10))
        charge.amounts = [.spend: 8]
        other.perform(.withdrawnCheck(charge))
        other.perform(.withdrawnCheck(charge))
        #expect(
            other.eventsSinceLast() == [
                .thresholdReached(.tenantMonthlySpend, subject: "acme")
            ])
    }

    @Test(
        "The order of checks: tenant, idempotency key, profile, suspension, limits",
        arguments: Side.allCases)
    func order(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 0, autoSuspend: true), dailyCap: 10)
        let first = try story.check([.spend: 1], profileID: "promo") { $0.key = "k" }
        try story.check([.extensions: 1])
        story.perform(.closeProfile("promo"))
        // The key comes before the profile, …
        #expect(
            try story.check([.spend: 1], profileID: "promo") { $0.key = "k" }.reservation
                == first.reservation)
        // … the profile before the suspension, …
        var ask = CheckOperation(tenantID: "acme", amounts: [.spend: 1])
        ask.profileID = "promo"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
        // … the suspension before the limits: no limit is evaluated, nothing raised, …
        _ = story.eventsSinceLast()
        let denied = try story.check([.extensions: 1])
        #expect(denied.refusedBySuspension && denied.refused.isEmpty && denied.warnings.isEmpty)
        #expect(story.eventsSinceLast().isEmpty)
        // … and the tenant before all.
        story.perform(.closeTenant("acme"))
        ask.key = "k"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
    }

    @Test(
        "What the network element should do about a suspended tenant's action",
        arguments: Side.allCases)
    func treatments(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 0, autoSuspend: true))
        try story.check([.extensions: 1])
        for (action, treatment) in [
            (.inboundCall, .serviceInterrupted), (.outboundCall, .blockCall),
            (.sendMessage, .billingSuspended), (.provisionExtension, .billingSuspended),
            (.assignDID, .billingSuspended), (.charge, .billingSuspended),
        ] as [(Action, Treatment)] {
            let answer = try story.check([.spend: 1]) { $0.action = action }
            #expect(answer.treatment == treatment && answer.tenantStatus == .suspended)
        }
    }

    @Test(
        "RecordUsage is never refused by a limit or a suspension; only SPEND counts for a profile",
        arguments: Side.allCases)
    func recordUsage(_ side: Side) throws {
        var story = Story(side, TenantLimits(maxExtensions: 0, autoSuspend: true), dailyCap: 1)
        try story.check([.extensions: 1])
        let answer = try story.record([.spend: 5, .dids: 2], profileID: "promo")
        #expect(answer.tenantStatus == .suspended)
        #expect(answer.warnings == LimitSet(.profileDailySpend))
        #expect(try story.committed(.profileDailySpend) == 5)
        #expect(try story.committed(.tenantMonthlySpend) == 5)
        #expect(try story.committed(.tenantDIDs) == 2)
    }

    @Test(
        "Negative counts are compared with committed and refused whole below zero",
        arguments: Side.allCases)
    func negativeCounts(_ side: Side) throws {
        var story = Story(side)
        try story.record([.extensions: 2])
        try story.check([.extensions: 5])
        var usage = RecordOperation(tenantID: "acme", amounts: [.extensions: -3, .spend: 1])
        #expect(story.perform(.record(usage)) == .failure(.badField))
        #expect(try story.committed(.tenantMonthlySpend) == 0)
        try story.record([.extensions: -2])
        #expect(try story.committed(.tenantExtensions) == 0)
        usage.amounts = [.spend: -1]
        #expect(story.perform(.record(usage)) == .failure(.badField))
    }

    @Test(
        "Closed: new requests NOT_FOUND; open holds end, and may settle late",
        arguments: Side.allCases)
    func closed(_ side: Side) throws {
        var story = Story(side)
        let first = try story.check([.spend: 3]).reservation
        let second = try story.check([.spend: 4]).reservation
        story.perform(.closeTenant("acme"))
        #expect(story.perform(.usage(tenantID: "acme", profileID: "")) == .failure(.notFound))
        #expect(story.perform(.setTenant(story.tenant)) == .failure(.notFound))
        #expect(
            story.perform(.record(RecordOperation(tenantID: "acme", amounts: [.spend: 1])))
                == .failure(.notFound))
        #expect(
            story.perform(.extend(ExtendOperation(reservation: first))) == .failure(.notFound))
        let settled = try story.commit(first)
        #expect(settled.committed == [.spend: 3] && settled.tenantStatus == .closed)
        #expect(settled.late)
        #expect(try story.release(second).expired)
    }
}
