/// Counts of this client's calls since it was created. Of streams, only the checks of those under a
/// policy are counted, by their outcomes.
public struct ClientCounters: Sendable, Hashable {
    /// Calls that were started. Those that have ended are in `answered` or in `failed`.
    public var calls: UInt64
    /// Calls that the service answered, denials included; failures are not among them.
    public var answered: UInt64
    /// Checks, entries of batches included, that were allowed or denied.
    public var allowed: UInt64
    public var denied: UInt64
    /// Calls that failed, by their status.
    public var failed: [TollgateError.Code: UInt64]
    /// Attempts after a call's first.
    public var retries: UInt64
    /// How often the circuit breaker opened, and calls that failed at once because of it.
    public var breakerOpened: UInt64
    public var heldBack: UInt64
    /// Checks that `FailurePolicy.failOpen` let through, those that did not fit its budget or
    /// `maximumUnsettled`, and those that were settled.
    public var letThrough: UInt64
    public var notLetThrough: UInt64
    public var settled: UInt64
    /// Actions that were let through and are not settled yet.
    public var unsettled: Int
    public var connectionsMade: UInt64
    public var connectionsEnded: UInt64
    /// How often an endpoint could not be reached or stopped responding.
    public var endpointFailures: UInt64
}
