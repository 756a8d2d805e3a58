public import Limits
import Notation

/// The instants at which days begin in one time zone (semantics §2).
///
/// A day begins at 00:00, or with its first instant if that midnight does not exist; a day that does not exist is no day;
/// of two midnights the first counts. The calendar is asked once, by `init`; afterwards a window is a binary search in
/// immutable integers. Tenants in one zone share a schedule.
public struct DaySchedule: Sendable {
    /// Unix milliseconds, strictly ascending, at least two.
    private let boundaries: [Int64]

    /// - Parameters:
    ///   - timeZone: IANA name; case matters.
    ///   - now: Unix milliseconds between the years 1 and 9999; the schedule is made around it.
    ///   - before: days in front of `now` that it can answer for, at least 1.
    ///   - after: days behind it, at least 1.
    /// - Throws: `BillingScheduleError`.
    /// - Complexity: O(before + after) look-ups in the calendar, a few microseconds each. Not for the hot path.
    public init(
        timeZone: String, around now: Int64, before: Int = 62, after: Int = 1_100
    ) throws(BillingScheduleError) {
        guard let zone = ZoneOffsets(name: timeZone) else { throw .unknownTimeZone(timeZone) }
        let today = CivilDate.days(ofMilliseconds: now)
        var boundaries: [Int64] = []
        boundaries.reserveCapacity(before + after + 3)
        // Local days are within a day of UTC's.
        for day in today - before - 1...today + after + 1 {
            let start = zone.firstInstant(ofDay: day) * 1_000
            if boundaries.last.map({ $0 < start }) ?? true { boundaries.append(start) }
        }
        self.boundaries = boundaries
    }

    /// The day that holds an instant, which begins no earlier than the one before ended: a short day follows a change of
    /// the zone.
    ///
    /// - Parameters:
    ///   - instant: Unix milliseconds.
    ///   - previousEnd: Unix milliseconds, at most `instant`: the end of the day before; nil for a tenant's first.
    /// - Returns: nil outside of the schedule: make a new one around `instant`.
    /// - Complexity: O(log *n*); no allocation.
    public func window(containing instant: Int64, notBefore previousEnd: Int64?) -> CycleWindow? {
        boundaries.window(containing: instant, notBefore: previousEnd)
    }
}

extension [Int64] {
    /// The span between two neighbours, ascending instants, that holds an instant; nil: none does.
    ///
    /// - Parameter previousEnd: it begins no earlier; at most `instant`.
    func window(containing instant: Int64, notBefore previousEnd: Int64?) -> CycleWindow? {
        precondition(previousEnd ?? instant <= instant, "the window before has not ended yet")
        // The first boundary after the instant lies in low ... high.
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] <= instant { low = middle + 1 } else { high = middle }
        }
        guard low > 0, low < count else { return nil }
        let start = self[low - 1]
        return CycleWindow(start: Swift.max(start, previousEnd ?? start), end: self[low])
    }
}
