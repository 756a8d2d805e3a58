internal import Glibc
internal import Synchronization
internal import Threads

/// The signals that a service is told something by: SIGTERM, SIGINT, SIGHUP and SIGUSR2 (docs/decisions/0012).
///
/// Every thread has them blocked, from the first instruction on, and one thread waits for them: so none is ever handled
/// anywhere else, whatever holds the others up. What nobody has taken stays with the process, and waits for the program that
/// an upgrade runs in it.
///
/// Thread safety: any thread.
final class ProcessSignals: Sendable {
    private struct State {
        var stage = Stage.starting
        /// SIGTERM or SIGINT has come since the start was over.
        var isStopAskedFor = false
    }

    private enum Stage {
        /// SIGTERM and SIGINT end the process at once.
        case starting
        case serving
        /// No signal is taken any more.
        case leaving
    }

    private static let stopping: Set<Int32> = [SIGTERM, SIGINT]

    /// SIGTERM and SIGINT. Of those that come before somebody looks there is one; so of the others.
    let stops: AsyncStream<Void>
    /// SIGHUP.
    let reloads: AsyncStream<Void>
    /// SIGUSR2.
    let upgrades: AsyncStream<Void>

    private let onStop: AsyncStream<Void>.Continuation
    private let onReload: AsyncStream<Void>.Continuation
    private let onUpgrade: AsyncStream<Void>.Continuation
    /// The process was upgraded: whoever stops it knows nothing of a start.
    private let isUpgrade: Bool
    private let state = Mutex(State())
    private let thread = Mutex<NamedThread?>(nil)

    private static var all: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in stopping.union([SIGHUP, SIGUSR2]) { sigaddset(&set, number) }
        return set
    }

    /// Has the calling thread, and the program that it runs in the place of this one, leave them alone.
    static func setMask() {
        var set = all
        pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    /// The first thing that a service does, before there is another thread: all of them leave the signals alone.
    static func block() {
        // Whoever started this process may have had it ignore them.
        for number in stopping.union([SIGHUP, SIGUSR2]) { signal(number, SIG_DFL) }
        setMask()
    }

    /// - Parameter isUpgrade: this program runs in the place of another one.
    private init(isUpgrade: Bool) {
        self.isUpgrade = isUpgrade
        (stops, onStop) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (reloads, onReload) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (upgrades, onUpgrade) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes the signals from now on. To be called once.
    ///
    /// - Parameter isUpgrade: this program runs in the place of another one.
    /// - Returns: nil: the system has no thread left.
    static func take(isUpgrade: Bool) -> ProcessSignals? {
        let signals = ProcessSignals(isUpgrade: isUpgrade)
        guard let thread = NamedThread.start(.signals, { signals.run() }) else { return nil }
        signals.thread.withLock { $0 = thread }
        return signals
    }

    /// The start is over: from now on SIGTERM and SIGINT are `stops`.
    func serve() { state.withLock { $0.stage = .serving } }

    /// Takes no more of them: what comes from here on waits for the program that runs next.
    ///
    /// - Returns: false: a stop was asked for before.
    func leave() -> Bool {
        state.withLock { $0.stage = .leaving }
        thread.withLock { thread in
            // To that thread alone, so that it looks.
            thread?.send(SIGUSR2)
            thread?.join()
            thread = nil
        }
        return state.withLock { !$0.isStopAskedFor }
    }

    private func run() {
        var set = Self.all
        var number: Int32 = 0
        while true {
            guard sigwait(&set, &number) == 0 else { continue }
            let isStop = Self.stopping.contains(number)
            let stage = state.withLock { state in
                if isStop { state.isStopAskedFor = true }
                return state.stage
            }
            switch stage {
            case .starting where isStop: endStart(number)
            case .leaving: return
            case .starting, .serving:
                (isStop ? onStop : number == SIGHUP ? onReload : onUpgrade).yield()
            }
        }
    }

    /// As the system does it where a signal is not caught; nothing ends process 1 so.
    private func endStart(_ number: Int32) -> Never {
        if isUpgrade { _exit(0) }
        if getpid() != 1 {
            var set = sigset_t()
            sigemptyset(&set)
            sigaddset(&set, number)
            pthread_sigmask(SIG_UNBLOCK, &set, nil)
            raise(number)
        }
        _exit(128 + number)
    }
}
