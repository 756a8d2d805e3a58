internal import CommandIO
internal import Foundation
internal import Journal
internal import LimitsFile
internal import Logging
internal import TransportSecurity

/// `tollgate serve --check`: whether the service could start with these settings, files and data. It takes no lock and
/// writes nothing, so that it may be asked beside a service that runs.
struct ServeCheck {
    private let settings: ServeSettings
    private let logger: Logger

    init(_ settings: ServeSettings) {
        self.settings = settings
        logger = Service.logger(settings)
    }

    /// - Parameter limits: as it was read.
    /// - Throws: the first thing that a start would end with.
    func run(_ limits: LimitsSource?) throws {
        _ = try limits?.parse()
        _ = try PortsTLS(settings, logger: logger)
        _ = try settings.identitiesFile.map { try IdentitiesFile.read($0) }
        let found = try data()
        StandardOutput.print(
            "tollgate \(Tollgate.version) can start with these settings: \(found)")
    }

    private func data() throws -> String {
        let path = settings.dataDirectory
        guard settings.durability != .memory else { return "nothing is kept on disk" }
        guard FileManager.default.fileExists(atPath: path) else { return "\(path) will be made" }
        let files = try JournalFormats.check(SystemDisk(path: path))
        return "\(path) has \(files) journal files that it can read"
    }
}
