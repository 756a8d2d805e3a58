import Limits
import Testing

@testable import Projection

struct DecisionCountsTests {
    @Test func decisionsAreCountedBySecondAndCode() {
        var counts = DecisionCounts()
        counts.add(at: 1_000_000, code: nil)
        counts.add(at: 1_000_999, code: .suspended)
        counts.add(at: 1_000_999, code: .suspended)
        counts.add(at: 1_001_000, code: .tenantSpendLimit)
        #expect(
            counts.recent(1_001_500) == [
                DecisionCount(second: 1_000, allowed: 1, denied: [.suspended: 2]),
                DecisionCount(second: 1_001, denied: [.tenantSpendLimit: 1]),
            ])
    }

    @Test func aSecondIsForgottenAfterTwoMinutes() {
        var counts = DecisionCounts()
        counts.add(at: 1_000_000, code: nil)
        #expect(counts.recent(1_119_999).count == 1)
        #expect(counts.recent(1_120_000).isEmpty)
    }

    @Test func whatIsOlderThanTheSecondInItsPlaceIsNotCounted() {
        var counts = DecisionCounts()
        counts.add(at: 1_120_000, code: nil)
        counts.add(at: 1_000_000, code: nil)
        #expect(counts.recent(1_120_000) == [DecisionCount(second: 1_120, allowed: 1)])
    }
}
