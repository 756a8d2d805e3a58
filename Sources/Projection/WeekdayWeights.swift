import Limits

/// How much is used on a day of the week, compared with the mean day: what a forecast stretches time by.
///
/// Days are UTC's. A week has a weight of 7 where it is used evenly.
struct WeekdayWeights: Equatable {
    /// So many days are looked at, whole weeks.
    static let days = 56
    /// Of fewer days with any use nothing can be said: all days are alike.
    static let fewestDays = 14

    /// From Sunday on.
    private(set) var factors = Array(repeating: 1.0, count: 7)

    init() {}

    /// - Parameters:
    ///   - usage: by date; days that are missing had none.
    ///   - today: a date: the days in front of it count.
    init(_ usage: [Int64: Int64], before today: Int64) {
        let day = ProfileState.dayLength
        let range = (1...Int64(Self.days)).map { today - $0 * day }
        guard range.count(where: { usage[$0, default: 0] > 0 }) >= Self.fewestDays,
            // Of weeks before the first use nothing is known.
            let first = range.filter({ usage[$0, default: 0] > 0 }).min()
        else { return }
        var sums = Array(repeating: 0.0, count: 7)
        var counts = sums
        for date in range where date >= first {
            let weekday = Self.weekday(of: date)
            sums[weekday] += Double(max(0, usage[date, default: 0]))
            counts[weekday] += 1
        }
        let means = zip(sums, counts).map { $1 > 0 ? $0 / $1 : 0 }
        let mean = means.reduce(0, +) / 7
        guard mean > 0 else { return }
        factors = means.map { $0 / mean }
    }

    /// 0: Sunday.
    static func weekday(of date: Int64) -> Int {
        // 1970-01-01 was a Thursday.
        let number = ProfileState.dayStart(of: date) / ProfileState.dayLength
        return Int(((number + 4) % 7 + 7) % 7)
    }

    /// The weight of the time between two instants, in days.
    func weight(from: Int64, to: Int64) -> Double {
        var total = 0.0
        var start = from
        while start < to {
            let midnight = ProfileState.dayStart(of: start)
            let end = min(to, midnight + ProfileState.dayLength)
            total +=
                Double(end - start) / Double(ProfileState.dayLength)
                * factors[Self.weekday(of: midnight)]
            start = end
        }
        return total
    }

    /// The instant at which the time from another one has a weight; nil: it does not before `end`.
    func instant(_ weight: Double, after from: Int64, before end: Int64) -> Int64? {
        var left = weight
        var start = from
        while start < end {
            let midnight = ProfileState.dayStart(of: start)
            let next = min(end, midnight + ProfileState.dayLength)
            let factor = factors[Self.weekday(of: midnight)]
            let part = Double(next - start) / Double(ProfileState.dayLength) * factor
            if part >= left, factor > 0 {
                let span = left / factor * Double(ProfileState.dayLength)
                return min(start + Int64(saturating: span), next)
            }
            left -= part
            start = next
        }
        return nil
    }
}

/// A limit's use in a window that goes on as it did so far.
struct LimitForecast {
    /// Of a window that is younger nothing can be said, milliseconds.
    static let leastAge = ProfileState.dayLength

    var reachedAt: Int64
    var expected: Int64

    /// nil: the cap is reached, or will not be in this window, or nothing can be said.
    init?(
        used: Int64, cap: Int64, window: (start: Int64, end: Int64), now: Int64,
        _ weights: WeekdayWeights
    ) {
        guard used > 0, used < cap, now - window.start >= Self.leastAge, now < window.end else {
            return nil
        }
        let elapsed = weights.weight(from: window.start, to: now)
        guard elapsed > 0 else { return nil }
        let rate = Double(used) / elapsed
        let left = Double(cap - used) / rate
        guard let instant = weights.instant(left, after: now, before: window.end) else {
            return nil
        }
        reachedAt = instant
        expected = used.addingSaturated(
            Int64(saturating: rate * weights.weight(from: now, to: window.end)))
    }
}
