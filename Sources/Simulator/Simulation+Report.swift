extension Simulation {
    /// What a run came to.
    package struct Report: Sendable, Equatable {
        package var seed: UInt64
        package var violations: [String] = []
        package var crashes = 0
        package var restarts = 0
        package var asked = 0
        package var acknowledged = 0
        package var checkpoints = 0
        package var refusedForRoom = 0
        /// Requests that a cap refused.
        package var denied = 0
        /// Answers after which a cap was just used up.
        package var capsReached = 0
        /// A hash of everything that the disk was asked to do, with every byte written.
        package var trace: UInt64 = 0
    }
}
