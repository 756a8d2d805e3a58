internal import Engine
internal import GRPCServer
internal import Synchronization

/// Whether the threads that the service lives by turn: the event loops of gRPC and the journal's thread. One that does not
/// for long never will, and another start is the only help. A disk that stalls is no such thing: a start would stall too.
///
/// Time counts only as looks go by, so that a process that stood still as a whole is given its time when it goes on.
///
/// Thread safety: any thread; `look` by one at a time.
final class Liveness: Sendable {
    struct Part: Sendable {
        /// As messages call it.
        let name: String
        /// Grows as it turns; nil: nothing can be said of it now.
        let turns: @Sendable () -> UInt64?
    }

    private struct State {
        var turns: [UInt64?]
        /// How long each has stood still.
        var still: [Duration]
        var looked: ContinuousClock.Instant
    }

    /// Between two looks.
    static let interval = Duration.seconds(1)

    private let parts: [Part]
    private let state: Mutex<State>

    init(_ parts: [Part], now: ContinuousClock.Instant = .now) {
        self.parts = parts
        state = Mutex(
            State(
                turns: parts.map { $0.turns() }, still: parts.map { _ in .zero }, looked: now))
    }

    /// Looks at all, once.
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

    /// What has stood still for longer than a time; nil: nothing.
    func hang(for time: Duration) -> String? {
        let still = state.withLock { $0.still }
        guard let index = still.indices.first(where: { still[$0] > time }) else { return nil }
        return "\(parts[index].name) has not responded for \(still[index].components.seconds) s"
    }

    /// Looks until the task is cancelled.
    ///
    /// - Parameters:
    ///   - interval: between two looks; a second or less.
    ///   - looked: called behind each look.
    func run(every interval: Duration, _ looked: @Sendable () -> Void) async {
        while !Task.isCancelled {
            look()
            looked()
            try? await Task.sleep(for: interval, clock: .suspending)
        }
    }
}

extension Liveness {
    /// Of a service's threads.
    convenience init(_ engine: Engine, _ server: GRPCServer) {
        let loops = server.loops.map { loop in
            Part(name: "The event loop grpc-\(loop.index)") { loop.turns }
        }
        self.init(loops + [Part(name: "The journal's thread") { engine.journalTurns }])
    }
}
