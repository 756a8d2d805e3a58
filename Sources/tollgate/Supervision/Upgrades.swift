internal import Logging
internal import Synchronization
internal import Threads

/// Upgrades of the service in place: on SIGUSR2 the program that lies where this one was started from is asked whether it
/// could start; if so, this one lets its callers finish and runs it, in the same process and with the same sockets
/// (docs/decisions/0014).
///
/// Thread safety: any thread.
final class Upgrades: Sendable {
    private enum State {
        case serving
        case checking(UpgradeCheck?)
        /// The service ends, so that the new program can run.
        case leaving
        /// The service ends for good.
        case stopping
    }

    private let program: ProgramImage
    private let report: UpgradeReport
    private let timeoutMilliseconds: Int64
    private let logger: Logger
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

    /// The new program is to run when all has ended.
    var isLeaving: Bool {
        state.withLock { state in
            if case .leaving = state { return true }
            return false
        }
    }

    /// An upgrade is asked for.
    ///
    /// - Parameters:
    ///   - trouble: why the service could not let go in good order; nil: it could.
    ///   - leave: has the service end.
    func begin(
        _ trouble: @escaping @Sendable () async -> String?,
        leave: @escaping @Sendable () async -> Void
    ) {
        let begins = state.withLock { state in
            guard case .serving = state else { return false }
            state = .checking(nil)
            return true
        }
        guard begins else {
            return logger.notice("an upgrade is under way already; this request changes nothing")
        }
        report.set(.checking, isNext: true)
        logger.notice("upgrade: checking the program", metadata: ["path": "\(program.path)"])
        Task {
            if let reason = await trouble() { return refuse(reason) }
            switch await check() {
            case .failed(let reason): refuse(reason)
            case .passed:
                guard passed() else { return }
                logger.notice("upgrade: the check has passed; running calls finish")
                report.set(.leaving)
                await leave()
            }
        }
    }

    /// The service stops for good: an upgrade that has not come to the new program never will.
    func stop() {
        let check = state.withLock { state -> UpgradeCheck? in
            defer { state = .stopping }
            if case .checking(let check) = state { return check }
            return nil
        }
        check?.cancel()
        report.set(.stopping)
    }

    private func check() async -> UpgradeCheck.Outcome {
        let check = UpgradeCheck(program, timeoutMilliseconds: timeoutMilliseconds)
        let begins = state.withLock { state in
            guard case .checking = state else { return false }
            state = .checking(check)
            return true
        }
        guard begins else { return .failed("the service is stopping") }
        return await withCheckedContinuation {
            (continuation: CheckedContinuation<UpgradeCheck.Outcome, Never>) in
            let isStarted = NamedThread.detach(.upgrade) {
                continuation.resume(returning: check.run())
            }
            if !isStarted {
                continuation.resume(returning: .failed("the system has no thread left"))
            }
        }
    }

    /// False: a stop was first.
    private func passed() -> Bool {
        state.withLock { state in
            guard case .checking = state else { return false }
            state = .leaving
            return true
        }
    }

    private func refuse(_ reason: String) {
        let servesOn = state.withLock { state in
            guard case .checking = state else { return false }
            state = .serving
            return true
        }
        guard servesOn else { return }
        logger.error("upgrade refused; the service goes on", metadata: ["reason": "\(reason)"])
        report.set(.refused, reason)
    }
}
