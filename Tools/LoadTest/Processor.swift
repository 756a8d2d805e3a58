internal import Foundation
internal import Glibc

/// Processor time, as Linux counts it.
enum Processor {
    /// Of this process, user and system; nanoseconds.
    static var ownNanoseconds: UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Of all living threads of a process: the first field of their schedstat; nil: no such process.
    static func nanoseconds(of process: Int32) -> UInt64? {
        let directory = "/proc/\(process)/task"
        guard let threads = try? FileManager.default.contentsOfDirectory(atPath: directory),
            threads.isEmpty == false
        else { return nil }
        return threads.reduce(UInt64(0)) { sum, thread in
            let path = "\(directory)/\(thread)/schedstat"
            guard let text = try? String(contentsOfFile: path, encoding: .utf8),
                let field = text.split(separator: " ").first, let time = UInt64(field)
            else { return sum }
            return sum + time
        }
    }
}
