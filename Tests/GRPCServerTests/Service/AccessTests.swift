import Access
import Engine
import Journal
import Limits
import NIOCore
import Testing
import Wire

@testable import GRPCServer

/// Who may do what (semantics §3, "Order of checks", and §6).
@Suite struct AccessTests {
    private static let unauthenticated = Int32(GRPCCode.unauthenticated.rawValue)
    private static let denied = Int32(GRPCCode.permissionDenied.rawValue)
    private static let notFound = Int32(GRPCCode.notFound.rawValue)

    /// A token, and what its calls for acme come to.
    struct Who: CustomTestStringConvertible, Sendable {
        var scope: Caller.Scope?
        var tenants: [String] = []
        /// CheckAndReserve and RecordUsage.
        var charge: Int32 = 0
        /// Entries of a batch; nil: the batch as a whole fails as `charge` says.
        var entry: Int32? = 0
        /// Commit, Release and Extend.
        var settle: Int32 = 0
        var read: Int32 = 0
        var testDescription: String { "\(scope.map { "\($0)" } ?? "nobody") of \(tenants)" }
    }

    private static let callers = [
        Who(
            scope: nil, charge: unauthenticated, entry: nil, settle: unauthenticated,
            read: unauthenticated),
        Who(scope: .operator), Who(scope: .check), Who(scope: .check, tenants: ["acme"]),
        Who(scope: .check, tenants: ["other", "acme", "third"]),
        Who(
            scope: .check, tenants: ["other"], charge: denied, entry: denied, settle: notFound,
            read: denied),
        Who(
            scope: .operator, tenants: ["other"], charge: denied, entry: denied,
            settle: notFound, read: denied),
        Who(scope: .tenant, tenants: ["acme"], charge: denied, entry: nil, settle: denied),
        Who(
            scope: .tenant, tenants: ["other"], charge: denied, entry: nil, settle: denied,
            read: denied),
    ]

    private func server() async throws -> (LimitServer, operator: String) {
        let test = try await LimitServer(isOpen: false)
        try test.engine.setTenant(TenantSettings(id: "other"))
        return (test, try test.token(.operator))
    }

    @Test(arguments: callers) func methods(who: Who) async throws {
        let (test, boss) = try await server()
        let token = try who.scope.map { try test.token($0, who.tenants) } ?? "tg_nobody"
        func status(_ method: LimitServiceMethod, _ message: any RequestMessage) async throws
            -> Int32
        { try await test.call(method, message, token: token).status }
        func held() async throws -> UInt64 {
            let answer: CheckResponse = try await test.call(
                .checkAndReserve, asking(1), token: boss
            ).decoded()
            return answer.reservationID
        }
        #expect(try await status(.checkAndReserve, asking(0)) == who.charge)
        let usage = RecordUsageRequest(tenantID: "acme", quantities: [Quantity(.extensions, 0)])
        #expect(try await status(.recordUsage, usage) == who.charge)
        #expect(try await status(.getUsage, UsageRequest(tenantID: "acme")) == who.read)

        let id = try await held()
        let extend = ExtendRequest(reservationID: id, ttlMilliseconds: 5_000)
        #expect(try await status(.extend, extend) == who.settle)
        #expect(try await status(.commit, CommitRequest(reservationID: id)) == who.settle)
        let other = try await held()
        #expect(try await status(.release, ReleaseRequest(reservationID: other)) == who.settle)
        // What was refused has changed nothing.
        let expected: [Int64] = who.settle == 0 ? [1, 0] : [0, 2]
        #expect(try await test.extensions(token: boss) == expected)

        let batch = try await test.call(
            .checkAndReserveBatch, CheckBatchRequest([asking(0)]), token: token)
        let stream = try await test.client.finish(
            test.begin(.checkAndReserveStream, [asking(0)], token: token))
        guard let entry = who.entry else {
            #expect(batch.status == who.charge && stream.status == who.charge)
            return await test.stop()
        }
        let response: CheckBatchResponse = try batch.decoded()
        #expect(response.results.map(\.statusCode) == [entry])
        let streamed: CheckResponse = try stream.decoded()
        #expect(streamed.statusCode == entry && stream.status == 0)
        await test.stop()
    }

