import Access
import Engine
import Synchronization
import Testing

@testable import OperatorPage

struct SessionTests {
    private let authority: TokenAuthority
    private let clock = TestClock()

    init() throws { authority = try TokenAuthority(Engine(), isOpen: false) }

    private func store(life: Int64 = 1_000, maximum: Int = 10) -> SessionStore {
        SessionStore(authority, life: life, maximum: maximum) { [clock] in clock.now }
    }

    @Test func anOperatorsTokenOpensASession() throws {
        let (_, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let store = store()
        let session = try #require(store.logIn(token: secret))
        #expect(store.session(session.id)?.caller.name == "ann")
        #expect(session.id.count == 43 && session.csrf.count == 43)
        #expect(session.id != session.csrf)
    }

    @Test(arguments: ["", "tg_wrong", "Bearer x"])
    func anythingElseOpensNone(token: String) {
        #expect(store().logIn(token: token) == nil)
    }

    @Test func aViewersTokenOpensOne() throws {
        let (_, secret) = try authority.create(name: "eve", scopes: .viewer, tenantIDs: [])
        let session = try #require(store().logIn(token: secret))
        #expect(session.caller.scopes == .viewer && !session.caller.may(.change))
    }

    @Test(arguments: [Caller.Scope.check, .tenant, .admin, .reports, .metrics])
    func aTokenOfAnotherScopeOpensNone(scope: Caller.Scope) throws {
        let (_, secret) = try authority.create(name: "x", scope: scope, tenantIDs: ["acme"])
        #expect(store().logIn(token: secret) == nil)
    }

    @Test func aSessionEndsWithItsTime() throws {
        let (_, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let store = store()
        let session = try #require(store.logIn(token: secret))
        clock.advance(999)
        #expect(store.session(session.id) != nil)
        clock.advance(1)
        #expect(store.session(session.id) == nil)
    }

    @Test func aSessionEndsWithItsToken() throws {
        let (token, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let (_, other) = try authority.create(name: "bob", scope: .operator, tenantIDs: [])
        let store = store()
        let ann = try #require(store.logIn(token: secret))
        let bob = try #require(store.logIn(token: other))
        #expect(try authority.revoke(token.id))
        #expect(store.session(ann.id) == nil)
        #expect(store.session(bob.id) != nil)
    }

    @Test func aSessionEndsWhenItsTokenExpires() throws {
        // Far behind the time of the authority's own clock.
        let end: Int64 = 1 << 50
        let (_, secret) = try authority.create(
            name: "ann", scope: .operator, tenantIDs: [], expiresAt: end)
        let store = store(life: 1 << 55)
        let session = try #require(store.logIn(token: secret))
        clock.advance(end - clock.now - 1)
        #expect(store.session(session.id) != nil)
        clock.advance(1)
        #expect(store.session(session.id) == nil)
    }

    @Test func aSessionEndsWithTheLogOut() throws {
        let (_, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let store = store()
        let session = try #require(store.logIn(token: secret))
        store.logOut(session.id)
        #expect(store.session(session.id) == nil)
    }

    @Test func theOldestGivesWay() throws {
        let (_, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let store = store(maximum: 2)
        let sessions = try (0..<3).map { _ in
            defer { clock.advance(1) }
            return try #require(store.logIn(token: secret))
        }
        #expect(store.session(sessions[0].id) == nil)
        #expect(store.session(sessions[1].id) != nil)
        #expect(store.session(sessions[2].id) != nil)
    }

    @Test func onlyTheWholeTokenAllowsAChange() throws {
        let (_, secret) = try authority.create(name: "ann", scope: .operator, tenantIDs: [])
        let session = try #require(store().logIn(token: secret))
        #expect(session.allowsChange(with: session.csrf))
        #expect(!session.allowsChange(with: nil))
        #expect(!session.allowsChange(with: ""))
        #expect(!session.allowsChange(with: String(session.csrf.dropLast())))
        #expect(!session.allowsChange(with: session.csrf + "a"))
        #expect(!session.allowsChange(with: session.id))
    }

    @Test func failuresOfAnAddressAreCounted() {
        let logIns = LogInGuard(maximum: 2, maximumAddresses: 2)
        #expect(logIns.fail("a", now: 0))
        #expect(logIns.fail("a", now: 1))
        #expect(!logIns.fail("a", now: 59_999))
        #expect(logIns.fail("b", now: 2))
        #expect(logIns.fail("a", now: 60_000))
    }

    @Test func noMoreAddressesThanAllowedAreRemembered() {
        let logIns = LogInGuard(maximum: 1, maximumAddresses: 2)
        #expect(logIns.fail("a", now: 0))
        #expect(logIns.fail("b", now: 1))
        #expect(logIns.fail("c", now: 2))
        #expect(logIns.fail("a", now: 3))
        #expect(!logIns.fail("c", now: 4))
    }
}

/// A clock that tests move.
final class TestClock: Sendable {
    private let milliseconds = Atomic<Int64>(1_000_000)
    var now: Int64 { milliseconds.load(ordering: .relaxed) }
    func advance(_ time: Int64) { milliseconds.add(time, ordering: .relaxed) }
}
