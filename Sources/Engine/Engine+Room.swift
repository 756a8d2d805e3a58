import CLinux
import Glibc
import Journal
import Reservations

extension Engine {
    /// Returns when a change of the configuration would find room in the journal, as a rule at once; without room, when
    /// the disk has made no progress for `DurabilitySettings.stallMilliseconds`, or the task is cancelled. Then the change
    /// is refused as `.busy`.
    ///
    /// What is looked for is more than one change needs: several that come at a time find room.
    package func roomForChanges() async {
        guard let journal else { return }
        let patience = journal.settings.stallMilliseconds * 1_000_000
        var taken: UInt64?
        var since = linux_monotonic_nanoseconds()
        while !journal.writer.hasFailed {
            let (hasRoom, durable) = control.withLock {
                ($0.lane.hasRoom, $0.lane.durablePosition)
            }
            if hasRoom { return }
            let now = linux_monotonic_nanoseconds()
            if durable != taken { (taken, since) = (durable, now) }
            guard now - since < patience else { return }
            journal.rounds.wake()
            do {
                try await Task.sleep(for: .milliseconds(2))
            } catch {
                return
            }
        }
    }

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
