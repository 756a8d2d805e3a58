internal import Glibc
internal import UnixSignals

/// Signals to the service before it is ready (docs/decisions/0012).
enum ProcessSignals {
    /// The first thing that a service does: SIGTERM and SIGINT end the process at once, SIGHUP and SIGUSR2 are kept.
    ///
    /// Ending is left to the system: work that holds every thread of the runtime up must not delay it. Nothing ends
    /// process 1 by default, and whoever started this process may have had it ignore SIGINT.
    ///
    /// - Returns: each SIGHUP and SIGUSR2 from now on; of those that come at the same time one.
    static func catchEarly() async -> UnixSignalsSequence {
        for number in [SIGTERM, SIGINT] {
            if getpid() == 1 {
                signal(number) { _exit(128 + $0) }
            } else {
                signal(number, SIG_DFL)
            }
        }
        return await UnixSignalsSequence(trapping: .sighup, .sigusr2)
    }
}
