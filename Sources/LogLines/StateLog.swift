package import Logging
internal import Synchronization

/// Says once that a bad state has begun, and once that it is over, however long it lasts and however often it is looked
/// at. Every state that an operator must know of is logged through one of these.
///
/// Thread safety: any thread; of two looks at once, either may be the first.
package final class StateLog: Sendable {
    private let begins: Logger.Message
    private let ends: Logger.Message
    private let level: Logger.Level
    private let tellsChanges: Bool
    /// The reason that was told; nil: all is well.
    private let told = Mutex<String?>(nil)

    /// - Parameters:
    ///   - begins: the line at its beginning, with the field `reason`.
    ///   - ends: the line at its end, of level `notice`.
    ///   - level: of the first line.
    ///   - tellsChanges: while it lasts, another reason is told too. Not for reasons that have times or counts in them.
    package init(
        begins: Logger.Message, ends: Logger.Message, level: Logger.Level = .error,
        tellsChanges: Bool = false
    ) {
        self.begins = begins
        self.ends = ends
        self.level = level
        self.tellsChanges = tellsChanges
    }

    /// Whether it lasts, as far as was told.
    package var lasts: Bool { told.withLock { $0 != nil } }

    /// - Parameters:
    ///   - reason: why it is so; empty: the message says it; nil: it is not so.
    ///   - metadata: further fields.
    ///   - isAsked: somebody waits to hear it: it is told though it was before.
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
