internal import NIOCore
internal import Telemetry

/// Calls back on an event loop, again and again, a period after each return. Unlike NIO's repeated tasks it makes no
/// promise and no closure each time.
///
/// Thread safety: everything on the loop.
final class LoopTimer: NIOScheduledCallbackHandler, @unchecked Sendable {
    // SAFETY: used on `eventLoop` alone.

    private let eventLoop: any EventLoop
    private let period: TimeAmount
    private let action: () -> Void
    private let lateness: LatencyRecorder?
    private var due = NIODeadline.distantPast
    private var next: NIOScheduledCallback?
    private var isCancelled = false

    /// - Parameter lateness: how much later than asked each call came; nil: that is not measured.
    init(
        on eventLoop: any EventLoop, every period: TimeAmount, lateness: LatencyRecorder? = nil,
        _ action: @escaping () -> Void
    ) {
        self.eventLoop = eventLoop
        self.period = period
        self.lateness = lateness
        self.action = action
        schedule()
    }

    func cancel() {
        isCancelled = true
        next?.cancel()
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        if let lateness {
            lateness.record(nanoseconds: UInt64(max(0, (NIODeadline.now() - due).nanoseconds)))
        }
        action()
        if !isCancelled { schedule() }
    }

    private func schedule() {
        if lateness != nil { due = .now() + period }
        // Fails on a loop that is shutting down: there is nothing to call any more.
        next = try? eventLoop.scheduleCallback(in: period, handler: self)
    }
}

/// Calls back on an event loop once for each time that it is set, when the loop has looked at its connections.
///
/// Thread safety: everything on the loop.
final class LoopAlarm: NIOScheduledCallbackHandler, @unchecked Sendable {
    // SAFETY: used on `eventLoop` alone.

    private let eventLoop: any EventLoop
    private let action: () -> Void
    private var next: NIOScheduledCallback?

    init(on eventLoop: any EventLoop, _ action: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.action = action
    }

    /// Sets it, unless it is set.
    func set(in delay: TimeAmount) {
        guard next == nil else { return }
        // Fails on a loop that is shutting down: there is nothing to call any more.
        next = try? eventLoop.scheduleCallback(in: delay, handler: self)
    }

    func cancel() {
        next?.cancel()
        next = nil
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        next = nil
        action()
    }
}
