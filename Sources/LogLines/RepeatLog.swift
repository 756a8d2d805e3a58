internal import Synchronization

/// Keeps events that may occur a thousand times a second from filling the log: the first of each kind is logged, and
/// after that one per interval, with the number of those that were not.
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
    ///   - interval: the time between two lines of a kind.
    ///   - mostKinds: the number of kinds that are told apart.
    ///   - rest: the kind that further ones are counted as.
    package init(interval: Duration = .seconds(60), mostKinds: Int = 32, rest: Kind) {
        self.interval = interval
        self.mostKinds = mostKinds
        self.rest = rest
    }

    /// Notes that an event has occurred once more.
    ///
    /// - Returns: nil: nothing is to be logged; otherwise how many events the line stands for: this one, and those that
    ///   were not logged.
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

    /// Makes room: a kind whose interval is over would be logged at its next occurrence anyway. Its events that were
    /// not logged are counted with the rest.
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
