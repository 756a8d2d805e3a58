/// A token bucket on a clock that the caller supplies.
///
/// Tokens are kept in whole units; the refill is computed only when the bucket looks empty, so that
/// the common take is one decrement.
struct TokenBucket {
    private let burst: Int
    private let perSecond: Int
    private var tokens: Int
    /// The instant up to which refills have been credited.
    private var creditedNanoseconds: UInt64?

    init(_ rate: SessionConfiguration.Rate) {
        precondition(rate.burst >= 0 && rate.perSecond >= 0, "a rate is not negative")
        burst = rate.burst
        perSecond = rate.perSecond
        tokens = rate.burst
    }

    /// Takes one token.
    ///
    /// - Parameter nowNanoseconds: a monotonic clock.
    /// - Returns: false when the bucket is empty.
    mutating func take(nowNanoseconds: UInt64) -> Bool {
        if creditedNanoseconds == nil { creditedNanoseconds = nowNanoseconds }
        if tokens == 0 { refill(nowNanoseconds: nowNanoseconds) }
        guard tokens > 0 else { return false }
        tokens -= 1
        return true
    }

    /// Takes away what is beyond some tokens.
    mutating func limit(to count: Int) {
        tokens = min(tokens, count)
    }

    /// Adds tokens that were earned otherwise than by time.
    mutating func earn(_ count: Int) {
        tokens = min(burst, tokens + count)
    }

    /// Adds tokens that go beyond the burst.
    mutating func grant(_ count: Int, atMost limit: Int) {
        tokens = max(tokens, min(limit, tokens + count))
    }

    private mutating func refill(nowNanoseconds: UInt64) {
        guard let credited = creditedNanoseconds, nowNanoseconds > credited, perSecond > 0 else {
            return
        }
        // A bucket that was idle for long is simply full: this also keeps the product in range.
        let elapsed = nowNanoseconds - credited
        let nanosecondsPerToken = max(1, 1_000_000_000 / UInt64(perSecond))
        let earned = elapsed / nanosecondsPerToken
        guard earned > 0 else { return }
        creditedNanoseconds = credited + earned * nanosecondsPerToken
        tokens = earned >= UInt64(burst) ? burst : min(burst, tokens + Int(earned))
    }
}
