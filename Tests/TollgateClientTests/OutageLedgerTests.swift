import Limits
import Testing
import Wire

@testable import TollgateClient

@Suite("What a client lets through by itself")
struct OutageLedgerTests {
    private static func action(
        _ key: String, tenant: String = "acme", _ quantities: [Quantity] = [Quantity(.spend, 3)],
        at milliseconds: Int64 = 0
    ) -> LetThrough {
        LetThrough(
            request: CheckRequest(
                tenantID: tenant, action: .charge, quantities: quantities, idempotencyKey: key),
            atMilliseconds: milliseconds, cause: .unavailable)
    }

    private static let budget = [Quantity(.spend, 10), Quantity(.dids, 1)]

    private static func lets(
        _ ledger: inout OutageLedger, _ action: LetThrough, minute: Int64 = 7
    ) -> Bool {
        ledger.letThrough(action, budget: budget, minute: minute)
    }

    @Test func aTenantAndMinuteHaveOneBudget() {
        var ledger = OutageLedger(maximumUnsettled: 100)
        let first = (1...4).map { Self.lets(&ledger, Self.action("k\($0)")) }
        #expect(first == [true, true, true, false])
        #expect(Self.lets(&ledger, Self.action("k5", [Quantity(.spend, 1)])))
        #expect(Self.lets(&ledger, Self.action("k6", [Quantity(.spend, 1)])) == false)
        #expect(Self.lets(&ledger, Self.action("k7", tenant: "globex")))
        #expect(Self.lets(&ledger, Self.action("k8"), minute: 8))
        #expect(ledger.unsettledCount == 6)
    }

    /// Of what is only ever held nothing is recorded.
    @Test(arguments: Resource.allCases)
    func usageIsOfWhatIsCharged(_ resource: Resource) {
        let action = Self.action("k", [Quantity(resource, 2)])
        let usage = action.usage(actual: [Quantity(resource, 3), Quantity(.spend, 4)])
        #expect(action.usage().quantities.isEmpty == !resource.mayBeCharged)
        #expect(usage.quantities.contains { $0.resource == resource } == resource.mayBeCharged)
        #expect(usage.quantities.contains(Quantity(.spend, 4)))
    }

    @Test func allOfAnActionMustFit() {
        var ledger = OutageLedger(maximumUnsettled: 100)
        let both = [Quantity(.spend, 9), Quantity(.dids, 2)]
        #expect(Self.lets(&ledger, Self.action("a", both)) == false)
        // What was refused took nothing.
        #expect(Self.lets(&ledger, Self.action("b", [Quantity(.spend, 10)])))
        #expect(Self.lets(&ledger, Self.action("c", [Quantity(.dids, 1)])))
    }

    @Test(arguments: [
        [Quantity(.extensions, 1)], [Quantity(.spend, -1)], [Quantity(.spend, .max)],
        [Quantity(.spend, .max), Quantity(.spend, .max)],
    ])
    func whatHasNoBudgetFails(_ quantities: [Quantity]) {
        var ledger = OutageLedger(maximumUnsettled: 100)
        #expect(Self.lets(&ledger, Self.action("a", quantities)) == false)
        #expect(ledger.unsettledCount == 0)
    }

    @Test func theSameKeyIsTheSameAction() {
        var ledger = OutageLedger(maximumUnsettled: 100)
        let whole = [Quantity(.spend, 10)]
        #expect(Self.lets(&ledger, Self.action("a", whole)))
        #expect(Self.lets(&ledger, Self.action("a", whole, at: 5)))
        #expect(Self.lets(&ledger, Self.action("a", [Quantity(.spend, 1)])) == false)
        #expect(ledger.unsettledCount == 1)
        let isFirst = ledger.settle(Self.action("a", whole))
        let isSecond = ledger.settle(Self.action("a", whole))
        #expect(isFirst && !isSecond && ledger.unsettled.isEmpty)
        // Settling gives no room back: it has taken place.
        #expect(Self.lets(&ledger, Self.action("b")) == false)
    }

    @Test func whatIsKeptIsBounded() {
        var ledger = OutageLedger(maximumUnsettled: 2)
        let none: [Quantity] = []
        #expect(Self.lets(&ledger, Self.action("a", none, at: 9)))
        #expect(Self.lets(&ledger, Self.action("b", none, at: 4)))
        #expect(Self.lets(&ledger, Self.action("c", none)) == false)
        #expect(ledger.unsettled.map(\.atMilliseconds) == [4, 9])
        var large = OutageLedger(maximumUnsettled: .max)
        let each = (0...OutageLedger.maximumTenants).map {
            Self.lets(&large, Self.action("k", tenant: "t\($0)"))
        }
        #expect(each.dropLast().allSatisfy { $0 } && each.last == false)
    }

    @Test func usageGoesUnderTheSameKey() {
        let action = Self.action("k", [Quantity(.spend, 3, minimum: 1)])
        #expect(action.usage().idempotencyKey == "k" && action.usage().tenantID == "acme")
        #expect(action.usage().quantities == [Quantity(.spend, 3)])
        #expect(action.usage(actual: [Quantity(.spend, 2)]).quantities == [Quantity(.spend, 2)])
    }
}