    @Test func failuresCarryTheirCodes() async throws {
        let (test, _) = try await server()
        let nobody = try await test.call(.getUsage, UsageRequest(tenantID: "acme"))
        #expect(nobody.status == Self.unauthenticated && !nobody.details.isEmpty)
        // Who nobody is not told what is wrong with the request.
        #expect(try await test.call(.checkAndReserve, asking(-1)).status == Self.unauthenticated)
        let check = try test.token(.check, ["other"])
        let batch: CheckBatchResponse = try await test.call(
            .checkAndReserveBatch, CheckBatchRequest([asking(1), asking(1, tenant: "other")]),
            token: check
        ).decoded()
        #expect(batch.results[0].errors.first?.code == "10010")
        #expect(batch.results[1].response?.decision == .allowed)
        // Unknown tenants read as others do.
        let unknown = try await test.call(
            .checkAndReserve, asking(1, tenant: "unknown"), token: check)
        #expect(unknown.status == Self.denied)
        await test.stop()
    }

    @Test func anotherTenantsReservationReadsAsNone() async throws {
        let (test, boss) = try await server()
        let held: CheckResponse = try await test.call(
            .checkAndReserve, asking(1), token: boss
        ).decoded()
        let token = try test.token(.check, ["other"])
        let theirs = try await test.call(
            .commit, CommitRequest(reservationID: held.reservationID), token: token)
        let none = try await test.call(
            .commit, CommitRequest(reservationID: 12_345), token: token)
        #expect(theirs == none && theirs.status == Self.notFound)
        await test.stop()
    }

    /// A caller that says whose reservation it settles settles no other tenant's, whatever its token allows.
    @Test(arguments: [Caller.Scope.operator, .check])
    func aReservationTakenForAnotherTenantsReadsAsNone(_ scope: Caller.Scope) async throws {
        let (test, boss) = try await server()
        let token = try test.token(scope)
        let held: CheckResponse = try await test.call(
            .checkAndReserve, asking(1), token: boss
        ).decoded()
        let id = held.reservationID
        func statuses(_ tenant: String) async throws -> [Int32] {
            let calls: [(LimitServiceMethod, any RequestMessage)] = [
                (.extend, ExtendRequest(reservationID: id, tenantID: tenant)),
                (.release, ReleaseRequest(reservationID: id, tenantID: tenant)),
                (.commit, CommitRequest(reservationID: id, tenantID: tenant)),
            ]
            var statuses: [Int32] = []
            for (method, request) in calls {
                statuses.append(try await test.call(method, request, token: token).status)
            }
            return statuses
        }
        for tenant in ["other", "unknown", "acm", "acme "] {
            #expect(try await statuses(tenant) == [Self.notFound, Self.notFound, Self.notFound])
        }
        #expect(try await test.extensions(token: boss) == [0, 1])
        // The release settles it: a commit comes too late.
        let precondition = Int32(GRPCCode.failedPrecondition.rawValue)
        #expect(try await statuses("acme") == [0, 0, precondition])
        await test.stop()
    }

