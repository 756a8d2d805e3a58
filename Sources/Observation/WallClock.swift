internal import Glibc

/// The current time, and the time at an instant of the monotonic clock.
struct WallClock {
    private let monotonic: UInt64
    private let unix: UInt64

    init() {
        monotonic = Self.now(CLOCK_MONOTONIC)
        unix = Self.now(CLOCK_REALTIME)
    }

    /// Unix milliseconds.
    var milliseconds: Int64 { Int64(unix / 1_000_000) }

    /// Unix nanoseconds of an instant of the monotonic clock.
    func unix(_ instant: UInt64) -> UInt64 {
        instant <= monotonic ? unix - min(unix, monotonic - instant) : unix + (instant - monotonic)
    }

    private static func now(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
