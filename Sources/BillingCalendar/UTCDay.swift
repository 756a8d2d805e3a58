public import Limits

/// Days of 00:00:00 UTC to the next (semantics §2): plain arithmetic, since Unix time has no leap
/// seconds.
public enum UTCDay {
    /// Milliseconds in a day.
    public static let milliseconds: Int64 = 86_400_000

    /// The day that holds an instant.
    ///
    /// - Parameter instant: Unix milliseconds, also before 1970; a year beyond ± 290 million is a
    ///   programmer error.
    /// - Complexity: O(1), no allocation.
    @inlinable public static func window(containing instant: Int64) -> CycleWindow {
        let sinceMidnight = instant % milliseconds
        let start = instant - (sinceMidnight < 0 ? sinceMidnight + milliseconds : sinceMidnight)
        return CycleWindow(start: start, end: start + milliseconds)
    }
}
