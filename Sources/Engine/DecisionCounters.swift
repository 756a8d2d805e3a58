import Journal
package import Limits
import Telemetry

/// What was decided: a CheckAndReserve of one mode, or an Extend.
package enum DecidedOperation: Sendable, Hashable, CaseIterable {
    case check(Mode)
    case extend

    package static var allCases: [DecidedOperation] { Mode.allCases.map { .check($0) } + [.extend] }

    /// Of the bank's sections.
    @inline(__always)
    fileprivate var index: Int {
        switch self {
        case .check(let mode): Int(mode.rawValue) &- 1
        case .extend: LaneDecisions.extendSection
        }
    }
}

/// What has been decided of one operation since the process began.
package struct DecisionCount: Sendable, Equatable {
    package var operation: DecidedOperation
    package var allowed: UInt64 = 0
    /// By the first code of each refusal; codes that never came are left out.
    package var denied: [ErrorCode: UInt64] = [:]
}

/// What has been decided since the process began.
package struct DecisionTotals: Sendable, Equatable {
    package var allowed: UInt64
    /// By the first code of each refusal; codes that never came are left out. What only asked was refused nothing, and
    /// its denials are left out too.
    package var denied: [ErrorCode: UInt64]

    package init(allowed: UInt64 = 0, denied: [ErrorCode: UInt64] = [:]) {
        self.allowed = allowed
        self.denied = denied
    }

    init(_ counts: [DecisionCount]) {
        self.init(allowed: counts.reduce(0) { $0 &+ $1.allowed })
        for count in counts where count.operation != .check(.checkOnly) {
            denied.merge(count.denied, uniquingKeysWith: &+)
        }
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

/// Decisions of one lane. Counted are answers of CheckAndReserve and Extend that were decided: no failures; stored
/// answers that were given again are counted by themselves.
///
/// Thread safety: `count` and `countReplay` on the lane's thread, the rest on any.
final class LaneDecisions: Sendable {
    /// Places in a section of the bank: allowed, refused by suspension, then by each limit, by `LimitKind.index`. There
    /// is a section for each operation; behind them are the stored answers.
    private static let suspended = 1
    private static let firstLimit = 2
    private static let width = 32
    /// Behind those of the modes.
    fileprivate static let extendSection = 4
    private static let replays = 160

    private let bank = CounterBank(count: LaneDecisions.replays + 1)

    init() {
        precondition(
            Self.firstLimit + LimitSet.capacity <= Self.width
                && DecidedOperation.allCases.allSatisfy { $0.index <= Self.extendSection }
                && Self.replays == (Self.extendSection + 1) * Self.width,
            "decisions need more counters")
    }

    /// - Parameter refused: of a denial: the limits that refused, unless the tenant's suspension did.
    /// - Complexity: O(1), without allocation.
    @inline(__always)
    func count(
        _ operation: DecidedOperation, _ decision: Decision, refusedBySuspension: Bool,
        refused: LimitSet
    ) {
        let place =
            decision == .allowed
            ? 0
            : refusedBySuspension
                ? Self.suspended : Self.firstLimit + refused.rawValue.trailingZeroBitCount
        bank.add(to: operation.index &* Self.width &+ place)
    }

    /// A stored answer was given again.
    func countReplay() { bank.add(to: Self.replays) }

    /// Adds what was counted to `counts`, which has all operations.
    fileprivate func add(to counts: inout DecisionCounters.Counts) {
        let values = bank.values
        counts.replays &+= values[Self.replays]
        for index in counts.decisions.indices {
            let first = counts.decisions[index].operation.index * Self.width
            counts.decisions[index].allowed &+= values[first]
            for place in 1..<Self.width where values[first + place] > 0 {
                let code =
                    place == Self.suspended
                    ? ErrorCode.suspended : LimitKind(index: place - Self.firstLimit).row.error
                counts.decisions[index].denied[code, default: 0] &+= values[first + place]
            }
        }
    }
}

/// Decisions of all lanes: those that are, and those that were.
///
/// Thread safety: any thread.
final class DecisionCounters: Sendable {
    struct Counts {
        var decisions = DecidedOperation.allCases.map { DecisionCount(operation: $0) }
        /// Stored answers that were given again.
        var replays: UInt64 = 0
    }

    private struct State {
        var lanes: [LaneDecisions] = []
        /// Of lanes that are gone.
        var past = Counts()
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
    var counts: Counts {
        state.withLock { state in
            var counts = state.past
            for lane in state.lanes { lane.add(to: &counts) }
            return counts
        }
    }
}
