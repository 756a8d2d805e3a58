import NIOCore
import Telemetry

/// Measures how late an event loop comes to what is due on it, ten times a second, until nobody has a hold of this.
///
/// Thread safety: `begin` once; the histogram on any thread.
final class LoopLateness: Sendable {
    private static let period = TimeAmount.milliseconds(100)
    private let recorder = LatencyRecorder()

    var histogram: LatencyHistogram { recorder.histogram }

    func begin(on eventLoop: any EventLoop) { measure(on: eventLoop) }

    private func measure(on eventLoop: any EventLoop) {
        let due = NIODeadline.now() + Self.period
        eventLoop.scheduleTask(deadline: due) { [weak self] in
            guard let self else { return }
            recorder.record(nanoseconds: UInt64(max(0, (NIODeadline.now() - due).nanoseconds)))
            measure(on: eventLoop)
        }
    }
}
