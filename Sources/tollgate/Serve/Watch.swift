internal import Admission
internal import Engine
internal import GRPCServer
internal import LogLines
internal import Logging
internal import Projection
internal import Synchronization

/// Looks every second after what an operator must know of while it lasts, and says in the log when it begins and when
/// it is over: a line each, however long it takes and however often it is looked at.
final class Watch: Sendable {
    /// A state that should not be.
    struct Condition: Sendable {
        let state: StateLog
        /// Why it is so; nil: it is not.
        let reason: @Sendable () -> String?

        /// - Parameters:
        ///   - begins: what is said when it begins.
        ///   - ends: what is said when it is over.
        init(
            begins: Logger.Message, ends: Logger.Message, reason: @escaping @Sendable () -> String?
        ) {
            state = StateLog(begins: begins, ends: ends)
            self.reason = reason
        }
    }

    private let conditions: [Condition]
    private let engine: Engine
    private let logger: Logger
    private let scarcity = ScarcityLog()
    private let watches: WatchScarcity
    /// How the clocks stood when that was last told.
    private let told = Mutex(EngineClock.Observation.steady)

    convenience init(
        _ engine: Engine, _ projection: Projection?, _ watches: WatchScarcity, _ logger: Logger
    ) {
        let conditions = [
            Condition(
                begins: "changes cannot be recorded and are refused",
                ends: "changes are recorded again", reason: { engine.refusal }),
            Condition(
                begins: "lists and logs are not updating",
                ends: "lists and logs are updating again",
                reason: { projection?.status.trouble }),
            Condition(
                begins: "no checkpoint can be written: the journal is filling up",
                ends: "checkpoints are written again", reason: { engine.checkpointTrouble }),
            Condition(
                begins: "no file descriptors are left",
                ends: "file descriptors are available again",
                reason: { Descriptors.shortage }),
        ]
        self.init(engine, conditions, watches, logger)
    }

    init(
        _ engine: Engine, _ conditions: [Condition], _ watches: WatchScarcity, _ logger: Logger
    ) {
        self.engine = engine
        self.conditions = conditions
        self.watches = watches
        self.logger = logger
    }

    /// Looks until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            look()
            try? await Task.sleep(for: .seconds(1), clock: .suspending)
        }
    }

    /// To be called by one thread at a time.
    func look() {
        for condition in conditions { condition.state.look(condition.reason(), logger) }
        scarcity.look(engine.occupancy, watchesAreScarce: watches.isScarce, logger)
        told.withLock { told in
            let found = engine.clock.follow()
            tell(found, before: told)
            told = Self.isSame(found, told) ? told : found
        }
    }

    // MARK: The clocks

    private func tell(_ found: EngineClock.Observation, before: EngineClock.Observation) {
        guard !Self.isSame(found, before) else { return }
        switch found {
        case .slowed(let ahead) where ahead > EngineClock.believableLead:
            logger.error(
                """
                the wall clock was set back: engine time, used for windows, runs at half speed \
                until the wall clock has caught up
                """, metadata: ["ahead_ms": "\(ahead)"])
        case .doubted(let lead):
            logger.error(
                "the wall clock jumped ahead; trusted if it stays so for 60 s",
                metadata: ["lead_ms": "\(lead)"])
        case .refused(let lead):
            logger.error(
                """
                the wall clock jumped ahead by more than --max-clock-advance: it is not trusted \
                until a start with --accept-clock
                """, metadata: ["lead_ms": "\(lead)"])
        case .believed(let lead):
            logger.notice("following the wall clock", metadata: ["lead_ms": "\(lead)"])
        case .steady, .slowed:
            if case .believed = before { return }
            logger.notice("engine time matches the wall clock again")
        }
    }

    /// Whether two observations are of one and the same state of affairs. Less than a second apart is no affair.
    private static func isSame(
        _ one: EngineClock.Observation, _ other: EngineClock.Observation
    ) -> Bool {
        kind(one) == kind(other)
    }

    private static func kind(_ observation: EngineClock.Observation) -> Int {
        switch observation {
        case .steady: 0
        case .slowed(let ahead): ahead > EngineClock.believableLead ? 1 : 0
        case .doubted: 2
        case .refused: 3
        case .believed: 4
        }
    }
}
