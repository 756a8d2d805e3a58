import Access
import Engine
import Foundation
import Limits
import NIOCore
import Synchronization
import Testing
import Wire

@testable import GRPCServer

/// Scopes, rates and what tenants are told, over gRPC.
@Suite struct RightsTests {
    private static func code(_ code: GRPCCode) -> Int32 { Int32(code.rawValue) }

    /// What can be read in `grpc-status-details-bin`.
    private static func text(_ details: String) -> String {
        let padding = String(repeating: "=", count: (4 - details.count % 4) % 4)
        return String(decoding: Data(base64Encoded: details + padding) ?? Data(), as: UTF8.self)
    }

    private func token(
        _ test: LimitServer, _ scopes: Scopes, rate: Int? = nil
    ) throws -> String {
        let tenants = scopes.contains(.tenant) ? ["acme"] : []
        return try test.authority.create(
            name: "x", scopes: scopes, tenantIDs: tenants, rate: rate
        ).secret
    }

    private static func message(_ method: LimitServiceMethod) -> any RequestMessage {
        switch method {
        case .checkAndReserve, .checkAndReserveStream: asking(0)
        case .checkAndReserveBatch: CheckBatchRequest([asking(0)])
        case .commit: CommitRequest(reservationID: 1)
        case .release: ReleaseRequest(reservationID: 1)
        case .extend: ExtendRequest(reservationID: 1)
        case .recordUsage:
            RecordUsageRequest(tenantID: "acme", quantities: [Quantity(.extensions, 0)])
        case .getUsage: UsageRequest(tenantID: "acme")
        case .watchUsage: WatchUsageRequest(tenantID: "acme")
        }
    }

    /// Every method, asked with every scope by itself.
    @Test(arguments: Caller.Scope.allCases) func everyMethod(scope: Caller.Scope) async throws {
        let test = try await LimitServer(isOpen: false)
        let token = try token(test, Scopes(scope))
        for method in LimitServiceMethod.allCases where method != .watchUsage {
            let status = try await test.client.finish(
                test.begin(method, [Self.message(method)], token: token)
            ).status
            let right: Right = method == .getUsage ? .readUsage : .charge
            #expect(LimitService.right(of: method) == right)
            let isLetIn = right.scopes.contains(Scopes(scope))
            #expect((status != Self.code(.permissionDenied)) == isLetIn, "\(method)")
        }
        for (tenant, right) in [("acme", Right.readUsage), ("", .watchEverything)] {
            let call = try test.begin(
                .watchUsage, [WatchUsageRequest(tenantID: tenant)], token: token)
            // What was sent before it is there when this is answered.
            _ = try await test.call(.getUsage, UsageRequest(tenantID: ""))
            let reply = test.client.reply(call)
            let isLetIn = right.scopes.contains(Scopes(scope))
            #expect(reply.isEnded == !isLetIn, "watching \(tenant)")
            if !isLetIn { #expect(reply.status == Self.code(.permissionDenied)) }
        }
        await test.stop()
    }

    // MARK: Rates

    @Test func whoIsTooFastIsRefused() async throws {
        let test = try await LimitServer(isOpen: false, isFrozen: true)
        let token = try token(test, .check, rate: 4)
        func ask() async throws -> TestClient.Reply {
            try await test.call(.checkAndReserve, asking(0), token: token)
        }
        for _ in 0..<4 { #expect(try await ask().status == 0) }
        let refused = try await ask()
        #expect(refused.status == Self.code(.resourceExhausted))
        let details = Self.text(refused.details)
        #expect(details.contains("10011") && details.contains("google.rpc.RetryInfo"))
        // What is refused is not paid for: a quarter of a second earns one.
        test.gate.advance(.milliseconds(250))
        #expect(try await ask().status == 0)
        #expect(try await ask().status == Self.code(.resourceExhausted))
        #expect(test.authority.hurried == 2)
        // Another caller is not slowed down.
        let other = try self.token(test, .check)
        for _ in 0..<10 {
            #expect(
                try await test.call(.checkAndReserve, asking(0), token: other).status == 0)
        }
        await test.stop()
    }

    /// Entries of batches and messages of streams are calls too.
    @Test func batchesAndStreamsCount() async throws {
        let test = try await LimitServer(isOpen: false, isFrozen: true)
        let token = try token(test, .check, rate: 4)
        let batch = CheckBatchRequest((0..<6).map { _ in asking(0) })
        func batched() async throws -> Int32 {
            try await test.call(.checkAndReserveBatch, batch, token: token).status
        }
        // A batch that is begun is done; what is beyond the second is owed.
        #expect(try await batched() == 0)
        #expect(try await batched() == Self.code(.resourceExhausted))
        test.gate.advance(.milliseconds(500))
        #expect(try await batched() == Self.code(.resourceExhausted))
        test.gate.advance(.milliseconds(250))
        #expect(try await batched() == 0)
        // So is what the second one took, though nothing was there but the call that let it in.
        test.gate.advance(.milliseconds(1_250))
        #expect(try await batched() == Self.code(.resourceExhausted))
        test.gate.advance(.milliseconds(250))
        #expect(try await batched() == 0)
        // Whoever owes has a stream's messages refused too.
        func streamed() async throws -> Int32 {
            let reply = try await test.client.finish(
                test.begin(.checkAndReserveStream, [asking(0)], token: token))
            return try (reply.decoded(0) as CheckResponse).statusCode
        }
        test.gate.advance(.milliseconds(1_250))
        #expect(try await streamed() == Self.code(.resourceExhausted))
        test.gate.advance(.milliseconds(250))
        #expect(try await streamed() == 0)
        test.gate.advance(.seconds(3))
        let stream = try await test.client.finish(
            test.begin(
                .checkAndReserveStream, (0..<6).map { _ in asking(0) }, token: token))
        #expect(stream.status == 0 && stream.messages.count == 6)
        let codes = try (0..<6).map { try (stream.decoded($0) as CheckResponse).statusCode }
        #expect(
            codes == [0, 0, 0, 0] + [Int32](repeating: Self.code(.resourceExhausted), count: 2))
        await test.stop()
    }

