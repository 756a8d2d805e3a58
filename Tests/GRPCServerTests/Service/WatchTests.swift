import Access
import Engine
import HTTP2
import Limits
import NIOCore
import Testing
import Wire

@testable import GRPCServer

/// WatchUsage: what stands, then what changes. The clock stands still unless a test moves it, and ticks come when a
/// test lets them: what a tick has sent is there when a later call is answered.
@Suite struct WatchTests {
    private func server(
        isOpen: Bool = true, tenants: Int = 16, bounds: WatchBounds = WatchBounds(),
        configure: (inout ServerConfiguration) -> Void = { _ in }
    ) async throws -> LimitServer {
        let test = try await LimitServer(
            isOpen: isOpen, isFrozen: true, tenants: tenants, bounds: bounds,
            configure: configure)
        // No ticks but those that the test lets pass.
        let loop = test.server.loops[0]
        try await loop.eventLoop.submit { (loop.service as? LimitService)?.stopped() }.get()
        return test
    }

    @Test func firstWhatStandsThenChanges() async throws {
        let test = try await server()
        try test.engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        try test.engine.setTenant(TenantSettings(id: "other"))
        try test.engine.setProfile(ProfileSettings(id: "elsewhere", tenantID: "other"))
        let watch = try test.watch("acme")
        try await test.tick()
        let first = try test.updates(watch)
        #expect(first.map(\.tenantID) == ["acme", "acme", ""])
        #expect(first.map(\.isSnapshotComplete) == [false, false, true])
        #expect(first[0].limits.compactMap(\.limit) == LimitSubject.tenant.limits.map(\.kind))
        #expect(first[0].tenantStatus == .active)
        #expect(first[1].limits.map(\.limit) == [.profileDailySpend])
        #expect(first[1].limits.map(\.subjectID) == ["sms"])

        // Nothing has changed: nothing is said.
        test.gate.advance(.milliseconds(100))
        try await test.tick(3)
        #expect(try test.updates(watch).count == 3)

        for _ in 0..<3 { _ = try await test.call(.checkAndReserve, asking(1)) }
        _ = try await test.call(.checkAndReserve, asking(1, tenant: "other"))
        test.gate.advance(.milliseconds(100))
        try await test.tick(3)
        let changes = try test.updates(watch).dropFirst(3)
        #expect(changes.map(\.tenantID) == ["acme"])
        #expect(changes.first?.extensions == [0, 3])
        await test.stop()
    }

    @Test func atMostOneMessageOfASubjectIn100Milliseconds() async throws {
        let test = try await server()
        let watch = try test.watch("acme")
        try await test.tick()
        for held in 1...5 {
            _ = try await test.call(.checkAndReserve, asking(1))
            // 99 ms and 99.9 ms after the last walk are too early.
            test.gate.advance(.milliseconds(99))
            try await test.tick(2)
            test.gate.advance(.microseconds(900))
            try await test.tick(2)
            #expect(try test.updates(watch).count == 2 + held - 1)
            test.gate.advance(.microseconds(100))
            try await test.tick(2)
            #expect(try test.updates(watch).count == 2 + held)
            #expect(try test.updates(watch).last?.extensions == [0, Int64(held)])
        }
        await test.stop()
    }

    @Test func newTenantsAndProfilesAppear() async throws {
        let test = try await server()
        let everything = try test.watch("")
        let acme = try test.watch("acme")
        try await test.tick()
        #expect(try test.updates(everything).map(\.tenantID) == ["acme", ""])
        try test.engine.setTenant(TenantSettings(id: "new"))
        try test.engine.setProfile(ProfileSettings(id: "new-sms", tenantID: "new"))
        try test.engine.setProfile(ProfileSettings(id: "acme-sms", kind: .voice, tenantID: "acme"))
        test.gate.advance(.milliseconds(100))
        try await test.tick()
        let all = try test.updates(everything).dropFirst(2)
        #expect(Set(all.map(\.subject)) == ["acme", "new", "new/new-sms", "acme/acme-sms"])
        #expect(all.count == 4)
        let own = try test.updates(acme).dropFirst(2)
        #expect(own.map(\.subject) == ["acme", "acme/acme-sms"])
        await test.stop()
    }

