internal import Engine
internal import Glibc
internal import Telemetry

/// The process and its clock. Those without `tollgate_` are called as Prometheus' own libraries call them.
struct ProcessMetrics: MetricGroup {
    static let title = "Process and clock"

    let build = Metric.info("tollgate_build", "The service's version", by: "version")
    let ahead = Metric.gauge(
        "tollgate_clock_ahead_seconds",
        "Engine time minus wall clock. More than a second either way: windows do not follow the wall clock"
    )
    let processor = Metric.counter("process_cpu_seconds", "User and system time")
    let resident = Metric.gauge("process_resident_memory_bytes", "Resident memory")
    let virtual = Metric.gauge(
        "process_virtual_memory_bytes", "Address space, most of it reserved and not in use")
    let threads = Metric.gauge("process_threads", "Threads")
    let started = Metric.gauge(
        "process_start_time_seconds", "When the process was started, Unix time")
    let open = Metric.gauge("process_open_fds", "Open file descriptors")
    let most = Metric.gauge("process_max_fds", "Maximum open file descriptors")
}

extension ServiceMetrics {
    var processFamilies: [MetricFamily] {
        let metrics = MetricCatalogue.process
        var families = [
            MetricFamily(metrics.build, .count(1), Tollgate.version),
            MetricFamily(metrics.ahead, Double(engine.clock.ahead) / 1_000),
        ]
        if let status = ProcessStatus.read() {
            families += [
                MetricFamily(metrics.processor, .number(status.processorSeconds)),
                MetricFamily(metrics.resident, status.residentBytes),
                MetricFamily(metrics.virtual, status.virtualBytes),
                MetricFamily(metrics.threads, status.threads),
                MetricFamily(metrics.started, status.startSeconds),
            ]
        }
        if let open = ProcessStatus.openDescriptors {
            families.append(MetricFamily(metrics.open, open))
        }
        families.append(MetricFamily(metrics.most, ProcessStatus.descriptorLimit))
        return families
    }
}

/// What the system says of this process (proc(5)).
struct ProcessStatus {
    var processorSeconds: Double
    var residentBytes: Int
    var virtualBytes: Int
    var threads: Int
    /// Unix seconds.
    var startSeconds: Double

    /// nil: the system does not say.
    static func read() -> ProcessStatus? {
        guard let line = text(of: "/proc/self/stat"),
            let boot = text(of: "/proc/stat")?.split(separator: "\n")
                .first(where: { $0.hasPrefix("btime ") }).flatMap({ Double($0.dropFirst(6)) })
        else { return nil }
        return ProcessStatus(line, bootSeconds: boot, ticks: Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// - Parameters:
    ///   - line: `/proc/self/stat`.
    ///   - ticks: of a second.
    init?(_ line: String, bootSeconds: Double, ticks: Double) {
        // The second field is a name in parentheses that may hold anything; behind it comes the third.
        guard let end = line.lastIndex(of: ")"), ticks > 0 else { return nil }
        let fields = line[line.index(after: end)...].split(whereSeparator: \.isWhitespace)
        func number(_ field: Int) -> Double? {
            fields.count > field - 3 ? Double(fields[field - 3]) : nil
        }
        guard let user = number(14), let system = number(15), let threads = number(20),
            let start = number(22), let virtual = number(23), let resident = number(24)
        else { return nil }
        processorSeconds = (user + system) / ticks
        self.threads = Int(threads)
        startSeconds = bootSeconds + start / ticks
        virtualBytes = Int(virtual)
        residentBytes = Int(resident) * Int(getpagesize())
    }

    private static func text(of path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = fread(&part, 1, part.count, file)
            guard count > 0 else { break }
            bytes += part[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// nil: the system does not say, or has none left for the look.
    static var openDescriptors: Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // "." and "..", and the one of this look.
        return max(0, count - 3)
    }

    static var descriptorLimit: Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }
}