    // MARK: Others' word

    /// Web tokens that cannot be judged yet: the caller may come again, and earns nothing meanwhile.
    @Test func laterIsUnavailable() async throws {
        let test = try await LimitServer(isOpen: false)
        test.authority.set(
            Identities(issuers: [
                Issuer(name: "i", audiences: ["a"], keys: .file("f"), scopes: .check)
            ]))
        func part(_ text: String) -> String {
            Data(text.utf8).base64EncodedString().replacingOccurrences(of: "=", with: "")
        }
        let claims = """
            {"iss":"i","aud":"a","exp":99999999999,"scope":"check","tenants":["acme"],\
            "more":"\(String(repeating: "x", count: 1_500))"}
            """
        let token = "\(part(#"{"alg":"ES256"}"#)).\(part(claims)).AAAA"
        let reply = try await test.call(.checkAndReserve, asking(0), token: token)
        #expect(reply.status == Self.code(.unavailable))
        #expect(Self.text(reply.details).contains("RetryInfo"))
        // One that is longer than any is nobody's.
        let long = try await test.call(
            .checkAndReserve, asking(0), token: String(repeating: "x.", count: 2_500))
        #expect(long.status == Self.code(.unauthenticated))
        await test.stop()
    }

    /// The certificate of a connection, as the event loop remembers it.
    @Test func certificates() throws {
        let engine = try Engine()
        let asked = Atomic(0)
        let authority = try TokenAuthority(
            engine, isOpen: false,
            monotonic: {
                asked.add(1, ordering: .relaxed)
                return 1
            })
        let callers = Callers(authority)
        let peer = CertifiedPeer(
            CertificateNames(dnsNames: ["switch.example.org"], uris: []))
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        func number(at now: UInt64) -> UInt64? {
            callers.find(none, certified: peer, nowNanoseconds: now, from: "192.0.2.1")?
                .pointee.number
        }
        #expect(number(at: 1) == nil && callers.refusal.code == .unauthenticated)
        #expect(authority.attempts.counts == [.unknownCertificate: 1])
        authority.set(
            Identities(certificates: [
                CertificateRule(name: "switch.example.org", scopes: .check, tenants: ["acme"])
            ]))
        let known = number(at: 1)
        #expect(known != nil && number(at: 2) == known && number(at: 5_000_000_000) == known)
        // The authority was asked once, not every second.
        #expect(asked.load(ordering: .relaxed) == 1)
        // It is nobody's from the next call on.
        authority.set(Identities())
        #expect(number(at: 5_000_000_001) == nil)
        // Another connection of the loop has nothing of it.
        #expect(
            callers.find(none, certified: nil, nowNanoseconds: 1, from: "192.0.2.1") == nil)
    }

    // MARK: White label

    /// A tenant's own switch charges, and learns no more of its provider's limits than the tenant does.
    @Test(arguments: [false, true]) func aTenantsOwnDataPlane(discloses: Bool) async throws {
        let test = try await LimitServer(isOpen: false)
        try test.engine.setTenant(
            TenantSettings(
                id: "white", limits: TenantLimits(maxExtensions: 2), disclosesLimits: discloses))
        let own = try test.authority.create(
            name: "x", scopes: [.check, .tenant], tenantIDs: ["white"]
        ).secret
        let request = asking(5, tenant: "white")
        let code = discloses ? "49002" : "20012"
        let answer: CheckResponse = try await test.call(
            .checkAndReserve, request, token: own
        ).decoded()
        #expect(answer.decision == .denied && answer.errors.map(\.code) == [code])
        let status = try await test.call(.checkAndReserve, request, deny: true, token: own)
        let expected: GRPCCode = discloses ? .resourceExhausted : .failedPrecondition
        #expect(status.status == Self.code(expected))
        #expect(Self.text(status.details).contains(code))
        let batch: CheckBatchResponse = try await test.call(
            .checkAndReserveBatch, CheckBatchRequest([request]), token: own
        ).decoded()
        #expect(batch.results[0].response?.errors.map(\.code) == [code])
        let stream: CheckResponse = try await test.client.finish(
            test.begin(.checkAndReserveStream, [request], token: own)
        ).decoded()
        #expect(stream.errors.map(\.code) == [code])

        let held: CheckResponse = try await test.call(
            .checkAndReserve, asking(1, tenant: "white"), token: own
        ).decoded()
        #expect(held.decision == .allowed)
        let more: ExtendResponse = try await test.call(
            .extend,
            ExtendRequest(
                reservationID: held.reservationID, additional: [Quantity(.extensions, 5)]),
            token: own
        ).decoded()
        #expect(more.errors.map(\.code) == [code])
        let usage: UsageResponse = try await test.call(
            .getUsage, UsageRequest(tenantID: "white"), token: own
        ).decoded()
        let extensions = usage.limits.first { $0.limit == .tenantExtensions }
        #expect(extensions?.capIsHidden == !discloses && (extensions?.cap == 2) == discloses)
        // Whoever is not bound to see less sees all.
        let boss = try token(test, .operator)
        let full: CheckResponse = try await test.call(
            .checkAndReserve, request, token: boss
        ).decoded()
        #expect(full.errors.map(\.code) == ["49002"])
        await test.stop()
    }
}
