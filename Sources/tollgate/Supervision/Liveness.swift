internal import Engine
internal import GRPCServer
internal import Synchronization

/// Whether the threads that the service depends on make progress: the gRPC event loops and the journal's thread. One
/// that has stood still for long will not recover; only a restart helps. A stalled disk does not count: a start would
/// stall too.
///
/// Each check adds a bounded amount of time, so that a process that was stopped as a whole gets its time when it
/// continues.
///
/// Thread safety: any thread; `look` from one at a time.
final class Liveness: Sendable {
    struct Part: Sendable {
        /// Its name in messages.
        let name: String
        /// Grows as it makes progress; nil: unknown at the moment.
        let turns: @Sendable () -> UInt64?
    }

    private struct State {
        var turns: [UInt64?]
        /// How long each has stood still.
        var still: [Duration]
        var looked: ContinuousClock.Instant
    }

    /// The time between two checks.
    static let interval = Duration.seconds(1)

    private let parts: [Part]
    private let state: Mutex<State>

    init(_ parts: [Part], now: ContinuousClock.Instant = .now) {
        self.parts = parts
        state = Mutex(
            State(
                turns: parts.map { $0.turns() }, still: parts.map { _ in .zero }, looked: now))
    }

    /// Checks all parts once.
    func look(now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            let passed = min(now - state.looked, Self.interval * 2)
            state.looked = now
            for (index, part) in parts.enumerated() {
                let turns = part.turns()
                let stands = turns != nil && turns == state.turns[index]
                state.still[index] = stands ? state.still[index] + passed : .zero
                state.turns[index] = turns
            }
        }
    }

    /// A part that has stood still for longer than `time`, as a message; nil: none has.
    func hang(for time: Duration) -> String? {
        let still = state.withLock { $0.still }
        guard let index = still.indices.first(where: { still[$0] > time }) else { return nil }
        return "\(parts[index].name) has not responded for \(still[index].components.seconds) s"
    }

    /// Checks until the task is cancelled.
    ///
    /// - Parameters:
    ///   - interval: the time between two checks; a second or less.
    ///   - looked: called after each check.
    func run(every interval: Duration, _ looked: @Sendable () -> Void) async {
        while !Task.isCancelled {
            look()
            looked()
            try? await Task.sleep(for: interval, clock: .suspending)
        }
    }
}

extension Liveness {
    /// For the threads of a service.
    convenience init(_ engine: Engine, _ server: GRPCServer) {
        let loops = server.loops.map { loop in
            Part(name: "The event loop grpc-\(loop.index)") { loop.turns }
        }
        self.init(loops + [Part(name: "The journal's thread") { engine.journalTurns }])
    }
}
