import Synchronization

/// How fast a caller may call: the virtual scheduling algorithm of ITU-T I.371 (GCRA), which is a token bucket that keeps
/// one instant, the one at which it will be full again.
package struct CallRate: Sendable, Equatable {
    /// Calls a second that can be asked for.
    package static let range = 1...1_000_000
    /// Nanoseconds that a call takes to be earned.
    private let interval: UInt64
    /// Nanoseconds' worth of calls that the bucket holds.
    private let burst: UInt64

    /// - Parameters:
    ///   - perSecond: within `range`.
    ///   - held: calls that the bucket holds; nil: those of a second.
    package init(perSecond: Int, held: Int? = nil) {
        precondition(Self.range.contains(perSecond), "a rate is 1 to 1 000 000 a second")
        interval = 1_000_000_000 / UInt64(perSecond)
        burst = interval * UInt64(held ?? perSecond)
    }

    /// Takes a call out of a bucket.
    ///
    /// - Parameter full: when the bucket will be full again, nanoseconds; an instant that has passed, as 0 is: it is.
    /// - Returns: the new instant; nil: there is none, and nothing was taken.
    package func take(full: UInt64, now: UInt64) -> UInt64? {
        hasOne(full: full, now: now) ? max(full, now) + interval : nil
    }

    func hasOne(full: UInt64, now: UInt64) -> Bool { max(full, now) - now + interval <= burst }

    /// Takes calls out of a bucket, whether they are there or not: nobody has one again until what is missing was earned.
    ///
    /// - Returns: the new instant.
    package func owe(_ calls: UInt64, full: UInt64, now: UInt64) -> UInt64 {
        let from = max(full, now)
        let (cost, isTooMuch) = interval.multipliedReportingOverflow(by: calls)
        let owed = from + min(isTooMuch ? .max : cost, Self.mostOwed)
        return max(from, min(owed, now + Self.mostOwed))
    }

    /// Nobody owes more than an hour.
    private static let mostOwed: UInt64 = 3_600_000_000_000

    /// Puts a call back.
    package func giveBack(full: UInt64) -> UInt64 { full > interval ? full - interval : 0 }
}

/// The bucket of one caller, over all event loops.
///
/// Thread safety: any thread, lock-free: a loser of the compare-exchange has seen another call taken, and tries again.
package final class CallerRate: Sendable {
    package let perSecond: Int
    private let pace: CallRate
    private let full = Atomic<UInt64>(0)

    /// - Parameter perSecond: within `CallRate.range`.
    package init(perSecond: Int) {
        self.perSecond = perSecond
        pace = CallRate(perSecond: perSecond)
    }

    /// False: too fast.
    ///
    /// - Parameter now: the monotonic clock, nanoseconds.
    package func take(now: UInt64) -> Bool { change { pace.take(full: $0, now: now) } }

    /// Takes calls that are made, whether they are there or not.
    ///
    /// - Parameters:
    ///   - calls: from 0.
    ///   - now: see `take`.
    package func owe(_ calls: Int, now: UInt64) {
        _ = change { pace.owe(UInt64(calls), full: $0, now: now) }
    }

    /// A call that was taken is made another time: it was put off.
    package func giveBack() { _ = change { pace.giveBack(full: $0) } }

    /// - Returns: whether `next` had a new instant.
    @inline(__always)
    private func change(_ next: (UInt64) -> UInt64?) -> Bool {
        // ORDERING: relaxed because the word goes with no other data.
        var seen = full.load(ordering: .relaxed)
        while true {
            guard let desired = next(seen) else { return false }
            let (isDone, found) = full.weakCompareExchange(
                expected: seen, desired: desired, ordering: .relaxed)
            if isDone { return true }
            seen = found
        }
    }

    /// Whether it is as a new one would be.
    package func isFull(now: UInt64) -> Bool { full.load(ordering: .relaxed) <= now }
}
