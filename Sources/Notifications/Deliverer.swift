import Admission
package import Events
import Foundation
import LogLines
package import Logging

/// Brings deliveries that are due to their recipients: webhooks and mails, many at a time, few at a time to one place.
///
/// **At least once.** What comes of an attempt is noted in the outbox before the delivery is let go; after a crash in
/// between it is attempted again, with the event's same id.
///
/// **Fairness.** A place (a host and port, or the mail server) has a bounded number of attempts underway, and the place
/// with the fewest is next; there each address has its turn, with a lower bound. The outbox is asked for one delivery at a
/// time: what is due beyond that stays there, so that any number of deliveries to a recipient that is dead is in nobody's
/// way.
///
/// **No descriptor.** An attempt that fails while the process cannot open a socket is none: it is made again, once a
/// second, until one can be opened. Those that wait keep their places.
///
/// **Order.** Of events of one transition to one recipient, first attempts begin in the order of the events: each when the
/// one before it has been sent, or has failed.
package actor Deliverer {
    /// One attempt to mail an event to an address. nil: mail is not set up.
    package typealias Mailer =
        @Sendable (_ event: Event, _ address: String, _ began: @escaping Began) async
        -> AttemptResult
    /// One attempt to post an event to a URL; the number counts from 1.
    typealias Poster =
        @Sendable (_ post: WebhookPost, _ began: @escaping Began) async -> AttemptResult
    /// Called when the recipient has, or is being sent, what the attempt is about.
    package typealias Began = @Sendable () -> Void

    /// How one place stands.
    private struct Place {
        /// Deliveries taken from the outbox and not let go, by address.
        var underway: [String: Set<Int64>] = [:]
        var count = 0
        /// The outbox may have more that is due.
        var hasMore = true
        /// When it was served last, in turns.
        var lastTurn = 0
        /// The address that had its turn last, and whether any has had one since the first.
        var endpoint = ""
        var hasFound = false
        /// Deliveries that have ended.
        var ended = 0

        mutating func take(_ delivery: Delivery, turn: Int) {
            underway[delivery.endpoint, default: []].insert(delivery.id)
            count += 1
            lastTurn = turn
            endpoint = delivery.endpoint
            hasFound = true
        }

        mutating func finish(_ delivery: Delivery) {
            underway[delivery.endpoint]?.remove(delivery.id)
            if underway[delivery.endpoint]?.isEmpty ?? false { underway[delivery.endpoint] = nil }
            count -= 1
            // Its address may have been at its bound.
            hasMore = true
            ended += 1
        }

        /// The last address has had its turn, as the outbox was asked when the place stood so.
        mutating func endRound(since asked: Place) {
            // What ended meanwhile has made room that the answer knows nothing of.
            if !hasFound && ended == asked.ended { hasMore = false }
            endpoint = ""
            hasFound = false
        }
    }

    /// First attempts of one transition's events to one recipient.
    private struct StartOrder: Hashable {
        var transition: Int64
        var recipient: String
        var endpoint: String
    }

    private let outbox: any Outbox
    private let settings: DeliverySettings
    private let webhooks: WebhookSettings
    private let post: Poster
    private let mailer: Mailer?
    private let now: @Sendable () -> Int64
    private let logger: Logger
    private let unread = StateLog(
        begins: "the outbox cannot be read", ends: "the outbox can be read again")
    private let unnoted = StateLog(
        begins: "a delivery attempt could not be recorded",
        ends: "delivery attempts are recorded again")
    /// Deliveries that failed for good, by their places.
    private let failures = RepeatLog(rest: "further places")
    /// Whether no socket can be opened, and how long to wait then.
    private let isShort: @Sendable () -> Bool
    private let shortPause: Duration

    /// Places with something underway or due, as far as they are known.
    private var places: [DeliveryPlace: Place] = [:]
    /// The latest first attempt of each order of which one is underway.
    private var starts: [StartOrder: StartGate] = [:]
    private var running = 0
    private var turn = 0
    /// When the outbox may have something due at a place that is not known, Unix milliseconds.
    private var walkAt: Int64 = 0
    /// The walk through the outbox's places that has not come to the end: since when, and how far it came.
    private var walk: (began: Int64, last: DeliveryPlace)?
    private let bell = DeliveryBell()
    /// What operators are shown.
    package nonisolated let counts = DeliveryCounts()

    /// - Parameter now: Unix milliseconds, of the clock that the outbox counts by.
    package init(
        outbox: any Outbox, settings: DeliverySettings = DeliverySettings(),
        webhooks: WebhookSettings, sender: WebhookSender, mailer: Mailer?,
        now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.init(
            outbox: outbox, settings: settings, webhooks: webhooks,
            post: { await sender.send($0, began: $1) }, mailer: mailer, now: now, logger: logger)
    }

    init(
        outbox: any Outbox, settings: DeliverySettings, webhooks: WebhookSettings,
        post: @escaping Poster, mailer: Mailer?, now: @escaping @Sendable () -> Int64,
        logger: Logger, shortPause: Duration = .seconds(1),
        isShort: @escaping @Sendable () -> Bool = { Descriptors.shortage != nil }
    ) {
        self.isShort = isShort
        self.shortPause = shortPause
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
                    if !Task.isCancelled { bell.ringForNews() }
                }
            }
            alarm?.cancel()
            group.cancelAll()
        }
    }

    // MARK: What is due

    /// Starts what is due and may run. Returns after how many milliseconds to look again.
    private func launch(into group: inout DiscardingTaskGroup) async -> Int64 {
        if bell.takeNews() { walkAt = 0 }
        do {
            try await findPlaces()
            // What is given up at a stop stays due: without the first question it would be taken again and again.
            while !Task.isCancelled, running < settings.concurrency, let place = nextPlace() {
                guard let delivery = try await take(at: place) else { continue }
                // Here: tasks may begin in any order.
                let (gate, before) = queue(delivery)
                group.addTask { await self.deliver(delivery, place, gate, after: before) }
            }
            unread.look(nil, logger)
        } catch {
            unread.look(outbox.reason(of: error), logger)
            walkAt = min(walkAt, now() + 1_000)
        }
        return min(settings.lookMilliseconds, max(10, walkAt - now()))
    }

    /// Places that are looked at with one question.
    private static let step = 1_000

    /// Walks through the outbox's places, if something may have become due or a walk waited for room; once at most:
    /// what became due meanwhile is found by the next look, and what was found is begun before.
    private func findPlaces() async throws {
        guard walk != nil || now() >= walkAt else { return }
        repeat {
            guard !Task.isCancelled, places.count < settings.places else { return }
            let began = walk?.began ?? now()
            // An attempt that ends meanwhile may ask for an earlier time.
            if walk == nil { walkAt = .max }
            let found = try await outbox.places(
                due: began, after: walk?.last, limit: Self.step)
            for place in found.due { places[place, default: Place()].hasMore = true }
            walk = found.last.map { (began, $0) }
            if walk == nil {
                let next = try await outbox.nextDue(after: began) ?? .max
                walkAt = min(walkAt, next)
            }
        } while walk != nil
    }

    /// - Complexity: O(*n*) in the number of places.
    private func nextPlace() -> DeliveryPlace? {
        places.lazy
            .filter { [bound = settings.concurrencyPerHost] in
                $0.value.hasMore && $0.value.count < bound
            }
            .min {
                ($0.value.count, $0.value.lastTurn) < ($1.value.count, $1.value.lastTurn)
            }?
            .key
    }

    /// Takes the next delivery of a place; nil: it has none at the moment.
    private func take(at place: DeliveryPlace) async throws -> Delivery? {
        // What ends meanwhile may be due again: then it is told of anew.
        let known = places[place] ?? Place()
        let next = try await outbox.nextDelivery(
            at: place, due: now(), after: known.endpoint, except: known.underway,
            bound: settings.concurrencyPerEndpoint)
        switch next {
        case .found(let delivery):
            turn += 1
            running += 1
            counts.set(underway: running)
            places[place, default: Place()].take(delivery, turn: turn)
            return delivery
        case .goOn(let endpoint):
            places[place]?.endpoint = endpoint
        case .none:
            places[place]?.endRound(since: known)
            forgetIfIdle(place)
        }
        return nil
    }

    private func forgetIfIdle(_ place: DeliveryPlace) {
        guard let known = places[place], known.count == 0, !known.hasMore else { return }
        places[place] = nil
    }

    /// Puts a first attempt behind those of its transition: what to open when it has begun, and what to wait for.
    private func queue(_ delivery: Delivery) -> (gate: StartGate?, before: StartGate?) {
        guard let order = Self.order(of: delivery) else { return (nil, nil) }
        let gate = StartGate()
        return (gate, starts.updateValue(gate, forKey: order))
    }

    /// nil: nothing is to wait for it.
    private static func order(of delivery: Delivery) -> StartOrder? {
        guard delivery.transition != 0, delivery.attempts == 0 else { return nil }
        return StartOrder(
            transition: delivery.transition, recipient: delivery.recipient,
            endpoint: delivery.endpoint)
    }

    // MARK: One attempt

    private func deliver(
        _ delivery: Delivery, _ place: DeliveryPlace, _ gate: StartGate?, after before: StartGate?
    ) async {
        await before?.opened()
        var startedAt = now()
        let number = delivery.attempts + 1
        let schedule = DeliverySchedule(delivery, webhooks, settings)
        var result = await attempt(delivery, schedule.target, number) { gate?.open() }
        while result.error != nil, result.status == nil, isShort(), !Task.isCancelled {
            try? await Task.sleep(for: shortPause)
            startedAt = now()
            result = await attempt(delivery, schedule.target, number) { gate?.open() }
        }
        gate?.open()
        if let gate, let order = Self.order(of: delivery), starts[order] === gate {
            starts[order] = nil
        }
        // A stop in the middle is no attempt: it stays due.
        if !Task.isCancelled || result.error == nil {
            let attempt = DeliveryAttempt(
                number: number, startedAt: startedAt, finishedAt: now(), target: schedule.target,
                status: result.status, error: result.error)
            let outcome = schedule.outcome(of: result, at: attempt.finishedAt)
            if outcome == .failed { tellFailure(of: delivery, place, attempt) }
            counts.add(outcome, delivery.channel)
            await note(attempt, of: delivery.id, outcome)
            if case .again(let time, _) = outcome { walkAt = min(walkAt, time) }
        }
        running -= 1
        counts.set(underway: running)
        places[place]?.finish(delivery)
        bell.ring()
    }

    private func tellFailure(
        of delivery: Delivery, _ place: DeliveryPlace, _ attempt: DeliveryAttempt
    ) {
        guard let count = failures.note(place.name) else { return }
        var metadata: Logger.Metadata = [
            "event": "\(delivery.event.id)",
            // Without path and query, which may be secrets, as may what a library says of them.
            "place": "\(place.name)", "attempts": "\(attempt.number)",
            "status": "\(attempt.status.map(String.init) ?? "none")",
        ]
        if count > 1 { metadata["since_the_last_line"] = "\(count)" }
        logger.warning("a delivery failed for good", metadata: metadata)
    }

    private func attempt(
        _ delivery: Delivery, _ target: String, _ number: Int, _ began: @escaping Began
    ) async -> AttemptResult {
        switch delivery.channel {
        case .webhook:
            return await post(
                WebhookPost(
                    event: delivery.event, url: target, number: number,
                    recipient: delivery.recipient), began)
        case .email(let address):
            return await mailer?(delivery.event, address, began)
                ?? AttemptResult(status: nil, error: "no mail server is configured (--smtp-host)")
        }
    }

    /// Until it is noted: a delivery that was let go without would be attempted again at once.
    private func note(
        _ attempt: DeliveryAttempt, of delivery: Int64, _ outcome: DeliveryOutcome
    ) async {
        let outbox = outbox
        while true {
            do {
                // In a task of its own: a stop does not take back what was done.
                try await Task { try await outbox.note(attempt, of: delivery, outcome) }.value
                unnoted.look(nil, logger)
                return
            } catch {
                unnoted.look(outbox.reason(of: error), logger)
            }
            try? await Task.sleep(for: .seconds(1))
            if Task.isCancelled { return }
        }
    }
}
