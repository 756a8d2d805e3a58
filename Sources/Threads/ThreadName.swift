/// What a thread is called in `top -H`, `ps -L` and `/proc/PID/task/TID/comm`.
package struct ThreadName: Sendable, Hashable, CustomStringConvertible {
    /// The kernel keeps so many bytes.
    package static let longest = 15

    package let description: String

    private init(_ name: String) {
        precondition(
            (1...Self.longest).contains(name.utf8.count), "\(name) is too long for a thread's name")
        description = name
    }

    /// Writes what rings have published, and syncs.
    package static let journal = ThreadName("journal")
    /// Prepares the journal's next segment.
    package static let segments = ThreadName("journal-segment")
    /// Makes checkpoints when nobody needs the machine.
    package static let checkpoints = ThreadName("checkpoint")
    /// Makes them when the journal fills up, and removes files.
    package static let urgentCheckpoints = ThreadName("checkpoint-now")
    /// Follows the journal into SQLite.
    package static let projection = ThreadName("projection")
    /// Writes the log to standard error.
    package static let log = ThreadName("log")
    /// Writes the ready line to standard output.
    package static let readyLine = ThreadName("ready-line")
    /// Waits for the end of whoever reads standard output.
    package static let reader = ThreadName("stdout-watch")
    /// Gives memory back that peers have left.
    package static let memory = ThreadName("memory-return")
    /// Serves HTTP/1.1 for REST.
    package static let rest = ThreadName("rest")
    /// Looks names up.
    package static let lookUps = ThreadName("look-up")
    /// Sends mails.
    package static let mail = ThreadName("mail")
    /// Waits for a new program's check before an upgrade.
    package static let upgrade = ThreadName("upgrade")
    /// Ends the projection and the journal.
    package static let closing = ThreadName("closing")
    /// Tells a supervisor that a long start makes progress.
    package static let progress = ThreadName("progress")
    /// Waits for signals to the process.
    package static let signals = ThreadName("signals")
    /// Runs a benchmark's or a test's work.
    package static let work = ThreadName("work")

    /// An event loop of the data plane.
    package static func grpc(_ index: Int) -> ThreadName { ThreadName("grpc-\(index)") }

    /// All that have no number.
    package static let all = [
        journal, segments, checkpoints, urgentCheckpoints, projection, log, readyLine, reader,
        memory, rest, lookUps, mail, upgrade, closing, progress, signals, work,
    ]
}
