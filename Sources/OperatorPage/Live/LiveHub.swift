import Synchronization

/// Gives everybody who watches the same beat, once a second, and ends them all when the service stops. Before each beat
/// a sample is taken, whether or not somebody watches: who comes finds the last minute.
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
    let sampler: LiveSampler

    init(maximum: Int, sampler: LiveSampler) {
        self.maximum = maximum
        self.sampler = sampler
        let work = Task { [weak self] in
            var next = ContinuousClock.now
            while true {
                // After a delay of seconds nothing is made up for.
                next = max(next, .now - .seconds(1)) + .seconds(1)
                do { try await Task.sleep(until: next, clock: .continuous) } catch { return }
                guard let self else { return }
                beat()
            }
        }
        state.withLock { $0.work = work }
    }

    deinit { state.withLock { $0.work }?.cancel() }

    /// nil: too many watch already, or the service stops. Otherwise `leave` must follow.
    func join() -> Watch? {
        state.withLock { state in
            guard !state.isDraining, state.streams.count < maximum else { return nil }
            let (beats, continuation) = AsyncStream<Void>.makeStream(
                bufferingPolicy: .bufferingNewest(1))
            continuation.yield()
            state.next += 1
            state.streams[state.next] = continuation
            return Watch(number: state.next, beats: beats)
        }
    }

    func leave(_ watch: Watch) {
        state.withLock { $0.streams.removeValue(forKey: watch.number)?.finish() }
    }

    /// Ends every stream, lets no other begin, and samples no more.
    func drain() {
        state.withLock { state in
            state.isDraining = true
            for stream in state.streams.values { stream.finish() }
            state.streams = [:]
            state.work?.cancel()
            state.work = nil
        }
    }

    private func beat() {
        sampler.take()
        state.withLock { for stream in $0.streams.values { stream.yield() } }
    }
}
