internal import Logging
internal import Synchronization
internal import Threads

/// Upgrades of the service in place: on SIGUSR2, the program at the path that this one was started from checks whether
/// it could start; if so, this one lets running calls finish and runs it, in the same process and with the same sockets
/// (docs/decisions/0014).
///
/// Thread safety: any thread.
final class Upgrades: Sendable {
    private enum State {
        case serving
        case checking(UpgradeCheck?)
        /// The service is ending, so that the new program can run.
        case leaving
        /// The service is ending for good.
        case stopping
    }

    private let program: ProgramImage
    private let report: UpgradeReport
    private let timeoutMilliseconds: Int64
    private let logger: Logger
    /// The report is changed under its lock too, so that the two agree.
    private let state = Mutex(State.serving)

    init(
        _ program: ProgramImage, _ report: UpgradeReport, timeoutMilliseconds: Int64,
        _ logger: Logger
    ) {
        self.program = program
        self.report = report
        self.timeoutMilliseconds = timeoutMilliseconds
        self.logger = logger
    }

    /// Whether the new program is to run when everything has ended.
    var isLeaving: Bool {
        state.withLock { state in
            if case .leaving = state { return true }
            return false
        }
    }

    /// An upgrade was requested.
    ///
    /// - Parameters:
    ///   - service: what the new program will find.
    ///   - trouble: why the service could not stop in good order; nil: it could.
    ///   - leave: ends the service.
    func begin(
        _ service: RunningService, _ trouble: @escaping @Sendable () async -> String?,
        leave: @escaping @Sendable () async -> Void
    ) {
        let begins = state.withLock { state in
            guard case .serving = state else { return false }
            state = .checking(nil)
            report.set(.checking, isNext: true)
            return true
        }
        guard begins else {
            return logger.notice(
                "an upgrade is already in progress, or the service is stopping; this request is ignored"
            )
        }
        logger.notice("upgrade: checking the program", metadata: ["path": "\(program.path)"])
        Task {
            if let reason = await trouble() { return refuse(reason) }
            switch await check(service) {
            case .failed(let reason): refuse(reason)
            case .passed:
                guard passed() else { return }
                logger.notice("upgrade: the check has passed; waiting for running calls to finish")
                await leave()
            }
        }
    }

    /// The service stops for good: an upgrade that has not yet run the new program is abandoned.
    ///
    /// - Returns: whether the service was ending for an upgrade.
    func stop() -> Bool {
        let (check, wasLeaving) = state.withLock { state -> (UpgradeCheck?, Bool) in
            defer {
                state = .stopping
                report.set(.stopping)
            }
            switch state {
            case .checking(let check): return (check, false)
            case .leaving: return (nil, true)
            case .serving, .stopping: return (nil, false)
            }
        }
        check?.cancel()
        return wasLeaving
    }

    private func check(_ service: RunningService) async -> UpgradeCheck.Outcome {
        let check = UpgradeCheck(
            program, for: service, timeoutMilliseconds: timeoutMilliseconds)
        let begins = state.withLock { state in
            guard case .checking = state else { return false }
            state = .checking(check)
            return true
        }
        guard begins else { return .failed("the service is stopping") }
        return await NamedThread.run(.upgrade) { check.run() }
            ?? .failed("the system has no thread left")
    }

    /// False: a stop came first.
    private func passed() -> Bool {
        state.withLock { state in
            guard case .checking = state else { return false }
            state = .leaving
            report.set(.leaving)
            return true
        }
    }

    private func refuse(_ reason: String) {
        let servesOn = state.withLock { state in
            guard case .checking = state else { return false }
            state = .serving
            report.set(.refused, reason)
            return true
        }
        guard servesOn else { return }
        logger.error(
            "upgrade refused; the old program keeps serving", metadata: ["reason": "\(reason)"])
    }
}
