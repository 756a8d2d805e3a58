package import Events
import Foundation
package import Logging

/// Brings deliveries that are due to their recipients: webhooks and mails, many at a time, few at a time to one place.
///
/// **At least once.** What comes of an attempt is noted in the outbox before the delivery is let go; after a crash in
/// between it is attempted again, with the event's same id.
///
/// **Fairness.** A place (a host and port, or the mail server) has a bounded number of attempts underway, and the place
/// with the fewest is next. What is due beyond that waits in memory, so that the rest of the outbox is reached past a
/// place that is dead; `DeliverySettings.waiting` bounds it.
package actor Deliverer {
    /// One attempt to mail an event to an address. nil: mail is not set up.
    package typealias Mailer = @Sendable (_ event: Event, _ address: String) async -> AttemptResult
    /// One attempt to post an event to a URL; the number counts from 1.
    typealias Poster =
        @Sendable (_ event: Event, _ url: String, _ number: Int) async -> AttemptResult

    /// What is due for one place.
    private struct Queue {
        var deliveries: ArraySlice<Delivery> = []
        var running = 0
        /// When it was served last, in turns.
        var lastTurn = 0
    }

    private let outbox: any Outbox
    private let settings: DeliverySettings
    private let webhooks: WebhookSettings
    private let post: Poster
    private let mailer: Mailer?
    private let now: @Sendable () -> Int64
    private let logger: Logger

    /// Taken from the outbox and not let go.
    private var taken: Set<Int64> = []
    private var queues: [String: Queue] = [:]
    private var running = 0
    private var turn = 0
    /// When the outbox is read next, Unix milliseconds.
    private var readAt: Int64 = 0
    /// The outbox had more than was taken.
    private var hasMore = false
    private let bell = DeliveryBell()

    /// - Parameter now: Unix milliseconds, of the clock that the outbox counts by.
    package init(
        outbox: any Outbox, settings: DeliverySettings = DeliverySettings(),
        webhooks: WebhookSettings, sender: WebhookSender, mailer: Mailer?,
        now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.init(
            outbox: outbox, settings: settings, webhooks: webhooks,
            post: { await sender.post($0, to: $1, number: $2) }, mailer: mailer, now: now,
            logger: logger)
    }

    init(
        outbox: any Outbox, settings: DeliverySettings, webhooks: WebhookSettings,
        post: @escaping Poster, mailer: Mailer?, now: @escaping @Sendable () -> Int64,
        logger: Logger
    ) {
        self.outbox = outbox
        self.settings = settings
        self.webhooks = webhooks
        self.post = post
        self.mailer = mailer
        self.now = now
        self.logger = logger
    }

    /// Works until the task is cancelled; what is underway then is given up, and stays due. To be called once.
    package func run() async {
        let bell = bell
        outbox.onDeliveries { bell.ringForNews() }
        bell.ringForNews()
        await withDiscardingTaskGroup { group in
            var alarm: Task<Void, Never>?
            for await _ in bell.rings {
                guard !Task.isCancelled else { break }
                alarm?.cancel()
                let pause = await launch(into: &group)
                alarm = Task {
                    try? await Task.sleep(for: .milliseconds(pause))
                    if !Task.isCancelled { bell.ring() }
                }
            }
            alarm?.cancel()
            group.cancelAll()
        }
    }

    // MARK: What is due

    /// Starts what is due and may run. Returns after how many milliseconds to look again.
    private func launch(into group: inout DiscardingTaskGroup) async -> Int64 {
        if bell.takeNews() { readAt = 0 }
        if now() >= readAt || (hasMore && taken.count <= settings.waiting / 2) {
            do {
                try await take()
            } catch {
                logger.error("the outbox cannot be read", metadata: ["error": "\(error)"])
                readAt = min(readAt, now() + 1_000)
            }
        }
        while running < settings.concurrency, let place = nextPlace(),
            let delivery = queues[place]?.deliveries.popFirst()
        {
            turn += 1
            running += 1
            queues[place]?.running += 1
            queues[place]?.lastTurn = turn
            group.addTask { await self.deliver(delivery, place) }
        }
        return min(60_000, max(10, readAt - now()))
    }

    /// Takes what is due from the outbox, as far as there is room.
    private func take() async throws {
        // An attempt that ends meanwhile may ask for an earlier time.
        readAt = .max
        repeat {
            let limit = min(1_000, settings.waiting - taken.count)
            guard limit > 0 else {
                hasMore = true
                return
            }
            let due = try await outbox.due(now: now(), limit: limit, except: taken)
            for delivery in due where taken.insert(delivery.id).inserted {
                queues[place(of: delivery), default: Queue()].deliveries.append(delivery)
            }
            hasMore = due.count == limit
        } while hasMore
        let next = try await outbox.nextDue(except: taken) ?? .max
        readAt = min(readAt, next)
    }

    /// - Complexity: O(*n*) in the number of places.
    private func nextPlace() -> String? {
        queues.lazy
            .filter { [bound = settings.concurrencyPerHost] in
                !$0.value.deliveries.isEmpty && $0.value.running < bound
            }
            .min { ($0.value.running, $0.value.lastTurn) < ($1.value.running, $1.value.lastTurn) }?
            .key
    }

    private func place(of delivery: Delivery) -> String {
        guard case .webhook = delivery.channel else { return "mail" }
        let url = DeliverySchedule(delivery, webhooks, settings).target
        guard let parts = URLComponents(string: url), let host = parts.host else { return url }
        return "\(parts.scheme ?? "")://\(host):\(parts.port ?? 0)".lowercased()
    }

    // MARK: One attempt

    private func deliver(_ delivery: Delivery, _ place: String) async {
        let startedAt = now()
        let number = delivery.attempts + 1
        let schedule = DeliverySchedule(delivery, webhooks, settings)
        let result: AttemptResult
        switch delivery.channel {
        case .webhook: result = await post(delivery.event, schedule.target, number)
        case .email(let address):
            result =
                await mailer?(delivery.event, address)
                ?? AttemptResult(status: nil, error: "no mail server is set (--smtp-host)")
        }
        // A stop in the middle is no attempt: it stays due.
        if !Task.isCancelled || result.error == nil {
            let attempt = DeliveryAttempt(
                number: number, startedAt: startedAt, finishedAt: now(), target: schedule.target,
                status: result.status, error: result.error)
            let outcome = schedule.outcome(of: result, at: attempt.finishedAt)
            if outcome == .failed {
                logger.warning(
                    "a delivery was given up",
                    metadata: [
                        "event": "\(delivery.event.id)", "target": "\(attempt.target)",
                        "error": "\(attempt.error ?? "")",
                    ])
            }
            await note(attempt, of: delivery.id, outcome)
            if case .again(let time) = outcome { readAt = min(readAt, time) }
        }
        taken.remove(delivery.id)
        running -= 1
        queues[place]?.running -= 1
        if let queue = queues[place], queue.running == 0, queue.deliveries.isEmpty {
            queues[place] = nil
        }
        bell.ring()
    }

    /// Until it is noted: a delivery that was let go without would be attempted again at once.
    private func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async {
        let outbox = outbox
        while true {
            do {
                // In a task of its own: a stop does not take back what was done.
                return try await Task { try await outbox.note(attempt, of: delivery, outcome) }
                    .value
            } catch {
                logger.error("an attempt could not be noted", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(1))
            if Task.isCancelled { return }
        }
    }
}
