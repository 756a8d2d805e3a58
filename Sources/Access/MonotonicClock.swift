import Glibc

/// The clock of buckets and pauses.
package enum MonotonicClock {
    /// Nanoseconds since the machine began.
    package static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
