import CLinux
import Glibc

/// How background work leaves the disk and the processor to answers: after each stretch of work it rests three times
/// as long as that took.
package struct Throttle {
    /// Work shorter than this goes on without a rest, nanoseconds.
    private static let stretch: Int64 = 1_000_000
    private static let longest: Int64 = 1_000_000_000

    private let isPaced: Bool
    private let isInAHurry: () -> Bool
    private var began = linux_monotonic_nanoseconds()

    /// - Parameter isInAHurry: asked before each rest: it is left out.
    package init(isPaced: Bool, isInAHurry: @escaping () -> Bool = { false }) {
        self.isPaced = isPaced
        self.isInAHurry = isInAHurry
    }

    /// To be called after each piece of work; rests when it is time.
    package mutating func rest() {
        guard isPaced else { return }
        let worked = linux_monotonic_nanoseconds() - began
        guard worked >= Self.stretch, !isInAHurry() else { return }
        let rest = min(worked * 3, Self.longest)
        var time = timespec(tv_sec: Int(rest / 1_000_000_000), tv_nsec: Int(rest % 1_000_000_000))
        nanosleep(&time, nil)
        began = linux_monotonic_nanoseconds()
    }
}
