import Access
import Events
import Foundation
import Engine
import Limits
import TestKit
import Testing

@testable import Projection

/// What is told to people: events, who gets them, and the audit log.
@Suite struct EventTests {
    private let service: ProjectedService
    private var projection: Projection { service.projection }

    init() throws {
        service = try ProjectedService()
        var acme = TenantSettings(id: "acme", name: "ACME")
        acme.limits.monthlySpendNanos = 1_000
        acme.limits.maxExtensions = 2
        acme.limits.alertThresholds = [50]
        acme.limits.autoSuspend = true
        try service.setTenant(acme)
        var sms = ProfileSettings(id: "sms", tenantID: "acme", name: "Texts")
        sms.dailySpendLimitEnabled = true
        sms.dailySpendLimitNanos = 100
        sms.webhookURL = "https://acme.example/hook"
        sms.webhookFailoverURL = "https://acme.example/again"
        try service.setProfile(sms)
    }

    private func set(_ endpoint: WebhookEndpoint) throws {
        try service.engine.setSetting(
            WebhookEndpoint.settingPrefix + endpoint.id, SettingValue.encode(endpoint))
    }

    private func set(_ recipient: EmailRecipient) throws {
        try service.engine.setSetting(
            EmailRecipient.settingPrefix + recipient.id, SettingValue.encode(recipient))
    }

    private func events() async throws -> [Event] {
        try service.catchUp()
        return try await projection.events(EventQuery(), Page(size: 250)).rows.reversed()
    }

    private func audit(_ query: AuditQuery = AuditQuery()) async throws -> [AuditRow] {
        try service.catchUp()
        return try await projection.audit(query, Page(size: 250)).rows
    }

