/// What has become of this client's calls since it was made. Of streams only what becomes of the checks of those under
/// a policy is counted.
public struct ClientCounters: Sendable, Hashable {
    /// Calls that were begun. Those that are over are in `answered` or in `failed`.
    public var calls: UInt64
    /// Calls that the service answered, whatever it said; failures are not among them.
    public var answered: UInt64
    /// Checks, entries of batches too, that were allowed or denied.
    public var allowed: UInt64
    public var denied: UInt64
    /// Calls that failed, by what they ended with.
    public var failed: [TollgateError.Code: UInt64]
    /// Attempts after a call's first.
    public var retries: UInt64
    /// How often the circuit breaker opened, and the calls that failed at once because of it.
    public var breakerOpened: UInt64
    public var heldBack: UInt64
    /// Checks that `FailurePolicy.failOpen` let through, those for which it had no room, and those that were settled.
    public var letThrough: UInt64
    public var notLetThrough: UInt64
    public var settled: UInt64
    /// What was let through and waits to be settled.
    public var unsettled: Int
    public var connectionsMade: UInt64
    public var connectionsEnded: UInt64
    /// How often an endpoint could not be reached or fell silent.
    public var endpointFailures: UInt64
}
