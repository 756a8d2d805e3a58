import LogLines
import Logging
import Projection

/// Says why requests failed that should not have: faults of the service's own. Whoever meets one tries again.
///
/// Thread safety: any thread.
struct FaultLog: Sendable {
    private let logger: Logger
    private let repeats = RepeatLog(rest: "other")

    init(_ logger: Logger) { self.logger = logger }

    /// - Parameter id: the request's.
    func tell(_ error: any Error, _ id: String) {
        let reason = ProjectionError.reason(of: error)
        if let count = repeats.note(reason) {
            var metadata: Logger.Metadata = ["request": "\(id)", "error": "\(reason)"]
            if count > 1 { metadata["since_the_last_line"] = "\(count)" }
            logger.error("a request failed", metadata: metadata)
        }
        logger.debug("why it failed", metadata: ["request": "\(id)", "dump": "\(error)"])
    }
}
