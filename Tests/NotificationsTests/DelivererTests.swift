import Events
import Logging
import Synchronization
import Testing

@testable import Notifications

@Suite struct DelivererTests {
    private func delivery(
        _ id: Int64, _ url: String, failover: String = "", attempts: Int = 0, begun: Int = 0
    ) -> Delivery {
        let event = Event(
            id: "evt-\(id)", kind: .tenantSuspended, occurredAt: 0, tenantID: "acme")
        return Delivery(
            id: id, event: event, channel: .webhook(url: url, failoverURL: failover),
            attempts: attempts, begun: begun, dueAt: 0)
    }

    private func withDeliverer(
        _ outbox: MemoryOutbox, settings: DeliverySettings = DeliverySettings(),
        mailer: Deliverer.Mailer? = nil, isShort: @escaping @Sendable () -> Bool = { false },
        post: @escaping Deliverer.Poster, _ body: () async throws -> Void
    ) async rethrows {
        let deliverer = Deliverer(
            outbox: outbox, settings: settings, webhooks: WebhookSettings(), post: post,
            mailer: mailer, now: { outbox.state.withLock { $0.now } },
            logger: Logger(label: "test"), shortPause: .milliseconds(1), isShort: isShort)
        let task = Task { await deliverer.run() }
        try await body()
        task.cancel()
        await task.value
    }

    @Test func threeAttemptsThenThreeOnTheFailoverURL() async throws {
        let outbox = MemoryOutbox([delivery(1, "http://a/", failover: "http://b/")])
        let asked = Mutex<[String]>([])
        await withDeliverer(outbox) { post, _ in
            asked.withLock { $0.append("\(post.event.id) \(post.number) \(post.url)") }
            return AttemptResult(status: 500, error: "no")
        } _: {
            await outbox.until { $0.ends[1] == .failed }
        }
        let expected = [
            "evt-1 1 http://a/", "evt-1 2 http://a/", "evt-1 3 http://a/", "evt-1 4 http://b/",
            "evt-1 5 http://b/", "evt-1 6 http://b/",
        ]
        #expect(asked.withLock { $0 } == expected)
        let starts = outbox.state.withLock { $0.attempts[1]?.map(\.startedAt) ?? [] }
        let pauses = zip(starts, starts.dropFirst()).map { $1 - $0 }
        try #require(pauses.count == 5)
        for (pause, range) in zip(
            pauses, [800...1_200, 4_000...6_000, 0...0, 800...1_200, 4_000...6_000])
        {
            #expect(range.contains(Int(pause)))
        }
    }

    /// However long none can be opened: nothing is given up for it, and the attempt that meets the recipient is the first.
    @Test func withoutADescriptorNothingIsAnAttempt() async throws {
        let outbox = MemoryOutbox([delivery(1, "http://a/")])
        let asked = Mutex<[Int]>([])
        await withDeliverer(outbox, isShort: { asked.withLock { $0.count } <= 20 }) { post, _ in
            let count = asked.withLock { asked in
                asked.append(post.number)
                return asked.count
            }
            return count <= 20
                ? AttemptResult(status: nil, error: "too many open files")
                : AttemptResult(status: 204, error: nil)
        } _: {
            await outbox.until { $0.ends[1] == .delivered }
        }
        #expect(asked.withLock { $0 } == Array(repeating: 1, count: 21))
        #expect(outbox.state.withLock { $0.attempts[1]?.map(\.number) } == [1])
    }

    @Test func thePausesVary() {
        let schedule = DeliverySchedule(
            delivery(1, "http://a/"), WebhookSettings(), DeliverySettings())
        let failed = AttemptResult(status: nil, error: "no")
        var times: Set<Int64> = []
        for _ in 0..<100 {
            guard case .again(let time, let place) = schedule.outcome(of: failed, at: 10_000) else {
                continue
            }
            #expect((10_800...11_200).contains(time) && place.name == "http://a:80")
            times.insert(time)
        }
        #expect(times.count > 1)
    }

    /// As often as a new one, from the first address on, however many attempts there were before.
    @Test(arguments: [1, 2, 3, 6]) func whatIsSentAgainBeginsAnew(before: Int) {
        for made in 0..<6 {
            let (new, again) = (0, before)
            let schedules = [new, again].map { begun in
                DeliverySchedule(
                    delivery(
                        1, "http://a/", failover: "http://b/", attempts: begun + made, begun: begun),
                    WebhookSettings(), DeliverySettings())
            }
            #expect(schedules[0] == schedules[1])
            #expect(schedules[0].target == (made < 3 ? "http://a/" : "http://b/"))
        }
    }

