import Engine
import Journal
package import Limits

/// What was decided in one second.
package struct DecisionCount: Sendable, Equatable {
    /// Unix seconds.
    package var second: Int64
    package var allowed: Int
    /// By the first code of each refusal.
    package var denied: [ErrorCode: Int]

    package init(second: Int64, allowed: Int = 0, denied: [ErrorCode: Int] = [:]) {
        self.second = second
        self.allowed = allowed
        self.denied = denied
    }

    package var deniedCount: Int { denied.values.reduce(0, +) }
}

/// Decisions by second, of the last two minutes: what records tell. A refusal that leaves no record (one without a key
/// that changes nothing) is not among them.
///
/// Memory: at most 120 entries with a count for each code.
struct DecisionCounts: Sendable {
    static let seconds: Int64 = 120
    /// At the place of its second; another second's is over.
    private var ring = [DecisionCount](
        repeating: DecisionCount(second: -1), count: Int(DecisionCounts.seconds))

    /// - Parameters:
    ///   - time: Unix milliseconds.
    ///   - code: nil: allowed.
    /// - Complexity: O(1)
    mutating func add(at time: Int64, code: ErrorCode?) {
        let second = time / 1_000
        let place = Int(second % Self.seconds)
        guard second >= ring[place].second else { return }
        if ring[place].second != second { ring[place] = DecisionCount(second: second) }
        if let code {
            ring[place].denied[code, default: 0] += 1
        } else {
            ring[place].allowed += 1
        }
    }

    /// Oldest first.
    ///
    /// - Parameter now: Unix milliseconds.
    func recent(_ now: Int64) -> [DecisionCount] {
        let first = now / 1_000 - Self.seconds + 1
        return ring.filter { $0.second >= first }.sorted { $0.second < $1.second }
    }
}

/// The counts, for whoever asks.
///
/// Thread safety: any thread.
final class DecisionTally: Sendable {
    private let counts = Lock(DecisionCounts())

    /// - Parameters:
    ///   - time: Unix milliseconds.
    ///   - code: nil: allowed.
    func add(at time: Int64, code: ErrorCode?) { counts.withLock { $0.add(at: time, code: code) } }

    /// - Parameter now: Unix milliseconds.
    func recent(_ now: Int64) -> [DecisionCount] { counts.withLock { $0.recent(now) } }
}

extension Projection {
    /// What was decided in the last two minutes, by second, as far as records tell and the projection has come.
    package var recentDecisions: [DecisionCount] { tally.recent(clock.now) }
}
