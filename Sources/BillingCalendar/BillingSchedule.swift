public import Limits
import Notation

/// Why no billing schedule can be made.
@frozen public enum BillingScheduleError: Error, Sendable, Equatable, CustomStringConvertible {
    case cycleDayOutOfRange(Int)
    case unknownTimeZone(String)

    public var description: String {
        switch self {
        case .cycleDayOutOfRange(let day):
            "The billing cycle day must be 1 to 31, not \(day)"
        case .unknownTimeZone(let name):
            "\"\(name)\" is not an IANA time zone such as \"Europe/Berlin\" or \"UTC\""
        }
    }
}

/// The instants at which billing cycles begin, for one cycle day in one time zone (semantics §2).
///
/// The calendar is asked once, by `init`, for every boundary from two months before an instant to
/// twelve years after it; afterwards a window is a binary search in immutable integers. Tenants
/// with the same day and zone share one schedule.
///
/// A cycle begins at 00:00 of the cycle day, or of the month's last day where the month is shorter.
/// If that midnight does not exist, it begins with the first instant of that day; if the whole day
/// does not exist, with the first instant after the gap; if the midnight occurs twice, with the
/// first of the two.
public struct BillingSchedule: Sendable {
    /// 1 ... 31.
    public let cycleDay: Int
    /// IANA name.
    public let timeZone: String
    /// Unix milliseconds, strictly ascending, at least two.
    let boundaries: [Int64]

    static let monthsBefore = 2
    static let monthsAfter = 12 * 12

    /// - Parameters:
    ///   - cycleDay: 1 ... 31, clamped to the last day of each month.
    ///   - timeZone: IANA name; case matters.
    ///   - now: Unix milliseconds between the years 1 and 9999; the schedule is made around it.
    /// - Throws: `BillingScheduleError`.
    /// - Complexity: about 150 calendar look-ups: up to 0.2 ms. Not for the hot path.
    public init(
        cycleDay: Int, timeZone: String, around now: Int64
    ) throws(BillingScheduleError) {
        guard (1...31).contains(cycleDay) else { throw .cycleDayOutOfRange(cycleDay) }
        guard let zone = ZoneOffsets(name: timeZone) else { throw .unknownTimeZone(timeZone) }
        self.cycleDay = cycleDay
        self.timeZone = timeZone
        let present = CivilDate(daysSinceEpoch: CivilDate.days(ofMilliseconds: now))
        let month = present.year * 12 + present.month - 1
        boundaries = (month - Self.monthsBefore...month + Self.monthsAfter).map { month in
            let (year, index) = (month / 12, month % 12 + 1)
            let day = min(cycleDay, CivilDate.dayCount(year: year, month: index))
            let date = CivilDate(year: year, month: index, day: day)
            return zone.firstInstant(ofDay: date.daysSinceEpoch) * 1_000
        }
        assert(zip(boundaries, boundaries.dropFirst()).allSatisfy { $0 < $1 })
    }

    /// The first and the last instant (Unix milliseconds) that `window` can answer for.
    public var span: CycleWindow {
        CycleWindow(start: boundaries[0], end: boundaries[boundaries.count - 1])
    }

    /// The billing cycle that holds an instant.
    ///
    /// A change of the cycle day or the zone takes effect where the window of the old schedule
    /// ends: pass that end, and the answer begins no earlier. So one short cycle follows a change,
    /// and without a change the parameter makes no difference.
    ///
    /// - Parameters:
    ///   - instant: Unix milliseconds.
    ///   - previousEnd: Unix milliseconds, at most `instant`: the end of the window before; nil
    ///     for a tenant's first.
    /// - Returns: nil outside `span`: make a new schedule around `instant`.
    /// - Complexity: O(log *n*) for about 150 boundaries; no allocation.
    public func window(
        containing instant: Int64, notBefore previousEnd: Int64?
    ) -> CycleWindow? {
        boundaries.window(containing: instant, notBefore: previousEnd)
    }
}
