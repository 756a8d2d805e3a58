internal import ArgumentParser
internal import CommandIO
internal import Glibc
internal import JSON

/// `disk`: what the disk itself can do, and what callers would see of it if nothing else took time.
struct DiskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk",
        abstract: "A bare loop of 4 KiB writes, each followed by fdatasync.",
        discussion: """
            The file is written full of zeros first, as the journal's segments are. Printed are the loop's own times, \
            and what arrivals at --rate would wait over its trace: for the rest of the round that runs when they come, \
            and for the whole of the next.
            """)

    static let blockBytes = 4_096

    @Option(help: "Where the file is made; it is removed at the end.")
    var directory = "."

    @Option(help: "Seconds.")
    var seconds = 5

    @Option(help: "Arrivals a second, for the model.")
    var rate = 20_000

    @Option(help: "MiB of the file, which is written round and round.")
    var size = 64

    @Flag(help: "One JSON object; milliseconds.")
    var json = false

    func validate() throws {
        guard seconds > 0, rate > 0, (1...65_536).contains(size) else {
            throw ValidationError("seconds and rate are above 0, size is 1 ... 65536")
        }
    }

    func run() throws {
        let ends = try trace()
        let rounds = zip(ends, ends.dropFirst()).map { $1 - $0 }
        let waits = Self.waits(ends, every: 1_000_000_000 / Int64(rate))
        let (loop, arrivals) = (Quantiles(rounds), Quantiles(waits))
        if json {
            let report: JSON = [
                "rounds": .integer(rounds.count), "loop_ms": loop.json,
                "arrivals": .integer(waits.count), "arrivals_ms": arrivals.json,
            ]
            StandardOutput.print(report.text)
        } else {
            StandardOutput.print("\(rounds.count) writes of 4 KiB with fdatasync: \(loop.text)")
            StandardOutput.print("\(rate) arrivals a second would wait: \(arrivals.text)")
        }
    }

    /// When each round ended, nanoseconds; the first is the beginning.
    private func trace() throws -> [Int64] {
        let path = "\(directory)/tollgate-disk-\(getpid())"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else { throw SystemError("cannot make \(path)") }
        defer {
            close(file)
            unlink(path)
        }
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for part in 0..<size {
            guard pwrite(file, zeros, zeros.count, part << 20) == zeros.count else {
                throw SystemError("cannot write \(path)")
            }
        }
        guard fsync(file) == 0 else { throw SystemError("cannot sync \(path)") }
        let block = [UInt8](repeating: 0x74, count: Self.blockBytes)
        var ends = [monotonicNanoseconds()]
        let until = ends[0] + Int64(seconds) * 1_000_000_000
        var place = 0
        while ends[ends.count - 1] < until {
            guard pwrite(file, block, block.count, place) == block.count, fdatasync(file) == 0
            else { throw SystemError("cannot write and sync \(path)") }
            ends.append(monotonicNanoseconds())
            place = (place + block.count) % (size << 20)
        }
        return ends
    }

    /// What arrivals wait that come at even distances: the rest of the running round and the whole next one.
    static func waits(_ ends: [Int64], every distance: Int64) -> [Int64] {
        guard ends.count > 2 else { return [] }
        var waits: [Int64] = []
        var running = 1
        var time = ends[0]
        while true {
            while running < ends.count, ends[running] <= time { running += 1 }
            guard running + 1 < ends.count else { return waits }
            waits.append(ends[running + 1] - time)
            time += distance
        }
    }
}

/// Nanoseconds of the monotonic clock.
func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// A call of the system that failed, by `errno`.
struct SystemError: Error, CustomStringConvertible {
    let description: String

    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// Of times in nanoseconds, in milliseconds.
struct Quantiles {
    private let sorted: [Int64]

    init(_ times: [Int64]) { sorted = times.sorted() }

    /// - Parameter part: 0 ... 1.
    subscript(part: Double) -> Double {
        guard sorted.isEmpty == false else { return .nan }
        let index = min(sorted.count - 1, Int((Double(sorted.count) * part).rounded(.up)) - 1)
        return (Double(sorted[max(0, index)]) / 1_000).rounded() / 1_000
    }

    var text: String { "p50 \(self[0.5]) ms, p99 \(self[0.99]) ms, longest \(self[1]) ms" }
    var json: JSON {
        ["p50": .decimal(self[0.5]), "p99": .decimal(self[0.99]), "max": .decimal(self[1])]
    }
}
