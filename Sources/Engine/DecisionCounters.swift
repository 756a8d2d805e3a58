import Journal
package import Limits
import Telemetry

/// What has been decided since the process began.
package struct DecisionTotals: Sendable, Equatable {
    package var allowed: UInt64
    /// By the first code of each refusal; codes that never came are left out.
    package var denied: [ErrorCode: UInt64]

    package init(allowed: UInt64 = 0, denied: [ErrorCode: UInt64] = [:]) {
        self.allowed = allowed
        self.denied = denied
    }

    package var deniedCount: UInt64 { denied.values.reduce(0, &+) }

    /// What was added since an earlier state.
    package func since(_ earlier: DecisionTotals) -> DecisionTotals {
        var added = DecisionTotals(allowed: Self.added(allowed, earlier.allowed))
        for (code, count) in denied {
            let more = Self.added(count, earlier.denied[code] ?? 0)
            if more > 0 { added.denied[code] = more }
        }
        return added
    }

    private static func added(_ count: UInt64, _ earlier: UInt64) -> UInt64 {
        count > earlier ? count - earlier : 0
    }
}

/// Decisions of one lane. Counted are answers of CheckAndReserve (of every mode) and Extend that were decided: no
/// failures, and no stored answers that were given again.
///
/// Thread safety: `count` on the lane's thread, the rest on any.
final class LaneDecisions: Sendable {
    /// Places in the bank: allowed, refused by suspension, then by each limit, by `LimitKind.index`.
    private static let suspended = 1
    private static let firstLimit = 2

    private let bank = CounterBank(count: LaneDecisions.firstLimit + LimitSet.capacity)

    /// - Parameter refused: of a denial: the limits that refused, unless the tenant's suspension did.
    /// - Complexity: O(1), without allocation.
    @inline(__always)
    func count(_ decision: Decision, refusedBySuspension: Bool, refused: LimitSet) {
        let place =
            decision == .allowed
            ? 0
            : refusedBySuspension
                ? Self.suspended : Self.firstLimit + refused.rawValue.trailingZeroBitCount
        bank.add(to: place)
    }

    /// Adds what was counted to `totals`.
    func add(to totals: inout DecisionTotals) {
        let values = bank.values
        totals.allowed &+= values[0]
        for (place, count) in values.enumerated().dropFirst() where count > 0 {
            let code =
                place == Self.suspended
                ? ErrorCode.suspended : LimitKind(index: place - Self.firstLimit).row.error
            totals.denied[code, default: 0] &+= count
        }
    }
}

/// Decisions of all lanes: those that are, and those that were.
///
/// Thread safety: any thread.
final class DecisionCounters: Sendable {
    private struct State {
        var lanes: [LaneDecisions] = []
        /// Of lanes that are gone.
        var past = DecisionTotals()
    }

    private let state = Lock(State())

    func makeLane() -> LaneDecisions {
        let lane = LaneDecisions()
        state.withLock { $0.lanes.append(lane) }
        return lane
    }

    /// A lane is gone: its thread counts no more.
    func retire(_ lane: LaneDecisions) {
        state.withLock { state in
            guard let index = state.lanes.firstIndex(where: { $0 === lane }) else { return }
            state.lanes.remove(at: index)
            lane.add(to: &state.past)
        }
    }

    /// - Complexity: O(lanes)
    var totals: DecisionTotals {
        state.withLock { state in
            var totals = state.past
            for lane in state.lanes { lane.add(to: &totals) }
            return totals
        }
    }
}
