internal import ArgumentParser

/// Drives a running Tollgate on a schedule and checks its decisions against its own tally.
@main
struct LoadTest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate-loadtest",
        abstract: "Drives a running Tollgate on a schedule and checks its decisions.")
}
