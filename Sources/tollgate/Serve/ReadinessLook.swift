internal import GRPCStandard
internal import LogLines
internal import Logging

/// Looks every second whether the service can do its work, and has health checks over gRPC say so.
struct ReadinessLook: Sendable {
    private let board: HealthBoard
    private let logger: Logger
    private let trouble: @Sendable () async -> String?
    private let state = StateLog(
        begins: "not ready: health checks report it", ends: "ready: health checks report it")

    /// - Parameter trouble: why it cannot; nil: it can.
    init(
        _ board: HealthBoard, _ logger: Logger, trouble: @escaping @Sendable () async -> String?
    ) {
        self.board = board
        self.logger = logger
        self.trouble = trouble
    }

    /// Looks until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1), clock: .suspending)
            // A look that is cancelled found nothing out.
            if !Task.isCancelled { await look() }
        }
    }

    func look() async {
        let reason = await trouble()
        guard !Task.isCancelled else { return }
        _ = board.set(isReady: reason == nil)
        state.look(reason, logger)
    }
}
