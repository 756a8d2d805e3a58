internal import LimitsFile
internal import Logging
internal import Notifications

/// What is wrong with the files that settings name.
struct ConfigurationCheck {
    /// A sentence each.
    private(set) var mistakes: [String] = []

    init(_ settings: ServeSettings) {
        // What a start would log (a certificate that ends soon) is no mistake.
        let logger = Logger(label: "tollgate") { _ in SwiftLogNoOpLogHandler() }
        collect { _ = try PortsTLS(settings, logger: logger) }
        collect { _ = try settings.identitiesFile.map { try IdentitiesFile.read($0) } }
        collect { _ = try settings.limitsFile.map { try LimitsSource(path: $0).parse() } }
        collect { _ = try MailSender.make(settings) }
    }

    private mutating func collect(_ check: () throws -> Void) {
        do {
            try check()
        } catch {
            mistakes.append("\(error)")
        }
    }
}