    @Test func mailIsTriedSixTimesAndARefusalForGoodOnce() async {
        let event = Event(id: "e", kind: .tenantSuspended, occurredAt: 0, tenantID: "acme")
        let mails = [(1, "later@example.com"), (2, "never@example.com")].map { id, address in
            Delivery(
                id: id, event: event, channel: .email(address: address), attempts: 0, dueAt: 0)
        }
        let outbox = MemoryOutbox(mails)
        await withDeliverer(
            outbox,
            mailer: { _, address, _ in
                AttemptResult(status: 450, error: "no", isFinal: address.hasPrefix("never"))
            }, post: { _, _ in AttemptResult(status: 200, error: nil) }
        ) {
            await outbox.until { $0.ends.count == 2 }
        }
        let (ends, attempts) = outbox.state.withLock { ($0.ends, $0.attempts) }
        #expect(ends == [1: .failed, 2: .failed])
        #expect(attempts[1]?.count == 6 && attempts[2]?.count == 1)
    }

    /// The outbox is looked at now and then, though nobody said that there is something.
    @Test(.timeLimit(.minutes(10))) func whatNobodyToldOfIsFound() async {
        let outbox = MemoryOutbox([delivery(1, "http://a/")])
        var settings = DeliverySettings()
        settings.lookMilliseconds = 10
        await withDeliverer(outbox, settings: settings) { _, _ in
            AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 1 }
            outbox.add(delivery(2, "http://b/"))
            await outbox.until { $0.ends.count == 2 }
        }
        #expect(outbox.state.withLock { $0.ends } == [1: .delivered, 2: .delivered])
    }

    /// Dead places answer only when the test ends; the healthy one is behind all of them in the outbox.
    @Test func deadPlacesDelayNoOther() async {
        var deliveries: [Delivery] = []
        for id in 0..<2_000 { deliveries.append(delivery(Int64(id), "http://dead\(id % 4)/")) }
        for id in 2_000..<3_000 { deliveries.append(delivery(Int64(id), "http://well/\(id)")) }
        let outbox = MemoryOutbox(deliveries)
        let atOnce = Mutex<[String: Int]>([:])
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        await withDeliverer(outbox) { post, _ in
            let url = post.url
            guard url.contains("dead") else { return AttemptResult(status: 200, error: nil) }
            atOnce.withLock { $0[url, default: 0] += 1 }
            for await _ in never {}
            return AttemptResult(status: nil, error: "the service is stopping")
        } _: {
            await outbox.until { $0.ends.count == 1_000 }
        }
        end.finish()
        #expect(outbox.state.withLock { $0.ends.keys.allSatisfy { $0 >= 2_000 } })
        // What was given up at the end is no attempt.
        #expect(outbox.state.withLock { $0.places.count == 2_000 && $0.attempts.count == 1_000 })
        #expect(atOnce.withLock { $0.values.allSatisfy { $0 <= 8 } && $0.count == 4 })
    }

    /// What a dead place has waiting stays in the outbox, however much it is.
    @Test func aDeadPlaceHoldsNoMoreThanItsAttempts() async {
        var deliveries = (0..<5_000).map { delivery($0, "http://dead/") }
        deliveries += (5_000..<5_010).map { delivery($0, "http://well/") }
        let outbox = MemoryOutbox(deliveries)
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        await withDeliverer(outbox) { post, _ in
            if post.url.contains("dead") { for await _ in never {} }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 10 }
            #expect(outbox.state.withLock { $0.handedOut } <= 10 + 8)
        }
        end.finish()
    }

    /// More places than are known at a time have their turn all the same, also those that become due meanwhile.
    @Test func placesHaveTheirTurn() async {
        var settings = DeliverySettings()
        settings.places = 3
        settings.concurrency = 2
        let outbox = MemoryOutbox(
            (0..<1_500).map { delivery($0, "http://host\($0 % 1_200)/") })
        await withDeliverer(outbox, settings: settings) { post, _ in
            if post.number == 1 { return AttemptResult(status: 500, error: "no") }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 1_500 }
        }
        #expect(
            outbox.state.withLock { $0.ends.values.allSatisfy { $0 == .delivered } })
    }

    /// Something is due whenever a look at the places ends: what was found is delivered all the same.
    @Test(.timeLimit(.minutes(10))) func looksAtPlacesLeaveTimeForDeliveries() async {
        let far: Int64 = 1_000_000
        let outbox = MemoryOutbox(
            [delivery(0, "http://a/")]
                + (1...far / 1_000).map { number in
                    var later = delivery(number, "http://later/")
                    later.dueAt = number
                    return later
                })
        let waiting = Mutex<Int?>(nil)
        outbox.state.withLock { $0.isRestless = true }
        await withDeliverer(outbox) { post, _ in
            if post.event.id == "evt-0" {
                let left = outbox.state.withLock { state in
                    state.waiting.values.joined().count { $0.value.dueAt > state.now }
                }
                waiting.withLock { $0 = left }
            }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends[0] == .delivered }
        }
        // Not the last of all.
        #expect(waiting.withLock { $0 } ?? 0 > 0)
    }

    /// What is given up is due again at once, and nobody takes it.
    @Test(.timeLimit(.minutes(10))) func aStopWhileDeliveriesAreTakenIsTheEnd() async {
        let outbox = MemoryOutbox((0..<40).map { delivery($0, "http://host\($0)/") })
        outbox.state.withLock { $0.lastHandedOut = 20 }
        await withDeliverer(outbox) { _, _ in
            try? await Task.sleep(for: .seconds(3_600))
            return AttemptResult(status: nil, error: "the service is stopping")
        } _: {
            while outbox.state.withLock({ $0.handedOut < 20 }) { await Task.yield() }
        }
        #expect(outbox.state.withLock { $0.handedOut == 20 && $0.attempts.isEmpty })
    }

    @Test func whatCannotBeNotedIsNotSentAgain() async {
        let outbox = MemoryOutbox([delivery(1, "http://a/")])
        outbox.state.withLock { $0.failures = 1 }
        let sent = LockedCount()
        await withDeliverer(outbox) { _, _ in
            _ = sent.next()
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends[1] == .delivered }
        }
        #expect(sent.value == 1)
    }

    @Test func aNewDeliveryIsTakenWhenTheOutboxSaysSo() async {
        let outbox = MemoryOutbox([delivery(1, "http://a/")])
        await withDeliverer(outbox) { _, _ in
            AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends[1] == .delivered }
            outbox.add(delivery(2, "http://a/"))
            outbox.state.withLock { $0.listener }?()
            await outbox.until { $0.ends[2] == .delivered }
        }
        #expect(outbox.state.withLock { $0.places.isEmpty })
    }

    /// One address takes no more than its share of a host.
    @Test func aDeadAddressLeavesItsHostToOthers() async throws {
        var deliveries = (0..<500).map { delivery($0, "http://host/dead") }
        deliveries += (500..<600).map { delivery($0, "http://host/well") }
        let outbox = MemoryOutbox(deliveries)
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        await withDeliverer(outbox) { post, _ in
            if post.url.hasSuffix("dead") { for await _ in never {} }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 100 }
            #expect(outbox.state.withLock { $0.handedOut } <= 100 + 8)
        }
        end.finish()
    }

    /// What ends while the outbox is asked makes room that its answer knows nothing of.
    @Test(.timeLimit(.minutes(1))) func whatEndsDuringAQuestionIsNotForgotten() async {
        let outbox = MemoryOutbox([delivery(1, "http://a/"), delivery(2, "http://a/")])
        var settings = DeliverySettings()
        settings.concurrencyPerEndpoint = 1
        settings.lookMilliseconds = 3_600_000
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        let questions = LockedCount()
        outbox.state.withLock {
            $0.onNothing = { [unowned outbox] in
                // The first ends a round in which something was found.
                guard questions.next() == 2 else { return }
                end.finish()
                while outbox.state.withLock({ $0.ends[1] == nil }) { await Task.yield() }
                // Until the deliverer has let it go.
                for _ in 0..<1_000 { await Task.yield() }
            }
        }
        await withDeliverer(outbox, settings: settings) { post, _ in
            if post.event.id == "evt-1" { for await _ in never {} }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 2 }
        }
        #expect(outbox.state.withLock { $0.ends } == [1: .delivered, 2: .delivered])
    }

    /// Of one transition to one recipient: the next begins when the one before has been sent, answered or not.
    @Test(.timeLimit(.minutes(10))) func firstAttemptsBeginInOrder() async throws {
        var deliveries: [Delivery] = []
        for transition in 1...20 {
            for part in 0..<3 {
                var next = delivery(Int64(transition * 10 + part), "http://a/\(transition % 4)")
                next.transition = Int64(transition)
                deliveries.append(next)
            }
        }
        let outbox = MemoryOutbox(deliveries)
        let sent = Mutex<[Int: [Int]]>([:])
        let (never, end) = AsyncStream.makeStream(of: Void.self)
        await withDeliverer(outbox) { post, began in
            let id = Int(post.event.id.dropFirst(4)) ?? 0
            let (transition, part) = (id / 10, id % 10)
            if post.number == 1 {
                // Whoever may run goes first.
                for _ in 0..<(part == 0 ? 50 : 0) { await Task.yield() }
                sent.withLock { $0[transition, default: []].append(part) }
            }
            // Some fail at once without having been sent, some are sent and never answered.
            if transition % 3 == 0, post.number < 3 {
                return AttemptResult(status: nil, error: "refused")
            }
            began()
            if transition == 4, part == 0 { for await _ in never {} }
            return AttemptResult(status: 200, error: nil)
        } _: {
            await outbox.until { $0.ends.count == 59 }
        }
        end.finish()
        let all = sent.withLock { $0 }
        #expect(all.count == 20 && all.values.allSatisfy { $0 == [0, 1, 2] }, "\(all)")
    }
}
