import Events

/// Where the next attempt of a delivery goes, and what follows if it fails: so many attempts on the address, then as
/// many on the failover address. A delivery that is sent again by hand begins anew.
struct DeliverySchedule: Equatable {
    /// The URL or mail address.
    let target: String
    /// Milliseconds until the attempt after this one, before jitter; nil: it is the last.
    let pause: Int64?
    /// Where the attempt after this one goes.
    let nextPlace: DeliveryPlace

    init(_ delivery: Delivery, _ webhooks: WebhookSettings, _ settings: DeliverySettings) {
        let made = delivery.attempts - delivery.begun
        switch delivery.channel {
        case .email(let address):
            let pauses = settings.mailBackoffMilliseconds
            let step = made % (pauses.count + 1)
            target = address
            nextPlace = .mail
            pause = step < pauses.count ? pauses[step] : nil
        case .webhook(let url, let failoverURL):
            let addresses = failoverURL.isEmpty ? [url] : [url, failoverURL]
            let step = made % (addresses.count * webhooks.attempts)
            let (round, earlier) = step.quotientAndRemainder(dividingBy: webhooks.attempts)
            let nextRound = (step + 1) / webhooks.attempts
            target = addresses[round]
            nextPlace = DeliveryPlace(url: addresses[min(nextRound, addresses.count - 1)])
            if earlier + 1 < webhooks.attempts {
                var pause = webhooks.backoffMilliseconds
                for _ in 0..<earlier { pause *= webhooks.backoffFactor }
                self.pause = pause
            } else {
                pause = nextRound < addresses.count ? 0 : nil
            }
        }
    }

    /// - Parameter time: when the attempt ended, Unix milliseconds.
    func outcome(of result: AttemptResult, at time: Int64) -> DeliveryOutcome {
        guard result.error != nil else { return .delivered }
        guard let pause, !result.isFinal else { return .failed }
        // Many that failed together do not come back together.
        return .again(
            at: time + pause + Int64.random(in: -(pause / 5)...(pause / 5)), nextPlace)
    }
}
