import CLinux
import Synchronization

/// One reading of the engine's two times, Unix milliseconds.
package struct EngineTime: Sendable, Equatable {
    /// Engine time: which windows something falls into.
    package var windows: Int64
    /// Life time: how long holds, keys and settled reservations have lived.
    package var lives: Int64

    package init(windows: Int64, lives: Int64) {
        self.windows = windows
        self.lives = lives
    }

    /// How much engine time is ahead of life time.
    package var lead: Int64 { windows - lives }
}

/// The engine's two times (semantics §2).
///
/// **Engine time** (`now`) says into which windows things fall. It follows the wall clock, and never goes back: on a
/// wall clock that was set back it goes on at half the speed of CLOCK_BOOTTIME until the wall clock has caught up. A
/// wall clock that is set forward by up to a second is followed at once; by more, when it has stood for 60 s; by more
/// than `maximumAdvance`, never: only a start believes that.
///
/// **Life time** (`life`) is what elapses: CLOCK_BOOTTIME from where it began. Nothing that is done to the wall clock
/// while the process runs makes a hold or a key live longer or shorter.
///
/// **Algorithm.** Engine time is the higher of two lines over boot time: the wall clock as it was last believed, and,
/// since it was set back, one of half its slope through where engine time stood. Both only rise with boot time, and the
/// first is lowered only after the second has been laid above it, so no reader sees time go back.
///
/// Thread safety: any thread may read, without waiting; `follow` is for one thread at a time.
package final class EngineClock: Sendable {
    /// How far the wall clock may be ahead and be followed at once; apart by more is worth a word.
    package static let believableLead: Int64 = 1_000
    /// How long a longer lead must stand.
    package static let patience: Int64 = 60_000
    /// The default of `maximumAdvance`: 31 days.
    package static let defaultMaximumAdvance: Int64 = 31 * 86_400_000
    /// A reader may find a lowered line this long before it finds the one that was laid above it.
    private static let margin: Int64 = 50

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
        /// Engine time is what the wall clock says, or a moment of it ahead.
        case steady
        /// Engine time is ahead of the wall clock, and goes at half speed.
        case slowed(ahead: Int64)
        /// The wall clock is ahead by this much; not believed yet.
        case doubted(lead: Int64)
        /// The wall clock is ahead by more than a running process ever believes.
        case refused(lead: Int64)
        /// A doubted lead has stood long enough.
        case believed(lead: Int64)
    }

    private let source: Source
    /// The wall clock as it was last believed, less boot time.
    private let believed: Atomic<Int64>
    /// Twice engine time on the slow line, less boot time.
    private let slow = Atomic<Int64>(.min / 2)
    /// Life time less boot time.
    private let lives: Atomic<Int64>
    private let maximumAdvance: Atomic<Int64>
    /// Boot time since which a lead stands that is not believed; 0: none.
    private let doubtedSince = Atomic<Int64>(0)
    /// The wall clock less boot time, as it was first seen to be ahead.
    private let doubtedOffset = Atomic<Int64>(0)

    /// - Parameter highWater: the latest time that is known to have been used; neither time starts earlier.
    package init(
        _ source: Source = .system, highWater: Int64 = 0,
        maximumAdvance: Int64 = EngineClock.defaultMaximumAdvance
    ) {
        self.source = source
        let boot = source.boot()
        let wall = source.wall()
        believed = Atomic(wall - boot)
        lives = Atomic(wall - boot)
        self.maximumAdvance = Atomic(maximumAdvance)
        start(at: EngineTime(windows: max(wall, highWater), lives: max(wall, highWater)))
    }

    /// Engine time now, Unix milliseconds.
    package var now: Int64 { time.windows }

    /// Life time now, Unix milliseconds.
    package var life: Int64 { time.lives }

    /// Both times at one instant.
    package var time: EngineTime {
        // ORDERING: acquire; pairs with the release in `follow`: who finds the lowered line finds the one above it.
        // Boot time is read last, so that a line that was raised meanwhile is not missed by what follows it.
        let believed = believed.load(ordering: .acquiring)
        let slow = slow.load(ordering: .relaxed)
        // ORDERING: relaxed because it changes only before anybody reads.
        let lives = lives.load(ordering: .relaxed)
        let boot = source.boot()
        return EngineTime(
            windows: max(boot + believed, (boot + slow) >> 1), lives: boot + lives)
    }

    /// What the wall clock says, Unix milliseconds.
    package var wall: Int64 { source.wall() }

    /// By how much engine time is ahead of the wall clock; below 0: behind it. Milliseconds.
    package var ahead: Int64 { now - source.wall() }

    /// How much time elapses until engine time comes to an instant: more than lies between them, while it goes at half
    /// speed. Milliseconds, 0 if it is over.
    package func elapses(until instant: Int64) -> Int64 {
        let left = instant - now
        guard left > 0 else { return 0 }
        let ahead = max(0, now - (source.boot() + believed.load(ordering: .relaxed)))
        return left + min(left, ahead)
    }

    /// Goes on from where a start is to begin. Before anybody reads the clock.
    func start(at time: EngineTime, maximumAdvance: Int64? = nil) {
        let boot = source.boot()
        // ORDERING: relaxed throughout because nobody reads yet.
        believed.store(source.wall() - boot, ordering: .relaxed)
        slow.store(2 * time.windows - boot, ordering: .relaxed)
        lives.store(time.lives - boot, ordering: .relaxed)
        if let maximumAdvance { self.maximumAdvance.store(maximumAdvance, ordering: .relaxed) }
    }

    /// Compares engine time with the wall clock and follows it. To be called every second or so.
    package func follow() -> Observation {
        let boot = source.boot()
        let offset = source.wall() - boot
        // ORDERING: relaxed where it says nothing else: this is the only thread that writes.
        let present = believed.load(ordering: .relaxed)
        let lead = offset + boot - max(boot + present, (boot + slow.load(ordering: .relaxed)) >> 1)
        if lead <= Self.believableLead {
            doubtedSince.store(0, ordering: .relaxed)
            // Both clocks are read in whole milliseconds: one back is no step.
            if offset < present - 1 {
                setBack(to: offset, at: boot)
            } else if offset > present {
                believed.store(offset, ordering: .relaxed)
            }
            return standing
        }
        guard lead <= maximumAdvance.load(ordering: .relaxed) else {
            doubtedSince.store(0, ordering: .relaxed)
            return .refused(lead: lead)
        }
        let since = doubtedSince.load(ordering: .relaxed)
        let change = offset - doubtedOffset.load(ordering: .relaxed)
        if since == 0 || abs(change) > Self.believableLead {
            doubtedSince.store(boot, ordering: .relaxed)
            doubtedOffset.store(offset, ordering: .relaxed)
            return .doubted(lead: lead)
        }
        guard boot - since >= Self.patience else { return .doubted(lead: lead) }
        doubtedSince.store(0, ordering: .relaxed)
        believed.store(offset, ordering: .relaxed)
        return .believed(lead: lead)
    }

    private var standing: Observation {
        let ahead = ahead
        return ahead > 1 ? .slowed(ahead: ahead) : .steady
    }

    /// Lowers the line of the wall clock, after it has laid the slow one above it.
    private func setBack(to offset: Int64, at boot: Int64) {
        let present = believed.load(ordering: .relaxed)
        if boot + present > (boot + slow.load(ordering: .relaxed)) >> 1 {
            slow.store(2 * (boot + present) - boot + Self.margin, ordering: .relaxed)
        }
        // ORDERING: release; pairs with the acquire in `time`.
        believed.store(offset, ordering: .releasing)
    }
}
