import Engine
import Foundation
import Limits
import Reservations
import Synchronization
import Testing

@testable import Access

/// Who is let in, and what is kept of it.
@Suite struct AdmissionTests {
    /// The wall clock and the monotonic one of a test.
    private final class Clocks: Sendable {
        let wall = Mutex<Double>(1_000_000)
        let monotonic = Mutex<UInt64>(1)
    }

    private let engine: Engine
    private let clocks = Clocks()

    init() throws {
        var configuration = EngineConfiguration()
        configuration.capacity.tenants = 16
        configuration.capacity.profiles = 16
        configuration.capacity.reservations = 1_024
        configuration.capacity.keys = 1_024
        engine = try Engine(configuration: configuration)
    }

    private func authority(rate: Int? = nil) throws -> TokenAuthority {
        try TokenAuthority(
            engine, isOpen: false, rate: rate, wall: { [clocks] in clocks.wall.withLock { $0 } },
            monotonic: { [clocks] in clocks.monotonic.withLock { $0 } })
    }

    private func admission(
        _ authority: TokenAuthority, _ secret: String, _ certificate: CertificateNames? = nil
    ) -> Admission? {
        let verdict = authority.judge(
            authorization: secret.isEmpty ? "" : "Bearer \(secret)", certificate: certificate,
            from: "192.0.2.1")
        if case .admitted(let admission) = verdict { return admission }
        return nil
    }

    private static let switches = CertificateNames(
        dnsNames: [], uris: ["spiffe://example.org/switch"])
    private static let rules = Identities(certificates: [
        CertificateRule(name: "spiffe://example.org/switch", scopes: .check, tenants: ["acme"])
    ])

    // MARK: Certificates

    @Test func aCertificateIsItsRules() throws {
        let authority = try authority()
        #expect(admission(authority, "", Self.switches) == nil)
        let generation = authority.generation
        authority.set(Self.rules)
        #expect(authority.generation != generation)
        let caller = try #require(admission(authority, "", Self.switches)).caller
        #expect(caller.scopes == .check && caller.tenants == ["acme"])
        #expect(caller.name == "spiffe://example.org/switch")
        authority.set(Identities())
        #expect(admission(authority, "", Self.switches) == nil)
        #expect(authority.attempts.counts == [.unknownCertificate: 2])
    }

    /// A token that is there is the one that counts, good or bad.
    @Test func theTokenCountsBeforeTheCertificate() throws {
        let authority = try authority()
        authority.set(Self.rules)
        let (token, secret) = try authority.create(name: "x", scopes: .viewer, tenantIDs: [])
        #expect(admission(authority, secret, Self.switches)?.caller.number == token.number)
        #expect(admission(authority, "tg_wrong", Self.switches) == nil)
        #expect(admission(authority, "a.b.c", Self.switches) == nil)
        for odd in ["Basic eDp5", "Bearer", "x"] {
            let verdict = authority.judge(
                authorization: odd, certificate: Self.switches, from: "192.0.2.1")
            guard case .nobody = verdict else {
                Issue.record("\(odd) is nobody's")
                continue
            }
        }
    }

    // MARK: Rates

    @Test func rates() throws {
        let authority = try authority(rate: 100)
        authority.set(
            Identities(certificates: [
                CertificateRule(name: "a.example.org", scopes: .check),
                CertificateRule(name: "b.example.org", scopes: .check, rate: 7),
            ]))
        let usual = try authority.create(name: "usual", scopes: .check, tenantIDs: []).secret
        let own = try authority.create(name: "own", scopes: .check, tenantIDs: [], rate: 5).secret
        func rate(_ secret: String, _ name: String? = nil) -> CallerRate? {
            let names = name.map { CertificateNames(dnsNames: [$0], uris: []) }
            return admission(authority, secret, names)?.rate
        }
        #expect(rate(usual)?.perSecond == 100 && rate(own)?.perSecond == 5)
        #expect(rate("", "a.example.org")?.perSecond == 100)
        #expect(rate("", "b.example.org")?.perSecond == 7)
        // One bucket for a caller, wherever it asks.
        #expect(rate(own) === rate(own) && rate("", "b.example.org") === rate("", "b.example.org"))
        #expect(try self.authority().judgeRate(usual) == nil)
        // And after a start.
        #expect(try self.authority(rate: 9).judgeRate(own) == 5)
    }

    // MARK: Failures

