package import Events
import Foundation
package import Logging
import Synchronization

/// Brings deliveries that are due to their recipients: webhooks and mails, many at a time, few at a time to one host.
///
/// **At least once.** What comes of an attempt is noted in the outbox before the delivery is let go; after a crash in
/// between it is attempted again, with the event's same id.
///
/// **Fairness.** A host has a bounded number of attempts underway; what is due beyond that waits in memory, so that the
/// rest of the outbox is reached past a host that is dead.
package actor Deliverer {
    /// One attempt to mail an event to an address. nil: mail is not set up.
    package typealias Mailer = @Sendable (_ event: Event, _ address: String) async -> AttemptResult

    private let outbox: any Outbox
    private let settings: DeliverySettings
    private let webhooks: WebhookSettings
    private let sender: WebhookSender
    private let mailer: Mailer?
    private let now: @Sendable () -> Int64
    private let logger: Logger

    /// Taken from the outbox and not let go.
    private var taken: Set<Int64> = []
    private var running: [String: Int] = [:]
    private var runningCount = 0
    private var waiting: [String: [Delivery]] = [:]
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    /// - Parameter now: Unix milliseconds, of the clock that the outbox counts by.
    package init(
        outbox: any Outbox, settings: DeliverySettings = DeliverySettings(),
        webhooks: WebhookSettings, sender: WebhookSender, mailer: Mailer?,
        now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.outbox = outbox
        self.settings = settings
        self.webhooks = webhooks
        self.sender = sender
        self.mailer = mailer
        self.now = now
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Works until the task is cancelled; what is underway then is given up, and stays due.
    package func run() async {
        outbox.onDeliveries { [signal] in signal.yield() }
        signal.yield()
        await withDiscardingTaskGroup { group in
            var alarm: Task<Void, Never>?
            for await _ in signals {
                guard !Task.isCancelled else { break }
                alarm?.cancel()
                let next = await launch(into: &group)
                alarm = Task { [signal] in
                    try? await Task.sleep(for: .milliseconds(next))
                    if !Task.isCancelled { signal.yield() }
                }
            }
            alarm?.cancel()
            group.cancelAll()
        }
    }

    /// Starts what is due and may run. Returns after how many milliseconds to look again.
    private func launch(into group: inout DiscardingTaskGroup) async -> Int64 {
        do {
            while taken.count < settings.waiting {
                let due = try await outbox.due(now: now(), limit: 1_000, except: taken)
                for delivery in due {
                    taken.insert(delivery.id)
                    waiting[host(of: delivery), default: []].append(delivery)
                }
                if due.count < 1_000 { break }
            }
            startWaiting(into: &group)
            guard let next = try await outbox.nextDue(except: taken) else { return 60_000 }
            return min(60_000, max(10, next - now()))
        } catch {
            logger.error("the outbox cannot be read", metadata: ["error": "\(error)"])
            return 1_000
        }
    }

    /// Hosts take turns, so that the window is not filled by one.
    private func startWaiting(into group: inout DiscardingTaskGroup) {
        var progress = true
        while progress && runningCount < settings.concurrency {
            progress = false
            for host in waiting.keys.sorted() {
                guard runningCount < settings.concurrency,
                    running[host, default: 0] < settings.concurrencyPerHost,
                    let delivery = waiting[host]?.first
                else { continue }
                waiting[host]?.removeFirst()
                if waiting[host]?.isEmpty == true { waiting[host] = nil }
                running[host, default: 0] += 1
                runningCount += 1
                progress = true
                group.addTask { await self.deliver(delivery, host: host) }
            }
        }
    }

    private func host(of delivery: Delivery) -> String {
        let url = Self.route(delivery, webhooks).url
        switch delivery.channel {
        case .webhook: return URLComponents(string: url)?.host ?? url
        case .email: return "mail"
        }
    }

    private func deliver(_ delivery: Delivery, host: String) async {
        let startedAt = now()
        let number = delivery.attempts + 1
        let route = Self.route(delivery, webhooks)
        let result: AttemptResult
        switch delivery.channel {
        case .webhook:
            result = await sender.post(
                delivery.event, to: route.url, number: number, now: startedAt)
        case .email(let address):
            result =
                await mailer?(delivery.event, address)
                ?? AttemptResult(status: nil, error: "no mail server is set (--smtp-host)")
        }
        // A stop in the middle is no attempt: it stays due.
        if !Task.isCancelled || result.error == nil {
            let attempt = DeliveryAttempt(
                number: number, startedAt: startedAt, finishedAt: now(), target: route.url,
                status: result.status, error: result.error)
            await note(attempt, delivery, route)
        }
        taken.remove(delivery.id)
        running[host] = running[host].flatMap { $0 > 1 ? $0 - 1 : nil }
        runningCount -= 1
        signal.yield()
    }

    private func note(_ attempt: DeliveryAttempt, _ delivery: Delivery, _ route: Route) async {
        let outcome: DeliveryOutcome
        if attempt.error == nil {
            outcome = .delivered
        } else if let pause = pause(after: delivery, route) {
            outcome = .again(at: attempt.finishedAt + pause)
        } else {
            outcome = .failed
            logger.warning(
                "a delivery was given up",
                metadata: [
                    "event": "\(delivery.event.id)", "target": "\(attempt.target)",
                    "error": "\(attempt.error ?? "")",
                ])
        }
        do {
            try await outbox.note(attempt, of: delivery.id, outcome)
        } catch {
            logger.error("an attempt could not be noted", metadata: ["error": "\(error)"])
        }
    }

    // MARK: The schedule

    struct Route: Equatable {
        var url: String
        /// Attempts on this address before this one.
        var earlier: Int
        /// There is another address to go to after the last attempt on this one.
        var hasNext: Bool
    }

    /// Three attempts on the address, three on the failover address; a delivery that is sent again begins anew.
    static func route(_ delivery: Delivery, _ settings: WebhookSettings) -> Route {
        switch delivery.channel {
        case .email(let address): return Route(url: address, earlier: 0, hasNext: false)
        case .webhook(let url, let failoverURL):
            let rounds = failoverURL.isEmpty ? 1 : 2
            let place = delivery.attempts % (rounds * settings.attempts)
            let isFailover = place >= settings.attempts
            return Route(
                url: isFailover ? failoverURL : url, earlier: place % settings.attempts,
                hasNext: rounds == 2 && !isFailover)
        }
    }

    /// Milliseconds until the attempt after this one; nil: it was the last.
    private func pause(after delivery: Delivery, _ route: Route) -> Int64? {
        if case .email = delivery.channel {
            let pauses = settings.mailBackoffMilliseconds
            let place = delivery.attempts % (pauses.count + 1)
            return place < pauses.count ? Self.jittered(pauses[place]) : nil
        }
        guard route.earlier + 1 < webhooks.attempts else { return route.hasNext ? 0 : nil }
        var pause = webhooks.backoffMilliseconds
        for _ in 0..<route.earlier { pause *= webhooks.backoffFactor }
        return Self.jittered(pause)
    }

    private static func jittered(_ pause: Int64) -> Int64 {
        pause + Int64.random(in: -(pause / 5)...(pause / 5))
    }
}
