import Journal
import Limits
import Reservations
import TestKit
import Testing

@testable import Engine

/// What operators set: kept with its revision, refused when it was made from an older one, and found again after a
/// restart.
@Suite struct ConfigurationTests {
    private let disk = SimulatedDisk(seed: 1)

    private func open() throws -> Engine {
        var settings = DurabilitySettings()
        settings.journal.segmentBytes = 256 << 10
        settings.journal.maximumBytes = 64 << 20
        settings.hasThreads = false
        let capacity = TableCapacity(
            tenants: 16, profiles: 16, reservations: 65_536, bodies: 4_096, keys: 65_536, lanes: 3)
        return try Engine.open(
            configuration: EngineConfiguration(capacity: capacity), disk: disk, settings: settings
        ).engine
    }

    private func reopened(_ engine: Engine) throws -> Engine {
        try engine.awaitDurable()
        engine.close()
        return try open()
    }

    @Test func revisionsCount() throws {
        let engine = try open()
        var acme = TenantSettings(id: "acme", name: "ACME")
        #expect(try engine.setTenant(acme, from: 0).created)
        let first = try #require(engine.tenant("acme")?.revision)
        #expect(first.number == 1 && first.createdAt > 0 && first.updatedAt == first.createdAt)
        acme.limits.maxExtensions = 5
        try engine.setTenant(acme, from: 1)
        #expect(throws: EngineError.self) { try engine.setTenant(acme, from: 1) }
        #expect(throws: EngineError.self) { try engine.setTenant(acme, from: 0) }
        let second = try #require(engine.tenant("acme")?.revision)
        #expect(second.number == 2 && second.createdAt == first.createdAt)
        var profile = ProfileSettings(id: "sms", tenantID: "acme")
        profile.webhookURL = "https://example.com/hook"
        profile.webhookFailoverURL = "https://example.org/hook"
        profile.vendorFields = #"{"mobile_only":true}"#
        try engine.setProfile(profile)
        let again = try reopened(engine)
        #expect(again.tenant("acme")?.revision == second)
        #expect(again.tenant("acme")?.limits.maxExtensions == 5)
        let kept = try #require(again.profile("sms"))
        #expect(kept.isConfigured(as: profile) && kept.revision.number == 1)
        again.close()
    }

