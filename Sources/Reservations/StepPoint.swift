/// The places between the atomic steps of an operation, where a test can hold a thread.
///
/// They are called in builds with STEP_POINTS (debug) only. A release build contains the type, but no hook and no call:
/// `nm tollgate | grep -c onStep` and `objdump -d tollgate | grep -c 'call.*StepPoint'` both print 0.
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
    /// The record is published.
    case recordPublished
    /// The profile's head was swung.
    case profileSwung
    /// The reservation's slot was brought up to date.
    case slotUpdated
    /// The key's entry was made visible.
    case keyUpdated
    /// All satellites are complete, and the tenant says so.
    case completed
}
