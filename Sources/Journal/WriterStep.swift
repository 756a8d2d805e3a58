/// The places between the steps of a round of `JournalWriter`, where a test can hold its thread.
///
/// Called in builds with STEP_POINTS (debug) only.
package enum WriterStep: Sendable {
    /// The round's number is published; no ring was read.
    case roundBegun
    /// One more ring was read: each twice.
    case ringRead
    /// The frame is written, but not synced.
    case frameWritten
    /// The frame is on disk; nobody was told.
    case frameSynced
    /// One more ring has room again.
    case ringDurable
    /// One more ring's answers need not wait.
    case ringSettled
    /// Tickets are due; nobody was called.
    case roundDone
}

#if STEP_POINTS
    extension WriterStep: CaseIterable {}
#endif

extension JournalWriter {
    @inline(always)
    func step(_ point: @autoclosure () -> WriterStep) {
        #if STEP_POINTS
            onStep?(point())
        #endif
    }
}
