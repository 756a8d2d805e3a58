import Access
import Engine
import Limits
import Reservations
import Synchronization
import Testing

@Suite struct TokenAuthorityTests {
    private func authority() throws -> TokenAuthority {
        var configuration = EngineConfiguration()
        configuration.capacity.tenants = 16
        configuration.capacity.profiles = 16
        configuration.capacity.reservations = 1_024
        configuration.capacity.keys = 1_024
        return try TokenAuthority(try Engine(configuration: configuration), isOpen: false)
    }

    @Test func aTokenIsWhoItWasMadeFor() throws {
        let authority = try authority()
        let (token, secret) = try authority.create(
            name: "dialler", scope: .check, tenantIDs: ["acme"])
        let caller = try #require(authority.caller(authorization: "Bearer \(secret)"))
        #expect(caller.number == token.number)
        #expect(caller.number != 0)
        #expect(caller.mayCharge("acme"))
        #expect(!caller.mayCharge("other"))
        #expect(!caller.isOperator)
        #expect(authority.caller(authorization: "bearer  \(secret)") == caller)
        for wrong in ["", "Bearer", "Bearer ", "Basic \(secret)", "Bearer \(secret)x", secret] {
            #expect(authority.caller(authorization: wrong) == nil)
        }
    }

    /// Ids are bytes: a token for two spellings is for two tenants, and one for one of them not for the other.
    @Test func spellingsAreTwoTenants() throws {
        let authority = try authority()
        let (one, other) = ("caf\u{e9}", "cafe\u{301}")
        let both = try authority.create(name: "both", scope: .check, tenantIDs: [one, other])
        let caller = try #require(authority.caller(secret: both.secret))
        #expect(caller.tenants?.count == 2 && caller.mayCharge(one) && caller.mayCharge(other))
        let single = try authority.create(name: "one", scope: .tenant, tenantIDs: [one])
        let reader = try #require(authority.caller(secret: single.secret))
        #expect(reader.mayRead(one) && !reader.mayRead(other))
    }

    @Test func aRevokedTokenIsNobody() throws {
        let authority = try authority()
        let (token, secret) = try authority.create(name: "x", scope: .operator, tenantIDs: [])
        let generation = authority.generation
        #expect(try authority.revoke(token.id))
        #expect(authority.caller(secret: secret) == nil)
        #expect(authority.generation != generation)
        #expect(try authority.tokens.isEmpty)
        #expect(try !authority.revoke(token.id))
    }

    /// A second one would take the first one's place in the list, and leave it open.
    @Test func anIDIsOneTokens() throws {
        let authority = try authority()
        let id = "0f0e0d0c-0b0a-8908-8706-050403020100"
        func create() throws -> String {
            try authority.create(id: id, name: "x", scope: .operator, tenantIDs: []).secret
        }
        let secret = try create()
        let error = #expect(throws: EngineError.self) { try create() }
        #expect(error?.code == .conflict)
        #expect(try authority.tokens.count == 1 && authority.caller(secret: secret) != nil)
        #expect(try authority.revoke(id))
        #expect(authority.caller(secret: secret) == nil)
        // Revoked, it is free again.
        let next = try create()
        #expect(authority.caller(secret: next) != nil && authority.caller(secret: secret) == nil)
    }

    private final class Flag: Sendable {
        let isUp = Atomic<Bool>(false)
    }

    /// What is revoked while it is being made stays revoked.
    @Test func creationUndoesNoRevocation() async throws {
        let authority = try authority()
        let flag = Flag()
        try await withThrowingTaskGroup(of: [String].self) { group in
            group.addTask {
                defer { flag.isUp.store(true, ordering: .releasing) }
                return try (0..<300).map { number in
                    try authority.create(name: "\(number)", scope: .check, tenantIDs: []).secret
                }
            }
            group.addTask {
                while !flag.isUp.load(ordering: .acquiring) {
                    for token in try authority.tokens { _ = try authority.revoke(token.id) }
                }
                return []
            }
            for try await secrets in group {
                for token in try authority.tokens { _ = try authority.revoke(token.id) }
                #expect(secrets.allSatisfy { authority.caller(secret: $0) == nil })
            }
        }
    }

    @Test func anExpiredTokenIsNobody() throws {
        let authority = try authority()
        let (_, secret) = try authority.create(
            name: "x", scope: .operator, tenantIDs: [], expiresAt: 1)
        #expect(authority.caller(secret: secret) == nil)
    }

    @Test func theSecretIsNotKept() throws {
        let authority = try authority()
        let (_, secret) = try authority.create(name: "x", scope: .operator, tenantIDs: [])
        for token in try authority.tokens { #expect(!"\(token)".contains(secret)) }
    }

    @Test func scopes() {
        let tenant = Caller(number: 1, name: "", scope: .tenant, tenants: ["acme"])
        #expect(tenant.mayRead("acme") && !tenant.mayRead("other") && !tenant.mayCharge("acme"))
        #expect(Caller.anyone.mayCharge("any") && Caller.anyone.isOperator)
    }
}
