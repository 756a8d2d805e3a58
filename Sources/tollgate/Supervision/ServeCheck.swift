internal import CommandIO
internal import Foundation
internal import Journal

/// `tollgate serve --check`: whether the service could start with these settings, files and data. It takes no lock and
/// writes nothing, so that it can run beside a running service.
struct ServeCheck {
    let settings: ServeSettings
    /// The service that runs the check before an upgrade; nil: none does.
    let service: RunningService?

    /// - Throws: the error that a start would end with.
    func run() throws {
        let mistakes =
            ConfigurationCheck(settings).mistakes + (service?.objections(to: settings) ?? [])
        guard mistakes.isEmpty else {
            for mistake in mistakes { StandardError.print(mistake) }
            throw ExitStatus.usage.code
        }
        let found = try data()
        StandardOutput.print(
            "tollgate \(Tollgate.version) can start with these settings: \(found)")
    }

    private func data() throws -> String {
        let path = settings.dataDirectory
        guard settings.durability != .memory else { return "nothing is kept on disk" }
        guard FileManager.default.fileExists(atPath: path) else { return "\(path) will be created" }
        let files = try JournalFormats.check(SystemDisk(path: path))
        return "\(path) contains \(files) readable journal files"
    }
}
