internal import Glibc

/// What becomes of the process when it traps.
enum CrashHandlers {
    /// Signals that the Swift runtime's backtracer takes.
    private static let taken = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP]

    /// Has a trap end the process at once, with a core file where the system writes one.
    ///
    /// The runtime's backtracer holds the process, and with it the ports, for as long as reading symbols takes: half a
    /// minute was seen, in which no successor can start. Who sets SWIFT_BACKTRACE wants it, and keeps it.
    static func remove() {
        guard getenv("SWIFT_BACKTRACE") == nil else { return }
        for taken in taken { signal(taken, SIG_DFL) }
    }
}
