/// One event on its way to one recipient.
package struct Delivery: Sendable, Equatable {
    package enum Channel: Sendable, Equatable {
        /// Empty failover: none.
        case webhook(url: String, failoverURL: String)
        case email(address: String)
    }

    package var id: Int64
    package var event: Event
    package var channel: Channel
    /// Attempts so far, on all addresses together.
    package var attempts: Int
    /// When the next attempt is due, Unix milliseconds.
    package var dueAt: Int64

    package init(id: Int64, event: Event, channel: Channel, attempts: Int, dueAt: Int64) {
        self.id = id
        self.event = event
        self.channel = channel
        self.attempts = attempts
        self.dueAt = dueAt
    }
}

/// What came of one attempt to deliver.
package struct DeliveryAttempt: Sendable, Equatable, Codable {
    /// 1, 2, ...
    package var number: Int
    /// Unix milliseconds.
    package var startedAt: Int64
    package var finishedAt: Int64
    /// The URL or mail address.
    package var target: String
    /// HTTP status, or SMTP reply code; nil: there was none.
    package var status: Int?
    /// Why it failed; nil: it did not.
    package var error: String?

    package init(
        number: Int, startedAt: Int64, finishedAt: Int64, target: String, status: Int?,
        error: String?
    ) {
        self.number = number
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.target = target
        self.status = status
        self.error = error
    }
}

/// What becomes of a delivery after an attempt.
package enum DeliveryOutcome: Sendable, Equatable {
    case delivered
    /// Again at that time, Unix milliseconds.
    case again(at: Int64)
    /// Given up.
    case failed
}

/// Where deliveries wait, durable across restarts. The projection is one.
package protocol Outbox: Sendable {
    /// Deliveries that are due, oldest first, at most `limit`, without those in `underway`.
    func due(now: Int64, limit: Int, except underway: Set<Int64>) async throws -> [Delivery]
    /// When the next delivery that is not in `underway` is due, Unix milliseconds; nil: none waits.
    func nextDue(except underway: Set<Int64>) async throws -> Int64?
    /// Notes an attempt and what becomes of the delivery, in one transaction.
    func note(_ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome)
        async throws
    /// Has `notify` called, on any thread, whenever deliveries may have been added or become due.
    func onDeliveries(_ notify: @escaping @Sendable () -> Void)
}
