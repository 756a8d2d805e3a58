/// Bounds and times of webhooks; each a number with a sane default.
package struct WebhookSettings: Sendable {
    /// From the first look-up of the name to the status line of the answer, milliseconds.
    package var timeoutMilliseconds: Int64 = 2_000
    /// Between the first and the second attempt on an address, milliseconds; each later pause is `backoffFactor` times
    /// as long, and all vary by a fifth.
    package var backoffMilliseconds: Int64 = 1_000
    package var backoffFactor: Int64 = 5
    /// Attempts on an address; then the failover address has as many.
    package var attempts = 3
    /// Private networks that may be reached all the same.
    package var allowedPrivate: [Network] = []

    package init() {}
}

/// Bounds of all deliveries together.
package struct DeliverySettings: Sendable {
    /// Deliveries that are underway at a time.
    package var concurrency = 64
    /// Of those, to one host: a dead one delays no other.
    package var concurrencyPerHost = 16
    /// Of those, to one address: neither does a dead one on a host that lives.
    package var concurrencyPerEndpoint = 8
    /// Places that are known at a time to have something due; more have their turn when one of them has nothing more.
    package var places = 4_096
    /// The outbox is looked at this often, milliseconds, even if nobody said that there is something.
    package var lookMilliseconds: Int64 = 60_000
    /// Between attempts to mail, milliseconds; the last one is the pause before giving up.
    package var mailBackoffMilliseconds: [Int64] = [10_000, 30_000, 90_000, 270_000, 600_000]

    package init() {}
}
