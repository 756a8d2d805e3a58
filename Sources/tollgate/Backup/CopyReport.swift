internal import Backup
internal import CommandIO
internal import Journal

/// What commands say about copies while they are made, and how they end.
enum CopyReport {
    /// A copy's work: interrupted by signals, and its progress on standard error.
    static func work(_ name: String, rate: Int = 0) -> CopyWork {
        Interruption.catchSignals()
        return CopyWork(rate: rate, isInterrupted: { Interruption.isAskedFor }) { done, expected in
            StandardError.print("\(name): \(bytes(done)) of \(bytes(expected)) copied")
        }
    }

    static func bytes(_ count: Int) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB"]
        guard count >= 1_024 else { return "\(count) bytes" }
        var value = Double(count) / 1_024
        var unit = 0
        while value >= 1_024, unit < units.count - 1 {
            value /= 1_024
            unit += 1
        }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