    @Test func failuresAreCountedAndKept() throws {
        let authority = try authority()
        let expired = try authority.create(
            name: "x", scopes: .check, tenantIDs: [], expiresAt: 1
        ).secret
        let told = Mutex<[String]>([])
        authority.attempts.onFirst { failure, address in
            told.withLock { $0.append("\(address): \(failure.rawValue)") }
        }
        for secret in ["", "tg_wrong", "tg_wrong", expired, "a.b.c"] {
            #expect(admission(authority, secret) == nil)
        }
        #expect(
            authority.attempts.counts
                == [.noToken: 1, .unknownToken: 2, .expiredToken: 1, .unknownIssuer: 1])
        #expect(told.withLock { $0 } == ["192.0.2.1: no token"])
        // The minute is not over.
        #expect(authority.keepAttempts() == nil && engine.setting("failed-attempts") == nil)
        // Unless it is the last.
        let minute = try #require(authority.keepAttempts(isLast: true))
        #expect(minute.count == 5 && minute.addresses == 1)
        let kept = try #require(engine.setting("failed-attempts"))
        #expect(kept.contains("192.0.2.1: 5 (unknown issuer)"))
        #expect(authority.keepAttempts(isLast: true) == nil)
        // The quiet way counts nothing.
        #expect(authority.caller(authorization: "Bearer tg_wrong") == nil)
        #expect(authority.attempts.counts.values.reduce(0, +) == 5)
    }

    /// Whoever fails all the time has little looked into, and may come again; others have.
    @Test func patience() throws {
        let authority = try authority()
        authority.set(
            Identities(issuers: [
                Issuer(name: "i", audiences: ["a"], keys: .file("f"), scopes: .check)
            ]))
        func verdict(_ secret: String = "a.b.c", from address: String = "192.0.2.1") -> String {
            switch authority.judge(authorization: "Bearer \(secret)", from: address) {
            case .admitted: "admitted"
            case .nobody: "nobody"
            case .later: "later"
            }
        }
        // What fails without a look is told, and takes nobody's.
        for _ in 0..<500 { #expect(verdict("tg_wrong") == "nobody") }
        for _ in 0..<LookBudget.failures { #expect(verdict() == "nobody") }
        #expect(verdict() == "later" && verdict(from: "192.0.2.2") == "nobody")
        clocks.monotonic.withLock { $0 += 1_000_000_000 }
        for _ in 0..<LookBudget.failuresPerSecond { #expect(verdict() == "nobody") }
        #expect(verdict() == "later")
    }

    // MARK: Records

    @Test func lastUses() throws {
        let authority = try authority()
        let (token, secret) = try authority.create(name: "x", scopes: .check, tenantIDs: [])
        let setting = "token-use/\(token.id)"
        #expect(authority.lastUses.isEmpty)
        authority.keepUses()
        #expect(engine.setting(setting) == nil)
        let before = engine.clock.now / 60_000
        #expect(admission(authority, secret) != nil)
        let use = try #require(authority.lastUses[token.id])
        #expect(use % 60_000 == 0 && use / 60_000 >= before)
        #expect(engine.setting(setting) == nil)
        authority.keepUses()
        #expect(engine.setting(setting) == "\(use / 60_000)")
        // It survives a start, and goes with the token.
        #expect(try self.authority().lastUses == [token.id: use])
        #expect(try authority.revoke(token.id))
        authority.keepUses()
        #expect(engine.setting(setting) == nil && authority.lastUses.isEmpty)
    }

    @Test func namesOfOthers() throws {
        let authority = try authority()
        authority.set(Self.rules)
        let caller = try #require(admission(authority, "", Self.switches)).caller
        authority.keepUses()
        let found = engine.settings(prefix: NamedIdentity.settingPrefix)
        let value = try #require(found.first?.value)
        let identity = try JSONDecoder().decode(NamedIdentity.self, from: Data(value.utf8))
        #expect(found.count == 1 && identity.number == caller.number)
        #expect(identity.name == caller.name && identity.scope == .check)
        // Once: not again by the same, nor after a start.
        let again = try self.authority()
        again.set(Self.rules)
        #expect(admission(again, "", Self.switches) != nil)
        again.keepUses()
        #expect(engine.settings(prefix: NamedIdentity.settingPrefix) == found)
    }

    /// What somebody is called may change, and is on record once for each change.
    @Test func namesThatChange() throws {
        var known = KnownByName(engine)
        var caller = Caller(number: 7, name: "caf\u{e9}", scopes: .check)
        func met() -> [String] {
            for _ in 0..<3 { _ = known.meet(caller, perSecond: nil, now: 1) }
            return known.takeNew().map(\.name)
        }
        #expect(met() == ["caf\u{e9}"] && met().isEmpty)
        caller.name = "cafe\u{301}"
        #expect(met().count == 1 && met().isEmpty)
        caller.scopes = .viewer
        #expect(met().count == 1 && met().isEmpty)
    }

    @Test func buckets() throws {
        var known = KnownByName(engine)
        func caller(_ number: Int) -> Caller {
            Caller(number: UInt64(number), name: "\(number)", scopes: .check)
        }
        let first = known.meet(caller(1), perSecond: 1, now: 1)
        #expect(first?.take(now: 1) == true)
        for number in 2...(2 * KnownByName.maximumRates) {
            _ = known.meet(caller(number), perSecond: 1, now: 1)
        }
        // Full ones went first: a bucket that is empty stays empty.
        #expect(known.meet(caller(1), perSecond: 1, now: 1)?.take(now: 1) == false)
        // Names are taken in portions, and bounded.
        var names = 0
        while case let taken = known.takeNew(), !taken.isEmpty {
            #expect(taken.count <= KnownByName.namesAtOnce)
            names += taken.count
        }
        #expect(names == KnownByName.maximumNames)
    }
}

extension TokenAuthority {
    fileprivate func judgeRate(_ secret: String) -> Int? {
        guard
            case .admitted(let admission) = judge(
                authorization: "Bearer \(secret)", from: "192.0.2.1")
        else { return -1 }
        return admission.rate?.perSecond
    }
}
