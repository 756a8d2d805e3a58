import Engine
import Synchronization

/// Gives everybody who watches the same beat, once a second, and ends them all when the service stops. It rests while
/// nobody watches.
///
/// Thread safety: any thread.
final class LiveHub: Sendable {
    private struct State {
        var streams: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var next: UInt64 = 0
        var isDraining = false
        var work: Task<Void, Never>?
    }

    /// One who watches.
    struct Watch: Sendable {
        let number: UInt64
        /// A beat that comes before the last one was dealt with is left out.
        let beats: AsyncStream<Void>
    }

    private let maximum: Int
    private let state = Mutex(State())
    let probe: DurabilityProbe

    init(maximum: Int, probe: DurabilityProbe) {
        self.maximum = maximum
        self.probe = probe
    }

    /// nil: too many watch already, or the service stops. Otherwise `leave` must follow.
    func join() -> Watch? {
        state.withLock { state in
            guard !state.isDraining, state.streams.count < maximum else { return nil }
            let (beats, continuation) = AsyncStream<Void>.makeStream(
                bufferingPolicy: .bufferingNewest(1))
            continuation.yield()
            state.next += 1
            state.streams[state.next] = continuation
            if state.work == nil { state.work = Task { [self] in await work() } }
            return Watch(number: state.next, beats: beats)
        }
    }

    func leave(_ watch: Watch) {
        state.withLock { state in
            state.streams.removeValue(forKey: watch.number)?.finish()
            rest(&state)
        }
    }

    /// Ends every stream, and lets no other begin.
    func drain() {
        state.withLock { state in
            state.isDraining = true
            for stream in state.streams.values { stream.finish() }
            state.streams = [:]
            rest(&state)
        }
    }

    var count: Int { state.withLock { $0.streams.count } }

    private func rest(_ state: inout State) {
        guard state.streams.isEmpty else { return }
        state.work?.cancel()
        state.work = nil
    }

    private func work() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while await Self.pause(.seconds(1)) { beat() }
            }
            group.addTask { [probe] in
                while await Self.pause(.milliseconds(250)) { await probe.take() }
            }
        }
    }

    private func beat() {
        state.withLock { for stream in $0.streams.values { stream.yield() } }
    }

    /// False: the work is over.
    private static func pause(_ time: Duration) async -> Bool {
        do {
            try await Task.sleep(for: time)
            return true
        } catch {
            return false
        }
    }
}

/// How long the way of an answer is now: to an event loop and back, and until everything that was decided before is on
/// disk. The last minute, at four probes a second.
final class DurabilityProbe: Sendable {
    private static let kept = 240
    private let engine: Engine
    private let lanes: LaneAccess
    /// Oldest first.
    private let samples = Mutex<[Duration]>([])

    init(engine: Engine, lanes: LaneAccess) {
        self.engine = engine
        self.lanes = lanes
    }

    func take() async {
        let began = ContinuousClock.now
        _ = await lanes(by: 0) { $0.now }
        do {
            try await engine.durable()
        } catch {
            // The journal has failed: nothing gets to disk any more.
            return
        }
        let took = ContinuousClock.now - began
        samples.withLock { samples in
            if samples.count >= Self.kept { samples.removeFirst() }
            samples.append(took)
        }
    }

    /// nil: no probe has been taken.
    var percentiles: (p50: Duration, p99: Duration)? {
        let sorted = samples.withLock { $0 }.sorted()
        guard !sorted.isEmpty else { return nil }
        let at = { (percent: Int) in sorted[min(sorted.count - 1, sorted.count * percent / 100)] }
        return (at(50), at(99))
    }
}
