package import Logging
internal import Synchronization

/// Logs once that a failure condition has begun, and once that it has ended, however long it lasts and however often it
/// is detected. Every condition that an operator must know about is logged through one of these.
///
/// Thread safety: any thread; of two concurrent looks, either may come first.
package final class StateLog: Sendable {
    private let begins: Logger.Message
    private let ends: Logger.Message
    private let level: Logger.Level
    private let tellsChanges: Bool
    /// The reason at the last look; nil: the condition does not hold.
    private let told = Mutex<String?>(nil)

    /// - Parameters:
    ///   - begins: the message when it begins, with the field `reason`.
    ///   - ends: the message when it ends, at level `notice`.
    ///   - level: of the line when it begins.
    ///   - tellsChanges: a change of the reason is logged too while it lasts. Not for reasons that contain times or
    ///     counts.
    package init(
        begins: Logger.Message, ends: Logger.Message, level: Logger.Level = .error,
        tellsChanges: Bool = false
    ) {
        self.begins = begins
        self.ends = ends
        self.level = level
        self.tellsChanges = tellsChanges
    }

    /// Whether it lasts, as of the last look.
    package var lasts: Bool { told.withLock { $0 != nil } }

    /// - Parameters:
    ///   - reason: why the condition holds; empty: the message says so; nil: it does not hold.
    ///   - metadata: further fields.
    ///   - isAsked: somebody is waiting for the reason: it is logged even if it was before.
    /// - Returns: whether a line was logged.
    @discardableResult
    package func look(
        _ reason: String?, _ logger: Logger, _ metadata: Logger.Metadata = [:],
        isAsked: Bool = false
    ) -> Bool {
        let before = told.withLock { told in
            defer { told = reason }
            return told
        }
        guard let reason else {
            if before != nil { logger.log(level: .notice, ends, metadata: metadata) }
            return before != nil
        }
        guard isAsked || before == nil || tellsChanges && before != reason else { return false }
        var metadata = metadata
        if !reason.isEmpty { metadata["reason"] = "\(reason)" }
        logger.log(level: level, begins, metadata: metadata)
        return true
    }
}
