internal import Glibc
internal import Synchronization
internal import Threads

/// The signals that a service handles: SIGTERM, SIGINT, SIGHUP and SIGUSR2 (docs/decisions/0012).
///
/// Every thread blocks them from the start, and one thread waits for them: none is ever handled anywhere else, whatever
/// delays the other threads. A signal that nobody has taken stays pending in the process, for the program that an
/// upgrade runs in it.
///
/// Thread safety: any thread.
final class ProcessSignals: Sendable {
    private struct State {
        var stage = Stage.starting
        /// SIGTERM or SIGINT has arrived since the start was over.
        var isStopAskedFor = false
    }

    private enum Stage {
        /// SIGTERM and SIGINT end the process at once.
        case starting
        case serving
        /// No more signals are taken.
        case leaving
    }

    private static let stopping: Set<Int32> = [SIGTERM, SIGINT]

    /// SIGTERM and SIGINT. Those that arrive before anybody reads the stream count as one, as for the other streams.
    let stops: AsyncStream<Void>
    /// SIGHUP.
    let reloads: AsyncStream<Void>
    /// SIGUSR2.
    let upgrades: AsyncStream<Void>

    private let onStop: AsyncStream<Void>.Continuation
    private let onReload: AsyncStream<Void>.Continuation
    private let onUpgrade: AsyncStream<Void>.Continuation
    /// The process was upgraded: whoever stops it does not know that it is starting.
    private let isUpgrade: Bool
    private let state = Mutex(State())
    private let thread = Mutex<NamedThread?>(nil)

    private static var all: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in stopping.union([SIGHUP, SIGUSR2]) { sigaddset(&set, number) }
        return set
    }

    /// Blocks them in the calling thread, and in the program that it runs in place of this one.
    static func setMask() {
        var set = all
        pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    /// Must be called first, before there is another thread: all threads inherit the mask.
    static func block() {
        // The parent may have made this process ignore them.
        for number in stopping.union([SIGHUP, SIGUSR2]) { signal(number, SIG_DFL) }
        setMask()
    }

    /// - Parameter isUpgrade: this program runs in place of another one.
    private init(isUpgrade: Bool) {
        self.isUpgrade = isUpgrade
        (stops, onStop) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (reloads, onReload) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (upgrades, onUpgrade) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes the signals from now on. To be called once.
    ///
    /// - Parameter isUpgrade: this program runs in place of another one.
    /// - Returns: nil: the system has no thread left.
    static func take(isUpgrade: Bool) -> ProcessSignals? {
        let signals = ProcessSignals(isUpgrade: isUpgrade)
        guard let thread = NamedThread.start(.signals, { signals.run() }) else { return nil }
        signals.thread.withLock { $0 = thread }
        return signals
    }

    /// The start is over: from now on SIGTERM and SIGINT go to `stops`.
    func serve() { state.withLock { $0.stage = .serving } }

    /// Takes no more signals: those that arrive from here on stay pending for the program that runs next.
    ///
    /// - Returns: false: a stop was requested before.
    func leave() -> Bool {
        state.withLock { $0.stage = .leaving }
        thread.withLock { thread in
            // To that thread alone, so that it checks the stage.
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

    /// Ends the process as the system does for a signal that is not caught; process 1, which that does not end, exits.
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
