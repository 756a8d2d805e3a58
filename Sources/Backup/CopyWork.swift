import CLinux
import Glibc
package import Journal

/// What goes along with copying, whatever is copied: it keeps within a rate, looks whether it is to end, and says how far
/// it is.
///
/// Thread safety: one thread.
package final class CopyWork {
    private let rate: Int
    private let isInterrupted: () -> Bool
    private let report: (_ done: Int, _ expected: Int) -> Void
    private var reported: Int64
    /// Bytes that were copied, and that are to be copied in all as far as that is known.
    package private(set) var done = 0
    private var expected = 0

    /// When the next piece may be copied, by the rate.
    private var due: Int64

    /// Nanoseconds.
    private static let mostCatchUp: Int64 = 1_000_000_000
    private static let betweenReports: Int64 = 5_000_000_000
    private static let longestNap: Int64 = 50_000_000

    /// - Parameters:
    ///   - rate: bytes a second at most; 0: any.
    ///   - isInterrupted: asked between pieces.
    ///   - report: called every five seconds.
    package init(
        rate: Int = 0, isInterrupted: @escaping () -> Bool = { false },
        report: @escaping (_ done: Int, _ expected: Int) -> Void = { _, _ in }
    ) {
        self.rate = rate
        self.isInterrupted = isInterrupted
        self.report = report
        reported = linux_monotonic_nanoseconds()
        due = reported
    }

    /// Says that so many bytes more are to be copied.
    package func expect(_ bytes: Int) { expected += bytes }

    /// To be called behind each piece that was copied. Returns when the next one may be.
    package func spend(_ bytes: Int) throws(JournalError) {
        done += bytes
        try pace(bytes)
    }

    /// To be called behind each piece that was read, and not copied.
    func pace(_ bytes: Int) throws(JournalError) {
        try check()
        let now = linux_monotonic_nanoseconds()
        if now - reported >= Self.betweenReports {
            reported = now
            report(done, max(expected, done))
        }
        guard rate > 0 else { return }
        // Time that was not used is not made up for, but for a second.
        due = max(due, now - Self.mostCatchUp) + Int64(Double(bytes) / Double(rate) * 1e9)
        while true {
            let left = due - linux_monotonic_nanoseconds()
            guard left > 0 else { return }
            var nap = timespec(tv_sec: 0, tv_nsec: Int(min(left, Self.longestNap)))
            nanosleep(&nap, nil)
            try check()
        }
    }

    /// Throws when the work is to end.
    func check() throws(JournalError) {
        guard isInterrupted() else { return }
        throw JournalError(
            .interrupted, file: "the copy", reason: "it was interrupted",
            remedy: "run the command again")
    }
}
