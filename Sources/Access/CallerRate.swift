import Synchronization

/// How fast a caller may call: the virtual scheduling algorithm of ITU-T I.371 (GCRA), which is a token bucket that keeps
/// one instant, the one at which it will be full again. A bucket holds the calls of a second.
package struct Pace: Sendable, Equatable {
    /// Calls a second that can be asked for.
    package static let range = 1...1_000_000
    /// Nanoseconds that a call takes to be earned.
    private let interval: UInt64
    /// Nanoseconds' worth of calls that the bucket holds.
    private let burst: UInt64

    /// - Parameter perSecond: within `range`.
    package init(perSecond: Int) {
        precondition(Self.range.contains(perSecond), "a rate is 1 to 1 000 000 a second")
        interval = 1_000_000_000 / UInt64(perSecond)
        burst = interval * UInt64(perSecond)
    }

    /// Takes calls out of a bucket.
    ///
    /// - Parameters:
    ///   - full: when the bucket will be full again, nanoseconds; an instant that has passed, as 0 is: it is.
    ///   - calls: from 1. All are taken if there is one: what is more is owed.
    /// - Returns: the new instant; nil: there is none, and nothing was taken.
    package func take(_ calls: UInt64 = 1, full: UInt64, now: UInt64) -> UInt64? {
        let from = max(full, now)
        guard from - now + interval <= burst else { return nil }
        let (cost, isTooMuch) = interval.multipliedReportingOverflow(by: calls)
        // Nobody owes more than an hour.
        return from + min(isTooMuch ? .max : cost, 3_600_000_000_000)
    }

    /// Puts a call back.
    package func giveBack(full: UInt64) -> UInt64 { full > interval ? full - interval : 0 }
}

/// The bucket of one caller, over all event loops.
///
/// Thread safety: any thread, lock-free: a loser of the compare-exchange has seen another call taken, and tries again.
package final class CallerRate: Sendable {
    package let perSecond: Int
    private let pace: Pace
    private let full = Atomic<UInt64>(0)

    /// - Parameter perSecond: within `Pace.range`.
    package init(perSecond: Int) {
        self.perSecond = perSecond
        pace = Pace(perSecond: perSecond)
    }

    /// False: too fast.
    ///
    /// - Parameter now: the monotonic clock, nanoseconds.
    package func take(_ calls: Int = 1, now: UInt64) -> Bool {
        // ORDERING: relaxed because the word goes with no other data.
        var seen = full.load(ordering: .relaxed)
        while true {
            guard let next = pace.take(UInt64(max(1, calls)), full: seen, now: now) else {
                return false
            }
            let (isDone, found) = full.weakCompareExchange(
                expected: seen, desired: next, ordering: .relaxed)
            if isDone { return true }
            seen = found
        }
    }

    /// A call that was taken is made another time: it was put off.
    package func giveBack() {
        var seen = full.load(ordering: .relaxed)
        while true {
            let (isDone, found) = full.weakCompareExchange(
                expected: seen, desired: pace.giveBack(full: seen), ordering: .relaxed)
            if isDone { return }
            seen = found
        }
    }

    /// Whether it is as a new one would be.
    package func isFull(now: UInt64) -> Bool { full.load(ordering: .relaxed) <= now }
}
