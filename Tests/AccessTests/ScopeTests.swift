import Foundation
import Testing

@testable import Access

/// Who may do what.
@Suite struct ScopeTests {
    /// The table as docs/authorization.md shows it.
    static let table: [Right: Set<Caller.Scope>] = [
        .charge: [.operator, .check],
        .readUsage: [.operator, .viewer, .reports, .check, .tenant],
        .readDays: [.operator, .viewer, .reports, .tenant],
        .readProfiles: [.operator, .viewer, .tenant],
        .watchEverything: [.operator, .viewer],
        .readReports: [.operator, .viewer, .reports],
        .readConfiguration: [.operator, .viewer],
        .readRecipients: [.admin, .operator, .viewer],
        .change: [.operator],
        .administer: [.admin],
        .readStatistics: [.admin, .operator, .viewer, .metrics],
        .usePage: [.operator, .viewer],
    ]

    @Test(arguments: Right.allCases) func theTable(right: Right) throws {
        let expected = try #require(Self.table[right])
        #expect(Set(right.scopes.list) == expected)
        for scope in Caller.Scope.allCases {
            let caller = Caller(number: 1, name: "", scopes: Scopes(scope))
            #expect(caller.may(right) == expected.contains(scope))
        }
    }

    /// A set may what any of its scopes may: all 128 of them.
    @Test func sets() {
        for bits in UInt8(0)..<128 {
            let scopes = Scopes(rawValue: bits)
            let rights = Rights(scopes)
            let caller = Caller(number: 1, name: "", scopes: scopes)
            for right in Right.allCases {
                let expected = scopes.list.contains { Self.table[right]?.contains($0) ?? false }
                #expect(rights.contains(right) == expected && caller.may(right) == expected)
            }
            #expect(Scopes(names: scopes.names) == scopes)
            #expect((scopes.first == nil) == scopes.isEmpty)
        }
    }

    /// What one name meant before there were sets it means still: operator is everything but what only counting needs.
    @Test func aNameByItself() {
        let everything = Rights(Scopes(alone: .operator))
        #expect(Right.allCases.allSatisfy(everything.contains))
        #expect(Scopes(alone: .operator) == Role.owner.scopes)
        for scope in Caller.Scope.allCases where scope != .operator {
            #expect(Scopes(alone: scope) == Scopes(scope))
        }
        #expect(Scopes(names: ["operator", "nothing", "Check"]) == .operator)
    }

    @Test func roles() {
        #expect(Role.owner.scopes == [.admin, .operator] && Role.operator.scopes == .operator)
        #expect(Role.viewer.scopes == .viewer && Role.billing.scopes == [.viewer, .reports])
    }

    /// Which sets can be for how many tenants.
    @Test func tenants() {
        for bits in UInt8(0)..<128 {
            let scopes = Scopes(rawValue: bits)
            for count in [nil, 1, 2] {
                let isForAll = !scopes.subtracting([.check, .tenant]).isEmpty
                let isGood =
                    !scopes.isEmpty && (!scopes.contains(.tenant) || count == 1)
                    && (!isForAll || count == nil)
                #expect((scopes.fault(tenants: count) == nil) == isGood)
            }
        }
        #expect(
            Scopes.viewer.fault(tenants: 1)?.sentence("A token")
                == "A token with scope viewer cannot be restricted to tenants")
    }

    /// Tokens that were made before there were lists.
    @Test(arguments: ["operator", "check", "tenant"]) func storedTokens(scope: String) throws {
        let text = """
            {"id":"9b1c7a52-61f0-4a5e-9d2b-0f6c3f0f6a11","name":"x","scope":"\(scope)",\
            "tenantIDs":[],"hash":"h","createdAt":1}
            """
        let token = try JSONDecoder().decode(AccessToken.self, from: Data(text.utf8))
        let alone = try #require(Caller.Scope(rawValue: scope))
        #expect(token.scopes == Scopes(alone: alone) && token.rate == nil)
        let again = try JSONDecoder().decode(
            AccessToken.self, from: JSONEncoder().encode(token))
        #expect(again == token)
    }

    @Test func newTokensHaveTheirList() throws {
        let token = AccessToken(
            id: "9b1c7a52-61f0-4a5e-9d2b-0f6c3f0f6a11", name: "x", scopes: .operator,
            tenantIDs: [], hash: "h", createdAt: 1, expiresAt: nil, rate: 7)
        let again = try JSONDecoder().decode(
            AccessToken.self, from: JSONEncoder().encode(token))
        // Without admin, though the one name that says most is operator.
        #expect(again.scopes == .operator && again.scope == .operator && again.rate == 7)
    }
}