    @Test func aRevokedTokenIsRefusedAtTheNextCall() async throws {
        let (test, _) = try await server()
        let (token, secret) = try test.authority.create(
            name: "x", scope: .check, tenantIDs: ["acme"])
        let stream = try test.begin(
            .checkAndReserveStream, [asking(1)], finished: false, token: secret)
        try await test.client.pump { test.client.reply(stream).messages.count == 1 }
        #expect(try await test.call(.checkAndReserve, asking(1), token: secret).status == 0)
        #expect(try test.authority.revoke(token.id))
        #expect(
            try await test.call(.checkAndReserve, asking(1), token: secret).status
                == Self.unauthenticated)
        test.client.send(stream, TestClient.framed(asking(1).encoded()), finished: true)
        let reply = try await test.client.finish(stream)
        #expect(reply.status == Self.unauthenticated && reply.messages.count == 1)
        await test.stop()
    }

    @Test func anExpiredTokenIsRefusedWithinASecond() async throws {
        let (test, _) = try await server()
        test.gate.freeze()
        let expiresAt = test.engine.clock.now + 10_000
        let (_, secret) = try test.authority.create(
            name: "x", scope: .check, tenantIDs: [], expiresAt: expiresAt)
        #expect(try await test.call(.checkAndReserve, asking(1), token: secret).status == 0)
        test.gate.advance(.seconds(11))
        #expect(
            try await test.call(.checkAndReserve, asking(1), token: secret).status
                == Self.unauthenticated)
        await test.stop()
    }

    /// More callers than are remembered, in turns, are each told apart.
    @Test func manyCallers() async throws {
        let (test, _) = try await server()
        let count = Callers.capacity + 8
        let tokens = try (0..<count).map {
            try test.token(.check, [$0 % 2 == 0 ? "acme" : "other"])
        }
        for _ in 0..<2 {
            for (number, token) in tokens.enumerated() {
                let status = try await test.call(.checkAndReserve, asking(0), token: token).status
                #expect(status == (number % 2 == 0 ? 0 : Self.denied))
            }
        }
        let long = String(repeating: "x", count: Callers.longestValue + 1)
        #expect(
            try await test.call(.checkAndReserve, asking(0), token: long).status
                == Self.unauthenticated)
        await test.stop()
    }

    @Test func recordsSayOnWhoseBehalf() async throws {
        let test = try await LimitServer(isOpen: false, ringWords: 1 << 12)
        let (token, secret) = try test.authority.create(
            name: "dialler", scope: .check, tenantIDs: ["acme"])
        #expect(try await test.call(.checkAndReserve, asking(1), token: secret).status == 0)
        let ring = test.engine.rings[1]
        var callers: [UInt64] = []
        var position: UInt64 = 0
        var record = Record(.reserved)
        while position < ring.published {
            let words = (0..<UInt64(RecordWords.count(ring[position]))).map { ring[position + $0] }
            try words.withUnsafeBufferPointer { try record.read($0) }
            // On a slow machine the hold expires meanwhile, which is on nobody's behalf.
            if record.kind == .reserved { callers.append(record.caller) }
            position += UInt64(words.count)
        }
        #expect(callers == [token.number])
        await test.stop()
    }

    @Test(arguments: [false, true]) func tenantsSeeWhatIsTheirs(discloses: Bool) async throws {
        let (test, boss) = try await server()
        var limits = TenantLimits()
        limits.monthlySpendNanos = 7
        limits.autoSuspend = true
        try test.engine.setTenant(
            TenantSettings(id: "white", limits: limits, disclosesLimits: discloses))
        try test.engine.setProfile(
            ProfileSettings(
                id: "sms", tenantID: "white", dailySpendLimitEnabled: true,
                dailySpendLimitNanos: 5))
        let request = UsageRequest(tenantID: "white", messagingProfileID: "sms")
        let tenant = try test.token(.tenant, ["white"])
        let seen: UsageResponse = try await test.call(.getUsage, request, token: tenant).decoded()
        let all: UsageResponse = try await test.call(.getUsage, request, token: boss).decoded()
        let spend = try #require(seen.state(.tenantMonthlySpend))
        let hides = !discloses
        #expect(spend.capIsHidden == hides && (spend.cap == nil) == hides)
        #expect((spend.resetsAtMilliseconds == 0) == hides)
        #expect(spend.isBlocking == discloses)
        let profile = try #require(seen.state(.profileDailySpend))
        #expect(profile.cap == 5 && profile.isBlocking && profile.resetsAtMilliseconds != 0)
        let full = try #require(all.state(.tenantMonthlySpend))
        #expect(full.cap == 7 && !full.capIsHidden)
        await test.stop()
    }

    @Test func idSetsHoldWhatTheyWereMadeOf() {
        let ids = Set((0..<1_000).map { "tenant-\($0)-of-many" } + ["", "a", "abcdefgh"])
        let set = IDSet(Set(ids.map { Identifier($0) }))
        for id in ids where !id.isEmpty {
            #expect(Array(id.utf8).withUnsafeBytes { set.contains($0) })
        }
        for id in ["", "b", "tenant-1000-of-many", "abcdefghi", "abcdefg"] {
            #expect(!Array(id.utf8).withUnsafeBytes { set.contains($0) })
        }
        #expect(!Array("a".utf8).withUnsafeBytes { IDSet([]).contains($0) })
    }
}

extension UsageResponse {
    fileprivate func state(_ kind: LimitKind) -> LimitReport? {
        limits.first { $0.limit == kind }
    }
}

extension LimitServer {
    /// Makes a token; its secret.
    func token(_ scope: Caller.Scope, _ tenants: [String] = []) throws -> String {
        try authority.create(name: "\(scope)", scope: scope, tenantIDs: tenants).secret
    }

    /// Extensions of acme, committed and held, as a token sees them.
    func extensions(token: String) async throws -> [Int64] {
        let usage: UsageResponse = try await call(
            .getUsage, UsageRequest(tenantID: "acme"), token: token
        ).decoded()
        return usage.limits.filter { $0.limit == .tenantExtensions }
            .flatMap { [$0.committed, $0.held] }
    }
}
