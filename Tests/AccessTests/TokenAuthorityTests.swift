import Access
import Engine
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
                return try (0..<2_000).map { number in
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
