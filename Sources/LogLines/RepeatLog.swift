internal import Synchronization

/// Keeps what may happen a thousand times a second from filling the log: of each kind the first is told, and after that
/// one in a while, with the number of those that were not.
///
/// Memory: one entry for each of at most `mostKinds` kinds, and one for the rest.
///
/// Thread safety: any thread.
package final class RepeatLog<Kind: Hashable & Sendable>: Sendable {
    private struct Told {
        var at: ContinuousClock.Instant
        var silent = 0
    }

    private let interval: Duration
    private let mostKinds: Int
    private let rest: Kind
    private let told = Mutex<[Kind: Told]>([:])

    /// - Parameters:
    ///   - interval: between two lines of a kind.
    ///   - mostKinds: kinds that are told apart.
    ///   - rest: what further kinds are taken for.
    package init(interval: Duration = .seconds(60), mostKinds: Int = 32, rest: Kind) {
        self.interval = interval
        self.mostKinds = mostKinds
        self.rest = rest
    }

    /// Notes that it has happened once more.
    ///
    /// - Returns: nil: nothing is to be logged; else for how many the line stands: 1, and those that were not told.
    package func note(_ kind: Kind, now: ContinuousClock.Instant = .now) -> Int? {
        told.withLock { told in
            var kind = kind
            if told[kind] == nil, isFull(told) {
                forgetOld(&told, now)
                if isFull(told) { kind = rest }
            }
            if let last = told[kind], now - last.at < interval {
                told[kind]?.silent += 1
                return nil
            }
            defer { told[kind] = Told(at: now) }
            return 1 + (told[kind]?.silent ?? 0)
        }
    }

    private func isFull(_ told: [Kind: Told]) -> Bool {
        told.count - (told[rest] == nil ? 0 : 1) >= mostKinds
    }

    /// Makes room: a kind whose interval is over would be told at its next occurrence anyway. What was not told of it is
    /// told with the rest.
    private func forgetOld(_ told: inout [Kind: Told], _ now: ContinuousClock.Instant) {
        var silent = 0
        for (kind, last) in told where kind != rest && now - last.at >= interval {
            silent += last.silent
            told[kind] = nil
        }
        guard silent > 0 else { return }
        told[rest, default: Told(at: now - interval)].silent += silent
    }
}
