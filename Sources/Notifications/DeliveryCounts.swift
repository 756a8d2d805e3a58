import Events
import Synchronization

/// What has come of attempts to deliver since the process began.
///
/// Thread safety: any thread.
package final class DeliveryCounts: Sendable {
    package struct Attempt: Sendable, Hashable, CaseIterable {
        package enum Channel: String, Sendable, CaseIterable { case webhook, email }
        /// `retried`: it failed, and is tried again.
        package enum Outcome: String, Sendable, CaseIterable { case delivered, retried, failed }

        package var channel: Channel
        package var outcome: Outcome

        package static var allCases: [Attempt] {
            Channel.allCases.flatMap { channel in
                Outcome.allCases.map { Attempt(channel: channel, outcome: $0) }
            }
        }
    }

    private struct State {
        var attempts: [Attempt: UInt64] = [:]
        var underway = 0
    }

    private let state = Mutex(State())

    func add(_ outcome: DeliveryOutcome, _ channel: Delivery.Channel) {
        let channel: Attempt.Channel =
            switch channel {
            case .webhook: .webhook
            case .email: .email
            }
        let outcome: Attempt.Outcome =
            switch outcome {
            case .delivered: .delivered
            case .again: .retried
            case .failed: .failed
            }
        let attempt = Attempt(channel: channel, outcome: outcome)
        state.withLock { $0.attempts[attempt, default: 0] += 1 }
    }

    func set(underway: Int) { state.withLock { $0.underway = underway } }

    /// Attempts by channel and outcome; those that never came are left out.
    package var attempts: [Attempt: UInt64] { state.withLock { $0.attempts } }

    /// Attempts that are under way.
    package var underway: Int { state.withLock { $0.underway } }
}
