import CLinux
import Glibc

extension Engine {
    /// Makes a change of the configuration, waiting for room in the journal where there is none: for those who make
    /// thousands one after the other.
    ///
    /// - Parameter milliseconds: how long to wait at most.
    /// - Throws: what the change throws; `.busy`, when there was no room in that time.
    @discardableResult
    package func waitingForRoom<T>(
        atMost milliseconds: Int64 = 10_000, _ change: () throws(EngineError) -> T
    ) throws(EngineError) -> T {
        let deadline = linux_monotonic_nanoseconds() + milliseconds * 1_000_000
        while true {
            do throws(EngineError) {
                return try change()
            } catch {
                guard error.code == .busy, linux_monotonic_nanoseconds() < deadline else {
                    throw error
                }
                // A round takes out of the rings what stood in them. On a full disk it does nothing, at once.
                try awaitDurable()
                usleep(1_000)
            }
        }
    }
}
