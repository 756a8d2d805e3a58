/// Instants as texts, without Foundation.
package enum UTCText {
    /// RFC 3339 in UTC, to the second.
    ///
    /// - Parameter milliseconds: Unix time.
    package static func instant(_ milliseconds: Int64) -> String {
        let days = CivilDate.days(ofMilliseconds: milliseconds)
        let date = CivilDate(daysSinceEpoch: days)
        let second = Int(milliseconds - Int64(days) * UTCDay.milliseconds) / 1_000
        return "\(date.year)-\(two(date.month))-\(two(date.day))"
            + "T\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
