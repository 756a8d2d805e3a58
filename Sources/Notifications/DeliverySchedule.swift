import Events

/// Where the next attempt of a delivery goes, and what follows if it fails: so many attempts on the address, then as
/// many on the failover address. A delivery that is sent again after its last attempt begins anew.
struct DeliverySchedule: Equatable {
    /// The URL or mail address.
    let target: String
    /// Milliseconds until the attempt after this one, before jitter; nil: it is the last.
    let pause: Int64?

    init(_ delivery: Delivery, _ webhooks: WebhookSettings, _ settings: DeliverySettings) {
        switch delivery.channel {
        case .email(let address):
            let pauses = settings.mailBackoffMilliseconds
            let place = delivery.attempts % (pauses.count + 1)
            target = address
            pause = place < pauses.count ? pauses[place] : nil
        case .webhook(let url, let failoverURL):
            let rounds = failoverURL.isEmpty ? 1 : 2
            let place = delivery.attempts % (rounds * webhooks.attempts)
            let (round, earlier) = place.quotientAndRemainder(dividingBy: webhooks.attempts)
            target = round == 0 ? url : failoverURL
            if earlier + 1 < webhooks.attempts {
                var pause = webhooks.backoffMilliseconds
                for _ in 0..<earlier { pause *= webhooks.backoffFactor }
                self.pause = pause
            } else {
                pause = round + 1 < rounds ? 0 : nil
            }
        }
    }

    /// - Parameter time: when the attempt ended, Unix milliseconds.
    func outcome(of result: AttemptResult, at time: Int64) -> DeliveryOutcome {
        guard result.error != nil else { return .delivered }
        guard let pause, !result.isFinal else { return .failed }
        // Many that failed together do not come back together.
        return .again(at: time + pause + Int64.random(in: -(pause / 5)...(pause / 5)))
    }
}
