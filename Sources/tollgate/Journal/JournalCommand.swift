internal import ArgumentParser
internal import CommandIO
internal import Engine
internal import Foundation
internal import Journal
internal import JSON
internal import Limits
internal import Projection

/// `tollgate journal`
struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal",
        abstract: "Inspects or repairs the data directory of a stopped service.",
        discussion: """
            Exit status: 0 intact or done, 64 wrong usage, 65 damaged or refused, 69 in use by a \
            service, 70 anything else. The format is described in docs/journal-format.md.
            """,
        subcommands: [Verify.self, Dump.self, Stat.self, Repair.self])

    /// Where the journal lies.
    struct Directory: ParsableArguments {
        @Option(help: .init("The data directory.", valueName: "dir"))
        var dataDir = "tollgate-data"

        /// The directory, locked, and the journal's id.
        func open() throws -> (disk: SystemDisk, id: JournalID) {
            let disk = try SystemDisk(path: dataDir)
            try disk.lock()
            guard let id = try JournalReader.id(disk) else {
                throw JournalError(
                    .missing, file: dataDir, reason: "it contains no journal",
                    remedy: "give the directory used with `tollgate serve --data-dir`")
            }
            return (disk, id)
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads and replays everything; changes nothing.")
        @OptionGroup var directory: Directory
        @Flag(help: "One JSON object.") var json = false

        func run() throws {
            try DirectoryFailure.reporting {
                let (disk, _) = try directory.open()
                let report = try Engine.verify(disk: disk)
                if json {
                    StandardOutput.print(
                        JSON.object([
                            ("records", .integer(Int64(report.records))),
                            ("bytes", .integer(Int64(report.bytes))),
                            ("second_copies", .integer(Int64(report.duplicates))),
                            ("never_acknowledged", .integer(Int64(report.dropped))),
                            ("torn_bytes", .integer(Int64(report.tornBytes))),
                            (
                                "damaged_checkpoints",
                                .array(report.passedOver.map { .string($0) })
                            ),
                        ]).text)
                } else {
                    StandardOutput.print(
                        """
                        intact: \(report.records) records and entries in \(report.bytes) bytes of \
                        segments, \(report.duplicates) duplicates, \(report.dropped) dropped (never \
                        acknowledged)
                        """)
                    if report.tornBytes > 0 {
                        StandardOutput.print(
                            "torn tail of \(report.tornBytes) bytes at \(report.tornAt)")
                    }
                    for reason in report.passedOver {
                        StandardOutput.print("damaged checkpoint: \(reason)")
                    }
                }
                if !report.passedOver.isEmpty { throw ExitStatus.refusedInput.code }
            }
        }
    }

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every record, one JSON object a line.")
        @OptionGroup var directory: Directory
        @Flag(help: "JSON; the only format.") var json = false
        @Flag(help: "Print the newest checkpoint's entries first.")
        var checkpoint = false

        func run() throws {
            try DirectoryFailure.reporting {
                let (disk, id) = try directory.open()
                var record = Record(.reserved)
                var first = try disk.segmentNumbers().first ?? 1
                if checkpoint, let number = try disk.checkpointNumbers().last {
                    first = number
                    _ = try CheckpointReader(disk, id: id).read(number, wrapping: { $0 }) {
                        (block) throws(JournalError) in
                        block.forEachRecord { Self.show($0, nil, &record) }
                    }
                }
                _ = try JournalReader(disk, id: id).read(from: first, wrapping: { $0 }) {
                    (event) throws(JournalError) in
                    switch event {
                    case .start(let epoch):
                        StandardOutput.print(
                            JSON.object([
                                ("kind", .string("process_started")),
                                ("epoch", .integer(Int64(clamping: epoch))),
                            ]).text)
                    case .records(let payload, let place):
                        payload.forEachRecord { Self.show($0, place, &record) }
                    }
                }
            }
        }

        private static func show(
            _ words: UnsafeBufferPointer<UInt64>, _ place: JournalReader.Place?,
            _ record: inout Record
        ) {
            var value: JSON
            if let entry = RecordJSON.entry(words) {
                value = entry
            } else if (try? record.read(words)) != nil {
                value = RecordJSON.operation(record)
            } else {
                value = .object([("kind", .string("unreadable"))])
            }
            if let place, case .object(let members) = value {
                value = .object(
                    [
                        ("segment", .integer(Int64(clamping: place.segment))),
                        ("frame", .integer(Int64(clamping: place.sequence))),
                        ("epoch", .integer(Int64(clamping: place.epoch))),
                    ] + members)
            }
            StandardOutput.print(value.text)
            StandardOutput.endWhenOver()
        }
    }

    struct Stat: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints files, sizes and record counts by kind.")
        @OptionGroup var directory: Directory
        @Flag(help: "One JSON object.") var json = false

        func run() throws {
            try DirectoryFailure.reporting {
                let (disk, id) = try directory.open()
                let segments = try disk.segmentNumbers()
                let checkpoints = try disk.checkpointNumbers()
                var numbers = [Int64](repeating: 0, count: 256)
                var words: Int64 = 0
                let end = try JournalReader(disk, id: id).read(
                    from: segments.first ?? 1, wrapping: { $0 }
                ) { (event) throws(JournalError) in
                    guard case .records(let payload, _) = event else { return }
                    payload.forEachRecord { one in
                        words += Int64(one.count)
                        numbers[Int(one.recordKind)] += 1
                    }
                }
                let count = numbers.reduce(0, +)
                let counts = numbers.enumerated().filter { $0.element > 0 }.map { number, count in
                    let kind = Record.Kind(rawValue: UInt8(number))
                    let name = kind.map { RecordJSON.snakeCase("\($0)") } ?? "kind_\(number)"
                    return (key: name, value: count)
                }
                if json {
                    StandardOutput.print(
                        JSON.object([
                            ("segments", .integer(Int64(segments.count))),
                            ("first_segment", .integer(Int64(clamping: segments.first ?? 0))),
                            (
                                "checkpoints",
                                .array(checkpoints.map { .integer(Int64(clamping: $0)) })
                            ),
                            ("frames", .integer(Int64(clamping: end.sequence))),
                            ("process_runs", .integer(Int64(clamping: end.epoch))),
                            ("records", .integer(count)),
                            ("record_bytes", .integer(words * 8)),
                            (
                                "records_by_kind",
                                .object(counts.map { ($0.key, .integer($0.value)) })
                            ),
                        ]).text)
                    return
                }
                StandardOutput.print("segments      \(segments.count), from \(segments.first ?? 0)")
                StandardOutput.print(
                    "checkpoints   \(checkpoints.map(String.init).joined(separator: ", "))")
                StandardOutput.print("frames        \(end.sequence) in \(end.epoch) process runs")
                StandardOutput.print(
                    "records       \(count), \(count == 0 ? 0 : words * 8 / count) bytes each")
                for (kind, count) in counts { StandardOutput.print("  \(kind): \(count)") }
            }
        }
    }

    struct Repair: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Truncates the journal at an offset, permanently. Keeps a copy of what it changes.",
            discussion: """
                Everything after SEGMENT:OFFSET is lost, including acknowledged changes. The offset is \
                the one in the error message. Lists (projection.sqlite) are rebuilt when the service \
                starts, if they include what was cut; the audit log, \
                daily usage and events stay.
                """)
        @OptionGroup var directory: Directory
        @Option(help: .init("Where to cut.", valueName: "segment:offset"))
        var truncateAt: String

        func run() throws {
            let parts = truncateAt.split(separator: ":")
            guard parts.count == 2, let segment = UInt64(parts[0]), let offset = Int(parts[1])
            else {
                throw ValidationError("--truncate-at must be SEGMENT:OFFSET, like 12:40960")
            }
            try DirectoryFailure.reporting {
                let (disk, id) = try directory.open()
                let (end, done) = try JournalRepair(disk, id: id).truncate(at: segment, offset)
                for line in done { StandardOutput.print(line) }
                let projection = directory.dataDir + "/" + Projection.fileName
                if try ProjectionFile(path: projection).forget(behind: end) {
                    StandardOutput.print(
                        """
                        projection.sqlite includes what was cut: lists are rebuilt when the service \
                        starts, and the audit log, daily usage and events stay
                        """)
                }
            }
        }
    }
}
