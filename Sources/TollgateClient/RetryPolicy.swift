/// When a failed attempt may be repeated, by the contract's rules.
enum RetryPolicy {
    /// How long to wait before the next attempt; nil: there must be none.
    ///
    /// - Parameters:
    ///   - attempt: The attempt that failed, from 1.
    ///   - isRepeatable: A repeat can do no harm: the call has a key or is idempotent by itself.
    ///   - wasCutShort: The attempt had less time than the call: another endpoint may be faster.
    static func delay(
        after error: TollgateError, attempt: Int, isRepeatable: Bool, wasCutShort: Bool = false
    ) -> Duration? {
        if error.code == .deadlineExceeded, isRepeatable, wasCutShort { return .zero }
        guard error.code == .unavailable, error.wasNotProcessed || isRepeatable else { return nil }
        if let milliseconds = error.details?.retryDelayMilliseconds {
            return .milliseconds(milliseconds)
        }
        // A service that answered UNAVAILABLE without RetryInfo says that a retry does not help.
        if error.details != nil { return nil }
        let backoff = 10 << min(attempt, 7)
        return .milliseconds(Int.random(in: backoff / 2...backoff))
    }
}
