import CLinux
import Synchronization

/// Engine time: Unix milliseconds that advance with CLOCK_BOOTTIME and never go back (semantics §2).
///
/// A wall clock that steps back changes nothing. One that runs ahead by up to a day is followed at once; one that
/// jumps further is reported and believed only after it has stood for 60 s; jumping on starts the 60 s again.
///
/// Thread safety: any thread may read; `follow` is for one thread at a time.
package final class EngineClock: Sendable {
    /// How far the wall clock may be ahead and be followed at once.
    package static let believableLead: Int64 = 86_400_000
    /// How long a longer lead must stand.
    package static let patience: Int64 = 60_000

    /// The two clocks of the machine, in milliseconds; a test brings its own.
    package struct Source: Sendable {
        package var boot: @Sendable () -> Int64
        package var wall: @Sendable () -> Int64

        package init(boot: @escaping @Sendable () -> Int64, wall: @escaping @Sendable () -> Int64) {
            self.boot = boot
            self.wall = wall
        }

        package static let system = Source(
            boot: { read(CLOCK_BOOTTIME) }, wall: { read(CLOCK_REALTIME) })

        private static func read(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        }
    }

    /// What `follow` found.
    package enum Observation: Sendable, Equatable {
        case steady
        /// The wall clock is ahead by this much; not believed yet.
        case doubted(lead: Int64)
        /// A doubted lead has stood long enough.
        case believed(lead: Int64)
    }

    private let source: Source
    /// Engine time less boot time.
    private let offset: Atomic<Int64>
    /// Boot time since which a lead of more than a day stands; 0: none.
    private let doubtedSince = Atomic<Int64>(0)
    /// That lead, as it was first seen.
    private let doubtedLead = Atomic<Int64>(0)

    /// - Parameter highWater: the latest engine time that is known to have been used; the clock starts no earlier.
    package init(_ source: Source = .system, highWater: Int64 = 0) {
        self.source = source
        offset = Atomic(max(source.wall(), highWater) - source.boot())
    }

    /// Engine time now, Unix milliseconds.
    package var now: Int64 {
        // ORDERING: relaxed because the offset only grows and stands for nothing else.
        source.boot() + offset.load(ordering: .relaxed)
    }

    /// Goes on no earlier than at an instant that is known to have been used. Before anybody reads the clock.
    func start(noEarlierThan highWater: Int64) {
        let behind = highWater - now
        if behind > 0 { offset.wrappingAdd(behind, ordering: .relaxed) }
    }

    /// Compares engine time with the wall clock and follows it forwards. To be called every second or so.
    package func follow() -> Observation {
        let boot = source.boot()
        // ORDERING: relaxed throughout; see `now`.
        let present = offset.load(ordering: .relaxed)
        let lead = source.wall() - (boot + present)
        guard lead > 0 else {
            doubtedSince.store(0, ordering: .relaxed)
            return .steady
        }
        if lead <= Self.believableLead {
            doubtedSince.store(0, ordering: .relaxed)
            offset.store(present + lead, ordering: .relaxed)
            return .steady
        }
        let since = doubtedSince.load(ordering: .relaxed)
        if since == 0 || lead - doubtedLead.load(ordering: .relaxed) > Self.believableLead {
            doubtedSince.store(boot, ordering: .relaxed)
            doubtedLead.store(lead, ordering: .relaxed)
            return .doubted(lead: lead)
        }
        guard boot - since >= Self.patience else { return .doubted(lead: lead) }
        doubtedSince.store(0, ordering: .relaxed)
        offset.store(present + lead, ordering: .relaxed)
        return .believed(lead: lead)
    }
}
