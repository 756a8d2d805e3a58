import Synchronization

@testable import Engine

/// The two clocks of a machine, in a test's hand.
final class MachineClocks: Sendable {
    let boot = Atomic<Int64>(5_000)
    let wall: Atomic<Int64>

    /// - Parameter wall: Unix milliseconds.
    init(_ wall: Int64) { self.wall = Atomic(wall) }

    var source: EngineClock.Source {
        EngineClock.Source(
            boot: { self.boot.load(ordering: .relaxed) },
            wall: { self.wall.load(ordering: .relaxed) })
    }

    var wallNow: Int64 { wall.load(ordering: .relaxed) }

    /// Lets time pass on both clocks.
    func pass(_ milliseconds: Int64) {
        boot.wrappingAdd(milliseconds, ordering: .relaxed)
        wall.wrappingAdd(milliseconds, ordering: .relaxed)
    }

    /// Sets the wall clock forwards, or back.
    func leap(_ milliseconds: Int64) { wall.wrappingAdd(milliseconds, ordering: .relaxed) }
}