    @Test func conflictsSayWhy() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        do {
            try engine.setTenant(TenantSettings(id: "acme"), from: 7)
            Issue.record("an older revision was accepted")
        } catch {
            #expect(error.code == .conflict)
        }
        engine.close()
    }

    /// Nothing new may have an id that looks like another one, or that no URL leads to.
    @Test(arguments: [".", "..", " a", "a ", "a\u{202e}b", "", "a\u{7}"])
    func idsThatNothingMayHave(id: String) throws {
        let engine = try open()
        let tenant = #expect(throws: EngineError.self) {
            try engine.setTenant(TenantSettings(id: id))
        }
        try engine.setTenant(TenantSettings(id: "acme"))
        let profile = #expect(throws: EngineError.self) {
            try engine.setProfile(ProfileSettings(id: id, tenantID: "acme"))
        }
        #expect(tenant?.code == .invalid && profile?.code == .invalid)
        engine.close()
    }

    /// What somebody has changed since is not deleted.
    @Test func deletionsAreOfTheRevisionThatWasSeen() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        try engine.setTenant(TenantSettings(id: "acme", name: "ACME"))
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme", name: "SMS"))
        let profile = #expect(throws: EngineError.self) { try engine.closeProfile("sms", from: 1) }
        let tenant = #expect(throws: EngineError.self) {
            try engine.setStatus(ofTenant: "acme", .closed, from: 1)
        }
        #expect(profile?.code == .conflict && tenant?.code == .conflict)
        #expect(engine.tenant("acme")?.name == "ACME" && engine.profile("sms")?.name == "SMS")
        try engine.closeProfile("sms", from: 2)
        try engine.setStatus(ofTenant: "acme", .closed, from: 2)
        #expect(engine.tenant("acme") == nil && engine.profile("sms") == nil)
        engine.close()
    }

    @Test func whatWasDeletedIsGone() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        try engine.closeProfile("sms")
        #expect(engine.profile("sms") == nil && engine.tenant("acme") != nil)
        try engine.setProfile(ProfileSettings(id: "voice", tenantID: "acme"))
        try engine.setStatus(ofTenant: "acme", .closed, reason: "moved away")
        let again = try reopened(engine)
        #expect(try again.tenant("acme") == nil && again.status(ofTenant: "acme") == nil)
        #expect(again.profile("voice") == nil && again.profile("sms") == nil)
        #expect(throws: EngineError.self) { try again.setTenant(TenantSettings(id: "acme")) }
        again.close()
    }

    @Test func aProfileStaysWithItsTenant() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        try engine.setTenant(TenantSettings(id: "globex"))
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        #expect(throws: EngineError.self) {
            try engine.setProfile(ProfileSettings(id: "sms", tenantID: "globex"))
        }
        #expect(engine.profile("sms")?.tenantID == "acme")
        engine.close()
    }

    /// Ids are common to all kinds of profile: one that is taken is of its kind for ever, also after a restart.
    @Test func aProfileKeepsItsKind() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        let calls = ProfileSettings(
            id: "calls", kind: .voice, tenantID: "acme", dailySpendLimitEnabled: true,
            dailySpendLimitNanos: 10)
        try engine.setProfile(calls)
        try engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        let again = try reopened(engine)
        #expect(again.profile("calls", .voice)?.isConfigured(as: calls) == true)
        #expect(again.profile("calls", .messaging) == nil)
        #expect(again.profile("sms", .messaging)?.kind == .messaging)
        #expect(again.profile("sms", .voice) == nil)
        let other = #expect(throws: EngineError.self) {
            try again.setProfile(ProfileSettings(id: "calls", tenantID: "acme"))
        }
        #expect(other?.code == .notFound)
        try again.closeProfile("calls")
        let closed = #expect(throws: EngineError.self) {
            try again.setProfile(ProfileSettings(id: "calls", tenantID: "acme"))
        }
        #expect(closed?.code == .notFound)
        again.close()
    }

    /// Settings that were kept before there were lists of thresholds have one.
    @Test func thresholdsAreKept() throws {
        var settings = TenantSettings(id: "acme", name: "ACME", timeZone: "Europe/Paris")
        func read(_ bytes: [UInt8]) -> TenantSettings? {
            bytes.withUnsafeBytes { TenantSettings(encoded: $0) }
        }
        for percents: [UInt8] in [[80], [1], [50, 80], [97, 98, 99, 100]] {
            settings.limits.alertThresholds = percents
            let encoded = settings.encoded
            #expect(read(encoded)?.isConfigured(as: settings) == true)
            #expect(read(Array(encoded.dropLast())) == nil)
            let former = read(Array(encoded.dropLast(1 + percents.count)))
            #expect(former?.limits.alertThresholds == [percents[0]])
            #expect(former?.timeZone == "Europe/Paris")
        }
        settings.limits.alertThresholds = [50, 80]
        var falling = settings.encoded
        falling[falling.count - 1] = 50
        #expect(read(falling) == nil)
    }

    /// The engine takes no thresholds that nothing could raise in order.
    @Test(arguments: [[], [0], [101], [80, 80], [80, 50], [1, 2, 3, 4, 5]] as [[UInt8]])
    func wrongThresholdsAreRefused(_ percents: [UInt8]) throws {
        var settings = TenantSettings(id: "acme")
        settings.limits.alertThresholds = percents
        let engine = try open()
        let error = #expect(throws: EngineError.self) { try engine.setTenant(settings) }
        #expect(error?.code == .invalid)
        engine.close()
    }

    /// The caps of a tenant are kept under the numbers of their limits.
    @Test func eachCapIsKeptByItself() throws {
        for cap in CapSetting.all {
            var settings = TenantSettings(id: "acme")
            settings.limits[cap] = cap.kept(7)
            let encoded = settings.encoded
            let read = encoded.withUnsafeBytes { TenantSettings(encoded: $0) }
            #expect(read?.isConfigured(as: settings) == true)
            // The number of a limit that this version does not know, or of a profile's.
            for number in [UInt8(13), LimitKind.profileDailySpend.rawValue] {
                var foreign = encoded
                foreign[7] = number
                #expect(foreign.withUnsafeBytes { TenantSettings(encoded: $0) } == nil)
            }
        }
    }

    /// Two spellings of a letter are two ids, as they are two sequences of bytes.
    @Test func idsAreBytes() throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "caf\u{e9}", name: "composed"))
        #expect(engine.tenant("cafe\u{301}") == nil)
        try engine.setTenant(TenantSettings(id: "cafe\u{301}", name: "decomposed"), from: 0)
        let again = try reopened(engine)
        #expect(again.tenant("caf\u{e9}")?.name == "composed")
        #expect(again.tenant("cafe\u{301}")?.name == "decomposed")
        again.close()
    }

    @Test func settingsComeAndGo() throws {
        let engine = try open()
        try engine.setSetting("a/1", "one")
        try engine.setSetting("a/2", "two")
        try engine.setSetting("b/1", "three")
        try engine.setSetting("a/1", "")
        #expect(engine.settings(prefix: "a/") == ["a/2": "two"])
        let again = try reopened(engine)
        #expect(again.settings(prefix: "") == ["a/2": "two", "b/1": "three"])
        again.close()
    }

    /// Who did it, in which trace, and why, stand in the record.
    @Test func recordsNameTheirCaller() throws {
        let engine = try open()
        let lane = try engine.makeLane()
        try engine.setTenant(
            TenantSettings(id: "acme"), by: Requester(caller: 7, trace: TraceID(high: 0, low: 10)))
        lane.caller = 8
        lane.trace = TraceID(high: 1, low: 0)
        var answer = CheckAnswer()
        let failure = "acme".withBorrowedBytes { tenant in
            var amounts = Amounts()
            amounts.set(Resource.dids.index, 3)
            return lane.check(
                CheckCommand(tenantID: tenant, action: .assignDID, amounts: amounts),
                answer: &answer)
        }
        #expect(failure == nil)
        try engine.setStatus(ofTenant: "acme", .suspended, reason: "fraud", by: 9)
        try engine.awaitDurable()
        engine.close()
        var seen: [String] = []
        let id = try #require(try JournalReader.id(disk))
        var record = Record(.reserved)
        _ = try JournalReader(disk, id: id).read(from: 1, wrapping: { $0 as any Error }) { event in
            guard case .records(let words, _) = event else { return }
            try words.forEachRecord { words throws(any Error) in
                try record.read(words)
                if record.kind == .time { return }
                let text =
                    record.kind == .tenantSuspended
                    ? String(decoding: record.text, as: UTF8.self) : ""
                let trace = record.trace.map { "\($0)" } ?? "-"
                seen.append("\(record.kind) \(record.caller) \(trace) \(text)")
            }
        }
        // Lanes have rings of their own: the order between them is in the versions.
        #expect(
            seen.sorted() == [
                "reserved 8 0000000000000001" + "0000000000000000 ",
                "tenantCreated 7 000000000000000000000000" + "0000000a ",
                "tenantSuspended 9 - fraud",
            ])
    }

    @Test func countsAreSetAsADifference() throws {
        let engine = try open()
        let lane = try engine.makeLane()
        try engine.setTenant(TenantSettings(id: "acme"))
        func set(_ extensions: Int64) -> Failure? {
            var answer = RecordAnswer()
            return "acme".withBorrowedBytes { tenant in
                lane.setCounts(
                    RecordCommand(tenantID: tenant, amounts: Amounts(.extensions, extensions)),
                    answer: &answer)
            }
        }
        func committed() -> Int64 {
            var answer = UsageAnswer()
            _ = "acme".withBorrowedBytes { tenant in
                lane.usage(
                    UsageQuery(tenantID: tenant, profileID: BorrowedBytes(start: nil, count: 0)),
                    answer: &answer)
            }
            return answer.limits[.tenantExtensions].committed
        }
        for count: Int64 in [12, 3, 3, 0, 40] {
            #expect(set(count) == nil)
            #expect(committed() == count)
        }
        engine.close()
    }

    @Test func waitingIsOverWhenItIsOnDisk() async throws {
        let engine = try open()
        try engine.setTenant(TenantSettings(id: "acme"))
        try await engine.durable()
        disk.crash()
        let again = try open()
        #expect(again.tenant("acme") != nil)
        again.close()
    }
}