    @Test func aWindowThatEndsIsAChange() async throws {
        let test = try await server()
        try test.engine.setProfile(ProfileSettings(id: "sms", tenantID: "acme"))
        let spend = RecordUsageRequest(
            tenantID: "acme", messagingProfileID: "sms", quantities: [Quantity(.spend, 5)])
        #expect(try await test.call(.recordUsage, spend).status == 0)
        let watches = [try test.watch("acme"), try test.watch("")]
        try await test.tick()
        // It is noon: midnight ends the profile's day and the tenant's, not the tenant's cycle.
        test.gate.advance(.hours(12) - .milliseconds(1))
        try await test.tick()
        for watch in watches { #expect(try test.updates(watch).count == 3) }
        test.gate.advance(.milliseconds(101))
        try await test.tick()
        for watch in watches {
            let news = try test.updates(watch).dropFirst(3)
            #expect(news.map(\.subject) == ["acme", "acme/sms"])
            let tenant = Dictionary(
                uniqueKeysWithValues: news.first?.limits.map { ($0.limit, $0.committed) } ?? [])
            #expect(tenant[.tenantDailySpend] == 0 && tenant[.tenantMonthlySpend] == 5)
            #expect(news.last?.limits.first?.committed == 0)
        }
        test.gate.advance(.hours(24 * 31))
        try await test.tick()
        for watch in watches {
            let news = try test.updates(watch).dropFirst(5)
            #expect(news.map(\.subject) == ["acme", "acme/sms"])
            let state = news.first?.limits.first { $0.limit == .tenantMonthlySpend }
            #expect(state?.committed == 0)
        }
        await test.stop()
    }

    @Test func nothingIsSaidBeforeItIsOnDisk() async throws {
        let test = try await server()
        let watch = try test.watch("acme")
        try await test.tick()
        test.gate.change { $0.answersWait = true }
        let stream = try test.begin(.checkAndReserve, [asking(4)])
        try await test.settle()
        test.gate.advance(.milliseconds(100))
        try await test.tick(3)
        #expect(try test.updates(watch).count == 2)
        // What changes meanwhile waits for the next walk.
        _ = try test.begin(.checkAndReserve, [asking(1)])
        try await test.settle()
        try await test.tick()
        #expect(try test.updates(watch).count == 2)
        try await test.makeDurable()
        try await test.tick()
        #expect(try await test.client.finish(stream).status == 0)
        #expect(try test.updates(watch).map(\.extensions).suffix(1) == [[0, 4]])
        test.gate.advance(.milliseconds(100))
        try await test.tick()
        try await test.makeDurable()
        try await test.tick()
        #expect(try test.updates(watch).map(\.extensions).suffix(1) == [[0, 5]])
        await test.stop()
    }

    /// A caller that reads late gets every subject, in its latest state, and the end of the snapshot behind them.
    @Test func congestionLosesNothingButWhatIsOutdated() async throws {
        let count = 300
        let test = try await server(tenants: 400) { $0.maximumStreamOutputBytes = 2_000 }
        for number in 0..<count { try test.engine.setTenant(TenantSettings(id: "t\(number)")) }
        let watch = try test.watch("")
        try test.client.flush()
        let other = try TestClient(port: test.server.port)
        for round in 1...3 {
            try await test.tickOnly(5)
            for number in stride(from: 0, to: count, by: 50) {
                let request = asking(1, tenant: "t\(number)")
                let reply = try await other.call(
                    "\(LimitServiceMethod.checkAndReserve.path)", request.encoded())
                #expect(reply.status == 0)
            }
            test.gate.advance(.milliseconds(100))
            #expect(try test.updates(watch).isEmpty, "round \(round)")
        }
        var ticks = 0
        while try !test.updates(watch).contains(where: \.isSnapshotComplete), ticks < 1_000 {
            test.gate.advance(.milliseconds(100))
            try await test.tick()
            ticks += 1
        }
        #expect(ticks > 10)
        for _ in 0..<3 {
            test.gate.advance(.milliseconds(100))
            try await test.tick(3)
        }
        let updates = try test.updates(watch)
        let ends = updates.indices.filter { updates[$0].isSnapshotComplete }
        let end = try #require(ends.first)
        #expect(Set(updates[..<end].map(\.tenantID)).count == count + 1)
        #expect(ends.count == 1)
        var latest: [String: [Int64]] = [:]
        for update in updates { latest[update.tenantID] = update.extensions }
        for number in 0..<count {
            #expect(latest["t\(number)"] == [0, number % 50 == 0 ? 3 : 0], "t\(number)")
        }
        await test.stop()
    }

    /// The work of a tick is bounded: a small budget takes many ticks, and in the end says the same.
    @Test func walksGoOnWhereTheBudgetEnded() async throws {
        var bounds = WatchBounds()
        bounds.budget = 20
        bounds.newProfiles = 1
        let test = try await server(bounds: bounds)
        for number in 0..<6 {
            try test.engine.setProfile(ProfileSettings(id: "p\(number)", tenantID: "acme"))
        }
        let watches = [try test.watch("acme"), try test.watch(""), try test.watch("acme")]
        try await test.tick()
        #expect(try watches.map { try test.updates($0).count }.reduce(0, +) <= 2)
        try await test.tick(60)
        for watch in watches {
            let subjects = try test.updates(watch).map(\.subject)
            #expect(subjects == ["acme"] + (0..<6).map { "acme/p\($0)" } + [""])
        }
        await test.stop()
    }

    @Test func deletedTenantsEnd() async throws {
        let test = try await server()
        let acme = try test.watch("acme")
        let everything = try test.watch("")
        try await test.tick()
        try test.engine.setStatus(ofTenant: "acme", .closed)
        test.gate.advance(.milliseconds(100))
        try await test.tick()
        let reply = try await test.client.finish(acme)
        #expect(reply.status == Int32(GRPCCode.notFound.rawValue) && reply.messages.count == 2)
        #expect(!test.reply(everything).isEnded)
        #expect(try test.updates(everything).count == 2)
        let again = try await test.client.finish(test.watch("acme"))
        #expect(again.status == Int32(GRPCCode.notFound.rawValue))
        await test.stop()
    }

    @Test func watchesAreBounded() async throws {
        var bounds = WatchBounds()
        bounds.watches = 3
        bounds.watchesOfEverything = 1
        let test = try await server(bounds: bounds)
        let exhausted = Int32(GRPCCode.resourceExhausted.rawValue)
        let first = try test.watch("")
        #expect(try await test.client.finish(test.watch("")).status == exhausted)
        let others = [try test.watch("acme"), try test.watch("acme")]
        let tooMany = try await test.client.finish(test.watch("acme"))
        #expect(tooMany.status == exhausted && !tooMany.details.isEmpty)
        // Who leaves makes room.
        test.client.cancel(first)
        try await test.settle()
        let next = try test.watch("")
        try await test.tick()
        for watch in others + [next] { #expect(try test.updates(watch).count == 2) }
        await test.stop()
    }

    /// When three quarters of the watches are in use, who is bound to tenants gets no more than a share for each of them;
    /// others go on, and so does who is bound to nobody.
    @Test func aTenantHasItsShareOfTheWatches() async throws {
        var bounds = WatchBounds()
        bounds.watches = 8
        bounds.tenantShare = 25
        let test = try await server(isOpen: false, bounds: bounds)
        try test.engine.setTenant(TenantSettings(id: "globex"))
        let (acme, globex) = (
            try test.token(.check, ["acme"]), try test.token(.check, ["globex"])
        )
        var watches: [StreamHandle] = []
        for _ in 0..<6 { watches.append(try test.watch("acme", token: acme)) }
        let refused = try await test.client.finish(test.watch("acme", token: acme))
        #expect(bounds.scarcity.isScarce)
        #expect(refused.status == Int32(GRPCCode.resourceExhausted.rawValue))
        #expect(!refused.details.isEmpty)
        watches.append(try test.watch("globex", token: globex))
        watches.append(try test.watch("acme", token: try test.token(.operator)))
        try await test.tick()
        for watch in watches { #expect(try !test.updates(watch).isEmpty) }
        // Below three quarters anybody may have what is free.
        for watch in watches[..<3] { test.client.cancel(watch) }
        try await test.tick()
        #expect(!bounds.scarcity.isScarce)
        watches.append(try test.watch("acme", token: acme))
        try await test.tick()
        #expect(try !test.updates(watches[8]).isEmpty)
        await test.stop()
    }

    @Test func badRequestsAndStrangers() async throws {
        let test = try await server(isOpen: false)
        let boss = try test.token(.operator)
        func status(_ tenant: String, _ token: String?) async throws -> GRPCCode? {
            let reply = try await test.client.finish(test.watch(tenant, token: token))
            return GRPCCode(rawValue: UInt8(truncatingIfNeeded: reply.status))
        }
        #expect(try await status("nobody", boss) == .notFound)
        #expect(
            try await status(String(repeating: "x", count: 65), boss) == .invalidArgument)
        #expect(try await status("acme", nil) == .unauthenticated)
        #expect(try await status("", test.token(.check)) == .permissionDenied)
        #expect(try await status("", test.token(.tenant, ["acme"])) == .permissionDenied)
        #expect(try await status("", test.token(.operator, ["acme"])) == .permissionDenied)
        #expect(try await status("acme", test.token(.tenant, ["x"])) == .permissionDenied)
        for scope in [Caller.Scope.check, .tenant, .operator] {
            let watch = try test.watch("acme", token: try test.token(scope, ["acme"]))
            try await test.tick()
            #expect(try test.updates(watch).count == 2)
        }
        await test.stop()
    }

    @Test func tenantsSeeTheirProfilesLimitsOnly() async throws {
        let test = try await server(isOpen: false)
        try test.engine.setProfile(
            ProfileSettings(
                id: "sms", tenantID: "acme", dailySpendLimitEnabled: true,
                dailySpendLimitNanos: 5))
        let token = try test.token(.tenant, ["acme"])
        let boss = try test.token(.operator)
        let watches = [
            try test.watch("acme", token: token), try test.watch("acme", token: boss),
        ]
        try await test.tick()
        for (watch, isHidden) in zip(watches, [true, false]) {
            let updates = try test.updates(watch)
            let state = updates[0].limits.first { $0.limit == .tenantExtensions }
            #expect(state?.capIsHidden == isHidden && state?.cap == (isHidden ? nil : 10))
            #expect(updates[1].limits.first?.cap == 5)
        }
        await test.stop()
    }

    @Test func aRevokedTokenEndsItsWatches() async throws {
        let test = try await server(isOpen: false)
        let (token, secret) = try test.authority.create(
            name: "x", scope: .operator, tenantIDs: [])
        let watches = [
            try test.watch("", token: secret), try test.watch("acme", token: secret),
        ]
        let boss = try test.watch("", token: try test.token(.operator))
        try await test.tick()
        #expect(try test.authority.revoke(token.id))
        test.gate.advance(.milliseconds(100))
        try await test.tick()
        for watch in watches {
            let reply = try await test.client.finish(watch)
            #expect(reply.status == Int32(GRPCCode.unauthenticated.rawValue))
        }
        #expect(!test.reply(boss).isEnded)
        await test.stop()
    }

    @Test func drainingEndsWithUnavailable() async throws {
        let test = try await server()
        let watch = try test.watch("acme")
        try await test.tick()
        let server = test.server
        async let stopped: Void = server.shutdown(within: .seconds(120))
        let reply = try await test.client.finish(watch)
        #expect(reply.status == Int32(GRPCCode.unavailable.rawValue))
        #expect(reply.messages.count == 2)
        await stopped
    }
}

extension UsageUpdate {
    /// "tenant" or "tenant/profile"; empty: the end of the snapshot.
    fileprivate var subject: String {
        guard let limit = limits.first, limit.limit?.row.subject != .tenant else { return tenantID }
        return "\(tenantID)/\(limit.subjectID)"
    }

    /// Committed and held.
    fileprivate var extensions: [Int64] {
        limits.filter { $0.limit == .tenantExtensions }.flatMap { [$0.committed, $0.held] }
    }
}

extension LimitServer {
    fileprivate func watch(_ tenantID: String, token: String? = nil) throws -> StreamHandle {
        try begin(.watchUsage, [WatchUsageRequest(tenantID: tenantID)], token: token)
    }

    fileprivate func reply(_ stream: StreamHandle) -> TestClient.Reply { client.reply(stream) }

    fileprivate func updates(_ stream: StreamHandle) throws -> [UsageUpdate] {
        let reply = reply(stream)
        return try reply.messages.indices.map { try reply.decoded($0) }
    }

    /// Lets ticks pass once what was begun is there, and waits for what they sent.
    fileprivate func tick(_ count: Int = 1) async throws {
        try await arrive()
        try await tickOnly(count)
        try await arrive()
    }

    /// Lets ticks pass.
    fileprivate func tickOnly(_ count: Int) async throws {
        let loop = server.loops[0]
        for _ in 0..<count {
            try await loop.eventLoop.submit { (loop.service as? LimitService)?.tick() }.get()
        }
    }

    /// Waits until the server has read what was sent, and the client what was sent before.
    private func arrive() async throws {
        _ = try await call(.getUsage, UsageRequest(tenantID: ""))
    }
}
