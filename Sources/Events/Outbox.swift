import Foundation

/// Where attempts go, so that places share the work: a host and port, or the mail server.
package struct DeliveryPlace: Sendable, Hashable {
    /// "https://example.com:443"; never empty.
    package let name: String

    package static let mail = DeliveryPlace(name: "mail")

    package init(name: String) { self.name = name }

    /// The place of a URL; the text itself if it is none.
    package init(url: String) {
        guard let parts = URLComponents(string: url), let host = parts.host else {
            self.init(name: "url:\(url)")
            return
        }
        let scheme = (parts.scheme ?? "").lowercased()
        let port = parts.port ?? (scheme == "http" ? 80 : 443)
        self.init(name: "\(scheme)://\(host.lowercased()):\(port)")
    }

    /// The place of a delivery's first attempt.
    package init(_ channel: Delivery.Channel) {
        switch channel {
        case .webhook(let url, _): self.init(url: url)
        case .email: self = .mail
        }
    }
}

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
    /// Of those, the ones before it was sent again by hand, which begins anew.
    package var begun: Int
    /// When the next attempt is due, Unix milliseconds.
    package var dueAt: Int64
    /// What tells the transition that raised the event from all others; 0: nothing else was raised with it.
    package var transition: Int64 = 0
    /// The setting that it is for; empty: none.
    package var recipient = ""

    package init(
        id: Int64, event: Event, channel: Channel, attempts: Int, begun: Int = 0, dueAt: Int64
    ) {
        self.id = id
        self.event = event
        self.channel = channel
        self.attempts = attempts
        self.begun = begun
        self.dueAt = dueAt
    }

    /// The address that it is for, wherever its attempts go: one recipient, as far as fairness is concerned.
    package var endpoint: String {
        switch channel {
        case .webhook(let url, _): url
        case .email(let address): address
        }
    }
}

/// What an outbox has for a place.
package enum NextDelivery: Sendable, Equatable {
    case found(Delivery)
    /// Nothing so far; there may be more behind that address.
    case goOn(after: String)
    /// Behind the address that was asked from nothing more is due that may be taken.
    case none
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
    /// Again at that time, Unix milliseconds, and there.
    case again(at: Int64, DeliveryPlace)
    /// Given up.
    case failed
}

/// Where deliveries wait, durable across restarts. The projection is one.
///
/// It is asked place by place, and there address by address, so that what waits for one is never in the way of what is
/// due at another.
package protocol Outbox: Sendable {
    /// Places where a delivery is due, in the order of their names.
    ///
    /// - Parameters:
    ///   - place: where to go on from; nil: from the first.
    ///   - limit: of places that are looked at, whether something is due there or only waits.
    /// - Returns: and where to go on; nil: there are no more.
    /// - Complexity: O(limit), however many deliveries wait.
    func places(
        due now: Int64, after place: DeliveryPlace?, limit: Int
    ) async throws -> (due: [DeliveryPlace], last: DeliveryPlace?)
    /// The oldest delivery that is due and not underway of the next address of a place that has one, and fewer underway
    /// than the bound.
    ///
    /// - Parameters:
    ///   - endpoint: addresses behind it, in their order; empty: from the first.
    ///   - underway: what has been taken and not let go, by address.
    /// - Complexity: O(underway), however many deliveries wait; a bounded number of addresses is looked at.
    func nextDelivery(
        at place: DeliveryPlace, due now: Int64, after endpoint: String,
        except underway: [String: Set<Int64>], bound: Int
    ) async throws -> NextDelivery
    /// When the next delivery falls due after a time, Unix milliseconds; nil: none waits for that.
    func nextDue(after now: Int64) async throws -> Int64?
    /// Notes an attempt and what becomes of the delivery, in one transaction.
    func note(_ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome)
        async throws
    /// What went wrong here, in words for the log.
    func reason(of error: any Error) -> String
    /// Has `notify` called, on any thread, whenever deliveries may have been added or become due.
    func onDeliveries(_ notify: @escaping @Sendable () -> Void)
}
