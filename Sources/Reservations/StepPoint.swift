/// The places between the atomic steps of an operation, where a test can hold a thread.
///
/// They exist in builds with STEP_POINTS (debug) only. A release build contains no call, no check and no symbol of
/// them: `nm` of a release binary shows no `StepPoint` (Tools/test looks).
package enum StepPoint: CaseIterable, Sendable {
    /// The head and the node were read, nothing was completed yet.
    case headRead
    /// The predecessor's satellites are complete.
    case predecessorCompleted
    /// The satellites were read and the head was found unchanged.
    case snapshotTaken
    /// Slot and key entry are filled but not published.
    case satellitesFilled
    /// The key entry stands in its bucket, undecided.
    case keyPushed
    /// The new node is written; the head is about to be swung.
    case nodeWritten
    /// The head was swung: the operation has happened. Nothing else is written yet.
    case headSwung
    /// The profile's head was swung.
    case profileSwung
    /// The reservation's slot was brought up to date.
    case slotUpdated
    /// The key's entry was made visible.
    case keyUpdated
    /// All satellites are complete, and the tenant says so.
    case completed
}
