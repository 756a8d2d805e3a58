import Limits
import Testing

@testable import TestKit

@Suite("semantics §3: modes, idempotency, suspension")
struct RequestStories {
    @Test("CHECK_ONLY changes nothing at all")
    func checkOnly() throws {
        var story = Story(TenantLimits(maxExtensions: 1, autoSuspend: true))
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

    @Test("COMMIT charges at once and alerts and suspends like a commit")
    func commitMode() throws {
        var story = Story(TenantLimits(monthlySpendNanos: 10, autoSuspend: true))
        let answer = try story.check([.spend: 10], mode: .commit)
        #expect(answer.decision == .allowed && answer.reservation == 0)
        #expect(answer.tenantStatus == .suspended && story.events.count == 3)
        #expect(try story.committed(.tenantMonthlySpend) == 10)
        #expect(try story.held(.tenantMonthlySpend) == 0)
    }

    @Test("PARTIAL holds the largest common fraction that fits all limits, rounded down")
    func partial() throws {
        var story = Story(
            TenantLimits(maxExtensions: 10, maxDIDs: 100, autoSuspend: true), dailyCap: 1_000)
        try story.check([.extensions: 3])
        // Extensions leave 7 of 20: 35 %. 0.35 × 30 = 10.5 numbers.
        let answer = try story.check([.extensions: 20, .dids: 30], mode: .partial)
        #expect(answer.decision == .allowed)
        #expect(answer.granted == [.extensions: 7, .dids: 10])
        // "A short grant is no refusal."
        #expect(story.events.isEmpty && answer.refused.isEmpty)
        #expect(try story.held(.tenantExtensions) == 10)
        #expect(try story.held(.tenantDIDs) == 10)
    }

    @Test("PARTIAL: below any min_amount it is a denial; 0 means 1; asked 0 is exempt")
    func partialMinimum() throws {
        var story = Story(TenantLimits(maxExtensions: 10, maxDIDs: 10, autoSuspend: true))
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

    @Test("Same key and content: the stored answer, denials included, even after a reinstatement")
    func replays() throws {
        var story = Story(TenantLimits(maxExtensions: 1, autoSuspend: true))
        let first = try story.check([.extensions: 1]) { $0.key = "a" }
        var repeated = try story.check([.extensions: 1]) { $0.key = "a" }
        #expect(repeated.replayed)
        repeated.replayed = false
        #expect(repeated == first)
        #expect(try story.held(.tenantExtensions) == 1)

        try story.release(first.reservation)
        try story.record([.extensions: 1])
        let denied = try story.check([.extensions: 1]) { $0.key = "b" }
        #expect(denied.tenantStatus == .suspended)
        let suspended = try story.check([.spend: 1]) { $0.key = "c" }
        #expect(suspended.refusedBySuspension)
        story.perform(.reinstate("acme"))
        _ = story.eventsSinceLast()
        #expect(try story.check([.extensions: 1]) { $0.key = "b" }.refused == denied.refused)
        #expect(try story.check([.spend: 1]) { $0.key = "c" }.refusedBySuspension)
        #expect(story.events.isEmpty)
        #expect(try story.check([.spend: 1]) { $0.key = "d" }.decision == .allowed)
    }

    @Test("Other content under a key is 49201, across methods too; failures are not stored")
    func keyReused() throws {
        var story = Story()
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

    @Test("A key is scoped to the tenant and remembered for the retention")
    func keyRetention() throws {
        var story = Story()
        story.perform(.setTenant(TenantSettings(id: "globex")))
        try story.record([.spend: 1], key: "k")
        var usage = RecordOperation(tenantID: "globex", amounts: [.spend: 9])
        usage.key = "k"
        guard case .record(let answer) = story.perform(.record(usage)) else {
            throw Story.Failed()
        }
        #expect(answer.replayed == false)
        story.wait(story.model.retentionMilliseconds - 1)
        #expect(try story.record([.spend: 1], key: "k").replayed)
        story.wait(1)
        #expect(try story.record([.spend: 1], key: "k").replayed == false)
    }

    @Test("The order of checks: tenant, idempotency key, profile, suspension, limits")
    func order() throws {
        var story = Story(TenantLimits(maxExtensions: 0, autoSuspend: true), dailyCap: 10)
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
        // … the suspension before the limits, …
        #expect(try story.check([.extensions: 1]).refused.isEmpty)
        // … and the tenant before all.
        story.perform(.closeTenant("acme"))
        ask.key = "k"
        #expect(story.perform(.check(ask)) == .failure(.notFound))
    }

    @Test("What the network element should do about a suspended tenant's action")
    func treatments() throws {
        var story = Story(TenantLimits(maxExtensions: 0, autoSuspend: true))
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
        "RecordUsage is never refused by a limit or a suspension; only SPEND counts for a profile")
    func recordUsage() throws {
        var story = Story(TenantLimits(maxExtensions: 0, autoSuspend: true), dailyCap: 1)
        try story.check([.extensions: 1])
        let answer = try story.record([.spend: 5, .dids: 2], profileID: "promo")
        #expect(answer.tenantStatus == .suspended)
        #expect(answer.warnings == LimitSet(.profileDailySpend))
        #expect(try story.committed(.profileDailySpend) == 5)
        #expect(try story.committed(.tenantMonthlySpend) == 5)
        #expect(try story.committed(.tenantDIDs) == 2)
    }

    @Test("Negative counts are compared with committed and refused whole below zero")
    func negativeCounts() throws {
        var story = Story()
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

    @Test("Closed: new requests NOT_FOUND, open holds may settle")
    func closed() throws {
        var story = Story()
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
        #expect(try story.release(second).expired == false)
    }
}
