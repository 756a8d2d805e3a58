/// How many holds that were charged at their expiry are remembered beyond the retention: for a day, so that the commit that
/// says what they came to finds them, and no more of them than a budget of their own. When there are more, the oldest go.
///
/// Each is counted by the quarter of an hour in which its day ends. While there are too many, those of the earliest
/// quarters are forgotten as their lanes look at them, which they do every few minutes. Counts change where a slot's
/// `ForgetTime` does, by compare-exchange, and so exactly once.
struct ChargedMemory {
    static let day: Int64 = 86_400_000
    /// How often one is looked at.
    static let look: Int64 = 300_000
    private static let quarter: Int64 = 900_000
    /// More than a day of quarters.
    private static let quarters = 128

    private let counts: Region<Word>
    private let total: Words
    let budget: Int
    private let retention: Int64

    /// - Parameter total: a zeroed word.
    init(budget: Int, retention: Int64, total: Words) throws(TableError) {
        counts = try Region(capacity: Self.quarters)
        self.budget = budget
        self.retention = retention
        self.total = total
    }

    func unmap() { counts.unmap() }

    var count: Int { max(0, Int(Int64(bitPattern: total[0]))) }

    /// How much longer than others a charged hold is remembered.
    var extra: Int64 { budget > 0 ? max(0, Self.day - retention) : 0 }

    private static func place(_ time: Int64) -> Int { Int(time / quarter % Int64(quarters)) }

    func add(_ change: Int64, endingAt time: Int64) {
        _ = counts[Self.place(time)].add(0, UInt64(bitPattern: change))
        _ = total.add(0, UInt64(bitPattern: change))
    }

    /// Whether one whose day ends then is among the oldest of too many.
    ///
    /// - Complexity: O(quarters) while there are too many.
    func isTooMany(endingAt time: Int64, now: Int64) -> Bool {
        guard count > budget else { return false }
        // Later ones than this one: those that stay.
        var later = 0
        var other = time / Self.quarter + 1
        let last = (now + Self.day) / Self.quarter + 1
        while other <= last {
            later += Int(Int64(bitPattern: counts[Self.place(other * Self.quarter)][0]))
            other += 1
        }
        return later + Int(Int64(bitPattern: counts[Self.place(time)][0])) > budget
    }
}