    @Test func usageRaisesThresholdLimitAndSuspension() async throws {
        service.charge("acme", spend: 499)
        #expect(try await events().isEmpty)
        service.advance(1_000)
        service.charge("acme", spend: 501)
        let raised = try await events()
        #expect(
            raised.map(\.kind) == [.tenantThresholdReached, .tenantLimitReached, .tenantSuspended])
        #expect(Set(raised.map(\.id)).count == 3)
        for event in raised {
            #expect(UUID(uuidString: event.id) != nil && event.id == event.id.lowercased())
            #expect(event.occurredAt == service.now)
            #expect(event.tenantID == "acme" && event.tenantName == "ACME")
            #expect(event.profileID == "" && event.reason == "")
            let limit = try #require(event.limit)
            #expect(limit.name == "tenant_monthly_spend" && limit.cap == 1_000)
            #expect(limit.committed == 1_000 && limit.held == 0 && limit.asked == 501)
            #expect(limit.percent == 50)
            #expect(limit.windowStart < service.now && limit.resetsAt > service.now)
            #expect(try await projection.event(event.id) == event)
        }
        let row = try #require(try await projection.tenant("acme"))
        #expect(row.status == .suspended)
        var query = EventQuery()
        query.kind = .tenantLimitReached
        #expect(try await projection.events(query, Page()).rows == [raised[1]])
        query.kind = nil
        query.tenantID = "nobody"
        #expect(try await projection.events(query, Page()).total == 0)
        query.tenantID = "acme"
        query.from = service.now
        #expect(try await projection.events(query, Page()).total == 3)
        query.to = service.now
        #expect(try await projection.events(query, Page()).total == 0)
    }

    /// Each event says which of several thresholds it is; that of a window that ended says the highest.
    @Test func eventsNameTheirThreshold() async throws {
        var acme = try #require(service.engine.tenant("acme"))
        acme.limits.alertThresholds = [50, 80, 95]
        try service.setTenant(acme)
        service.charge("acme", spend: 800)
        var raised = try await events()
        #expect(raised.map(\.kind) == [.tenantThresholdReached, .tenantThresholdReached])
        #expect(raised.compactMap(\.limit?.percent) == [50, 80])
        #expect(Set(raised.map(\.id)).count == 2)
        service.charge("acme", spend: 150)
        raised = try await events()
        #expect(raised.last?.limit?.percent == 95)
        let changes = try await audit().first { $0.kind == "tenant_changed" }?.changes ?? []
        #expect(
            changes.map { "\($0.name) \($0.before ?? "-") \($0.after ?? "-")" } == [
                "alert_thresholds - 50, 80, 95"
            ])
    }

    @Test func refusalsNameTheirLimit() async throws {
        var operation = CheckOperation(tenantID: "acme", amounts: [.extensions: 3])
        operation.action = .provisionExtension
        operation.reference = "order 7"
        operation.key = "k1"
        service.check(operation, caller: 77)
        let raised = try await events()
        #expect(raised.map(\.kind) == [.tenantLimitReached, .tenantSuspended])
        for event in raised {
            #expect(event.limit?.name == "tenant_extensions")
            #expect(event.limit?.asked == 3 && event.limit?.committed == 0)
            #expect(event.limit?.windowStart == 0 && event.limit?.resetsAt == 0)
        }
        let line = try #require(try await audit().first)
        #expect(line.kind == "denied" && line.code == "49002" && line.tenantID == "acme")
        #expect(line.events == [.tenantLimitReached, .tenantSuspended])
        #expect(line.limits == [try #require(raised[0].limit)])
        #expect(line.asked == Amounts(.extensions, 3) && line.action == .provisionExtension)
        #expect(line.reference == "order 7" && line.caller == 77 && line.callerName == "")
        // Refused because suspended: on record only with a key; no event, but a line.
        operation.key = "k2"
        service.check(operation)
        let second = try #require(try await audit().first)
        #expect(second.kind == "denied" && second.code == "20012" && second.limits.isEmpty)
        #expect(second.events.isEmpty && second.id > line.id)
    }

    @Test func aRequestTooLargeIsToldAsARefusal() async throws {
        service.charge("acme", "sms", spend: 101)
        service.charge("acme", spend: 1_001)
        service.charge("acme", spend: 2_000)
        let raised = try await events()
        #expect(raised.map(\.kind) == [.profileLimitReached, .tenantLimitReached])
        #expect(raised.allSatisfy { $0.occasion == .refusal })
        #expect(raised[0].profileID == "sms" && raised[0].limit?.asked == 101)
        let limit = try #require(raised[1].limit)
        #expect(limit.asked == 1_001 && limit.committed == 0 && limit.cap == 1_000)
        #expect(try await projection.tenant("acme")?.status == .active)
        let lines = try await audit()
        // The second one raised nothing, and is counted on a line of its own.
        let told = lines.filter { $0.code == "49001" }.map(\.events)
        #expect(told == [[], [.tenantLimitReached]])
        // The cap's own alert is still to come.
        service.charge("acme", spend: 1_000)
        #expect(try await events().last?.kind == .tenantSuspended)
        #expect(try await events().dropLast().last?.occasion == nil)
    }

    @Test func aVoiceProfilesLimitIsToldAsItsOwn() async throws {
        var profile = ProfileSettings(id: "calls", kind: .voice, tenantID: "acme", name: "Calls")
        profile.dailySpendLimitEnabled = true
        profile.dailySpendLimitNanos = 100
        profile.webhookURL = "https://calls.example/hook"
        try service.setProfile(profile)
        service.charge("acme", "calls", spend: 85)
        service.charge("acme", "calls", spend: 15)
        service.charge("acme", "calls", spend: 1)
        let raised = try await events()
        #expect(
            raised.map(\.kind) == [.voiceProfileThresholdReached, .voiceProfileLimitReached])
        for event in raised {
            #expect(event.profileID == "calls" && event.profileName == "Calls")
            #expect(event.limit?.name == "voice_profile_daily_spend" && event.limit?.cap == 100)
        }
        let line = try #require(try await audit().first)
        #expect(line.code == "49007" && line.profileID == "calls" && line.profileKind == .voice)
        var query = AuditQuery()
        query.profileID = "calls"
        query.profileKind = .voice
        #expect(try await projection.audit(query, Page()).total > 0)
        query.profileKind = .messaging
        #expect(try await projection.audit(query, Page()).total == 0)
    }

    @Test func aWindowThatEndsIsToldWithItsOwnFigures() async throws {
        var hold = CheckOperation(tenantID: "acme", amounts: [.spend: 60])
        hold.profileID = "sms"
        service.check(hold)
        service.advance(86_400_000)
        service.charge("acme", "sms", spend: 70)
        let raised = try await events()
        #expect(
            raised.map(\.kind) == [.profileThresholdReached, .profileThresholdReached])
        #expect(raised.map(\.occasion) == [.windowEnd, nil])
        #expect(raised.map { $0.limit?.committed } == [0, 70])
        #expect(raised.map { $0.limit?.held } == [60, 0])
        #expect(raised.map { $0.limit?.asked } == [0, 70])
        #expect(raised[0].limit?.resetsAt == raised[1].limit?.windowStart)
        #expect(Set(raised.map(\.id)).count == 2)
        let line = try #require(try await audit().first)
        #expect(line.limits.count == 2 && line.events == [.profileThresholdReached])
    }

    @Test func aReversalIsOnTheLogAndReinstates() async throws {
        var charge = CheckOperation(tenantID: "acme", amounts: [.spend: 1_000])
        charge.mode = .commit
        charge.reference = "call 7"
        service.check(charge, isWithdrawn: true)
        #expect(
            try await events().map(\.kind) == [
                .tenantThresholdReached, .tenantLimitReached, .tenantSuspended, .tenantReinstated,
            ])
        #expect(try await events().last?.reason.contains("was reversed") == true)
        let line = try #require(try await audit().first)
        #expect(line.kind == "reversed" && line.reference == "call 7")
        #expect(line.asked == Amounts(.spend, 1_000) && line.events == [.tenantReinstated])
        let row = try #require(try await projection.tenant("acme"))
        #expect(row.status == .active && row.usage[0].committed == 0)
        // Its alerts are raised anew when they are due again, after a restart too.
        try service.restart()
        service.charge("acme", spend: 1_000)
        #expect(try await events().count == 7)
        // A charge that raised nothing is on the log as well.
        try service.engine.setStatus(ofTenant: "acme", .active)
        var small = CheckOperation(tenantID: "acme", amounts: [.callSeconds: 1])
        small.mode = .commit
        service.check(small, isWithdrawn: true)
        #expect(try await audit().first?.kind == "reversed")
    }

    /// Whoever has charges taken back all the time writes one line a minute.
    @Test func chargesThatAreTakenBackShareALine() async throws {
        let before = try await audit().count
        service.advance(60_000 - service.now % 60_000)
        func takeBack(_ step: Int) {
            var charge = CheckOperation(tenantID: "acme", amounts: [.spend: 1])
            charge.mode = .commit
            charge.reference = "call \(step)"
            service.check(charge, caller: UInt64(step + 1), isWithdrawn: true)
        }
        for step in 0..<3_000 {
            takeBack(step)
            if step % 10 == 9 {
                try service.catchUp()
                service.advance(100)
            }
        }
        try service.restart()
        takeBack(3_000)
        var lines = try await audit()
        #expect(lines.count == before + 1)
        let line = try #require(lines.first)
        #expect(line.kind == "reversed" && line.code == "")
        #expect(line.count == 3_001)
        #expect(line.reference == "call 0" && line.caller == 1)
        #expect(line.asked == Amounts(.spend, 1) && line.events.isEmpty)
        #expect(line.lastTime - line.time == 30_000)
        service.advance(60_000)
        takeBack(3_001)
        lines = try await audit()
        #expect(lines.count == before + 2 && lines[0].reference == "call 3001")
        #expect(lines[0].count == 1 && lines[0].lastTime == lines[0].time)
    }

    /// Reached and reinstated before: the same window raises no second "reached", but a second suspension, with its limit.
    @Test func suspendedAgain() async throws {
        service.charge("acme", spend: 1_000)
        try service.engine.setStatus(ofTenant: "acme", .active, reason: "paid", by: 5)
        var usage = RecordOperation(tenantID: "acme", amounts: [.spend: 10])
        usage.reference = "late call"
        service.record(usage)
        let raised = try await events()
        #expect(
            raised.map(\.kind) == [
                .tenantThresholdReached, .tenantLimitReached, .tenantSuspended, .tenantReinstated,
                .tenantSuspended,
            ])
        #expect(raised[3].reason == "paid" && raised[3].limit == nil)
        #expect(raised[4].limit?.committed == 1_010 && raised[4].limit?.asked == 10)
        let line = try #require(try await audit().first)
        #expect(line.kind == "usage_recorded" && line.reference == "late call")
        #expect(line.limits == [try #require(raised[4].limit)])
        try service.engine.setStatus(ofTenant: "acme", .active)
        try service.engine.setStatus(ofTenant: "acme", .suspended, reason: "fraud", by: 5)
        let last = try #require(try await events().last)
        #expect(last.kind == .tenantSuspended && last.reason == "fraud" && last.limit == nil)
        let lines = try await audit()
        #expect(lines[0].kind == "tenant_suspended" && lines[0].reference == "fraud")
        #expect(lines[0].caller == 5)
        #expect(lines.contains { $0.kind == "tenant_reinstated" && $0.reference == "paid" })
    }

    @Test func profilesHaveTheirOwn() async throws {
        service.charge("acme", "sms", spend: 50)
        service.charge("acme", "sms", spend: 51, key: "x")
        let raised = try await events()
        #expect(raised.map(\.kind) == [.profileThresholdReached, .profileLimitReached])
        for (event, asked) in zip(raised, [50, 51] as [Int64]) {
            #expect(event.profileID == "sms" && event.profileName == "Texts")
            #expect(event.tenantID == "acme")
            #expect(event.limit?.cap == 100 && event.limit?.committed == 50)
            #expect(event.limit?.asked == asked)
            let start = try #require(event.limit?.windowStart)
            #expect(start % 86_400_000 == 0 && event.limit?.resetsAt == start + 86_400_000)
        }
        let sent = try await projection.deliveries(DeliveryQuery(), Page()).rows
        #expect(sent.count == 2)
        for row in sent {
            #expect(
                row.channel
                    == .webhook(
                        url: "https://acme.example/hook", failoverURL: "https://acme.example/again")
            )
        }
        var query = AuditQuery()
        query.profileID = "sms"
        let lines = try await audit(query)
        #expect(lines.map(\.kind) == ["denied", "charged", "profile_created"])
        #expect(lines[0].code == "40333" && lines[0].limits.map(\.asked) == [51])
    }

    /// Who is told is who wanted it at that place of the journal.
    @Test func recipients() async throws {
        var all = WebhookEndpoint(id: "a", url: "https://a/", createdAt: 1, updatedAt: 1)
        all.failoverURL = "https://b/"
        try set(all)
        try set(
            WebhookEndpoint(
                id: "c", url: "https://c/", eventTypes: [.tenantSuspended], createdAt: 1,
                updatedAt: 1))
        try set(
            WebhookEndpoint(
                id: "d", url: "https://d/", enabled: false, createdAt: 1, updatedAt: 1))
        try set(
            EmailRecipient(
                id: "m", address: "ops@example.com", eventTypes: [.tenantReinstated],
                createdAt: 1, updatedAt: 1))
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        try service.engine.setSetting(WebhookEndpoint.settingPrefix + "a", "")
        try service.engine.setStatus(ofTenant: "acme", .active)
        try service.catchUp()
        let rows = try await projection.deliveries(DeliveryQuery(), Page()).rows.reversed()
        #expect(
            rows.map(\.channel) == [
                .webhook(url: "https://a/", failoverURL: "https://b/"),
                .webhook(url: "https://c/", failoverURL: ""),
                .email(address: "ops@example.com"),
            ])
        #expect(
            rows.map(\.event.kind) == [.tenantSuspended, .tenantSuspended, .tenantReinstated])
        // The same after a restart, without a rebuild.
        try service.restart()
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        try service.catchUp()
        let newest = try await projection.deliveries(DeliveryQuery(), Page()).rows[0]
        #expect(newest.channel == .webhook(url: "https://c/", failoverURL: ""))
    }

    @Test func changesShowBeforeAndAfter() async throws {
        var acme = try #require(service.engine.tenant("acme"))
        acme.limits.monthlySpendNanos = nil
        acme.limits.monthlyCallSeconds = 600
        acme.name = "Acme Inc."
        try service.setTenant(acme, by: 9)
        var lines = try await audit()
        #expect(lines[0].kind == "tenant_changed" && lines[0].caller == 9)
        #expect(
            lines[0].changes == [
                .init(name: "name", before: "ACME", after: "Acme Inc."),
                .init(name: "monthly_spend_limit", before: "0.000001", after: nil),
                .init(name: "max_monthly_minutes", before: nil, after: "10"),
            ])
        #expect(lines[0].reference == "")
        let created = try #require(lines.first { $0.kind == "tenant_created" })
        #expect(created.changes.contains(.init(name: "max_extensions", before: nil, after: "2")))
        try service.engine.closeProfile("sms", by: 9)
        try service.engine.setStatus(ofTenant: "acme", .closed, by: 9)
        lines = try await audit()
        #expect(lines[0].kind == "tenant_closed" && lines[0].tenantID == "acme")
        #expect(lines[1].kind == "profile_closed" && lines[1].profileID == "sms")
        var query = AuditQuery()
        query.kind = "profile_created"
        #expect(try await audit(query).count == 1)
        query.kind = "no such kind"
        #expect(try await audit(query).isEmpty)
    }

    @Test func linesNameTheTraceOfTheirCall() async throws {
        let trace = TraceID(high: 0x4bf9, low: 0x2f35)
        var acme = try #require(service.engine.tenant("acme"))
        acme.name = "Acme Inc."
        try service.setTenant(acme, by: Requester(caller: 9, trace: trace))
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        try service.restart()
        acme.name = "ACME"
        try service.setTenant(acme, by: 9)
        let lines = try await audit()
        #expect(lines.prefix(3).map(\.trace) == [nil, nil, trace])
        #expect(lines.dropFirst(3).allSatisfy { $0.trace == nil })
    }

    /// What a service does all day is no line; the same by an operator is: it was done by hand.
    @Test func whatOperatorsDoByHandIsTold() async throws {
        func token(_ id: String, _ scope: Caller.Scope) throws -> UInt64 {
            let token = AccessToken(
                id: id, name: "\(scope)", scope: scope, tenantIDs: [], hash: "", createdAt: 1,
                expiresAt: nil)
            try service.engine.setSetting(
                AccessToken.settingPrefix + id, SettingValue.encode(token))
            service.flush()
            return token.number
        }
        let person = try token("0123456789abcdef-0000", .operator)
        let billing = try token("1123456789abcdef-0000", .check)
        func act(by caller: UInt64) {
            service.check(CheckOperation(tenantID: "acme", amounts: [.extensions: 1]))
            service.release(by: caller)
            service.setCounts("acme", [.dids: 7], by: caller)
            service.setCounts("acme", [.dids: 0], by: caller)
        }
        let before = try await audit().count
        act(by: billing)
        act(by: 0)
        // Whoever sets counts is on the log, in open mode too; who gives a hold back only by hand.
        let counted = try await audit()
        #expect(
            counted.dropLast(before).map(\.kind) == Array(repeating: "counts_reconciled", count: 4))
        act(by: person)
        // Also after a restart, with the tokens from the file.
        try service.restart()
        act(by: person)
        let lines = try await audit().dropLast(counted.count)
        try #require(
            lines.map(\.kind)
                == ["counts_reconciled", "counts_reconciled", "released"]
                + ["counts_reconciled", "counts_reconciled", "released"])
        #expect(lines.allSatisfy { $0.caller == person && $0.callerName == "operator" })
        #expect(lines[0].asked == Amounts(.dids, -7) && lines[1].asked == Amounts(.dids, 7))
        #expect(lines.allSatisfy { $0.tenantID == "acme" })
        #expect(lines[2].reservationID != 0)
    }

    /// Nothing is sent to whom it was taken from, and what is on its way goes to where it should go now.
    @Test func whatIsOnItsWayFollowsTheSettings() async throws {
        func hook(_ id: String, _ url: String, _ isEnabled: Bool = true) throws {
            try set(
                WebhookEndpoint(
                    id: id, url: url, enabled: isEnabled, createdAt: 1, updatedAt: 1))
        }
        try hook("stays", "https://same.example/")
        try hook("goes", "https://same.example/")
        try hook("rests", "https://rests.example/")
        try hook("moves", "https://moves.example/")
        try set(EmailRecipient(id: "m", address: "ops@example.com", createdAt: 1, updatedAt: 1))
        try service.engine.setStatus(ofTenant: "acme", .suspended)
        try service.catchUp()
        func shown() async throws -> [String] {
            try service.catchUp()
            return try await projection.deliveries(DeliveryQuery(), Page()).rows.reversed().map {
                switch $0.channel {
                case .webhook(let url, _): "\(url) \($0.status)"
                case .email(let address): "\(address) \($0.status)"
                }
            }
        }
        #expect(try await shown().allSatisfy { $0.hasSuffix("pending") })
        let rows = try await projection.deliveries(DeliveryQuery(), Page()).rows
        try service.engine.setSetting(WebhookEndpoint.settingPrefix + "goes", "")
        try hook("rests", "https://rests.example/", false)
        try hook("moves", "https://moved.example/")
        try service.engine.setSetting(EmailRecipient.settingPrefix + "m", "")
        let expected = [
            "https://same.example/ failed", "https://moved.example/ pending",
            "https://rests.example/ failed", "https://same.example/ pending",
            "ops@example.com failed",
        ]
        #expect(try await shown() == expected)
        let places = try await projection.places(due: service.now, after: nil, limit: 10).due
        #expect(places.map(\.name) == ["https://moved.example:443", "https://same.example:443"])
        // An attempt that was underway meanwhile brings nothing back.
        let mail = try #require(rows.first { $0.channel == .email(address: "ops@example.com") })
        let attempt = DeliveryAttempt(
            number: 1, startedAt: 1, finishedAt: 2, target: "", status: nil, error: "no")
        try await projection.note(attempt, of: mail.id, .again(at: service.now, .mail))
        #expect(try await shown() == expected)
        try await projection.note(attempt, of: mail.id, .delivered)
        #expect(try await shown().last == "ops@example.com delivered")
    }

    @Test func settingsAreToldWithoutSecrets() async throws {
        let token = AccessToken(
            id: "0123456789abcdef-0000", name: "billing", scope: .check, tenantIDs: ["acme"],
            hash: "c2VjcmV0", createdAt: 1, expiresAt: nil)
        try service.engine.setSetting(
            AccessToken.settingPrefix + token.id, SettingValue.encode(token))
        try service.engine.setSetting("signing-key", "very secret")
        // Within one frame lanes stand side by side.
        service.flush()
        service.check(
            CheckOperation(tenantID: "acme", amounts: [.extensions: 9]), caller: token.number)
        service.flush()
        try service.engine.setSetting(AccessToken.settingPrefix + token.id, "", by: 3)
        let lines = try await audit()
        #expect(lines[0].kind == "setting_changed" && lines[0].caller == 3)
        #expect(lines[0].reference == "token/0123456789abcdef-0000")
        #expect(lines[0].changes.contains(.init(name: "name", before: "billing", after: nil)))
        // The caller is still called by its name.
        #expect(lines[1].kind == "denied" && lines[1].callerName == "billing")
        #expect(lines[2].reference == "signing-key" && lines[2].changes.isEmpty)
        #expect(lines[3].changes.contains(.init(name: "scope", before: nil, after: "check")))
        let everything = String(describing: lines)
        #expect(!everything.contains("c2VjcmV0") && !everything.contains("very secret"))
        let bytes =
            try Data(contentsOf: URL(fileURLWithPath: service.path))
            + Data(contentsOf: URL(fileURLWithPath: service.path + "-wal"))
        #expect(bytes.range(of: Data("c2VjcmV0".utf8)) == nil)
        #expect(bytes.range(of: Data("very secret".utf8)) == nil)
    }
}
