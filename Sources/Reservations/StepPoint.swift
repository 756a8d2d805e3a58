/// The places between the atomic steps of an operation, where a test can hold a thread.
///
/// They are called in builds with STEP_POINTS (debug) only. A release build contains the type, but no hook and no call:
/// `Tools/check-step-points` looks.
package enum StepPoint: Sendable {
    /// The head and the node were read, nothing was completed yet.
    case headRead
    /// The predecessor's dependent records are complete.
    case predecessorCompleted
    /// The dependent records were read and the head was found unchanged.
    case snapshotTaken
    /// Slot and key entry are filled but not published.
    case dependentsFilled
    /// The key entry stands in its bucket, undecided.
    case keyPushed
    /// The new node is written; the head is about to be swung.
    case nodeWritten
    /// The head was swung: the operation has happened. Nothing else is written yet.
    case headSwung
    /// The record is published, the predecessor's or the operation's own.
    case recordPublished
    /// The profile's head was swung.
    case profileSwung
    /// The reservation's slot was brought up to date.
    case slotUpdated
    /// The key's entry was made visible.
    case keyUpdated
    /// All dependent records are complete, and the tenant says so.
    case completed
    // MARK: Helping

    /// A helper is about to complete what a version says, and between its compare-exchanges.
    case helping
    case helpedProfile
    case helpedSlot
    case helpedKey

    // MARK: Memory

    /// A slot was taken; nothing but its generation is written.
    case slotTaken
    /// A slot that was taken has no owner any more; its generation is not taken back yet.
    case slotDisowned
    /// The head was swung and the dependent records are complete; the hold stands in no wheel yet.
    case notYetTimed
    /// A key's entry has begun its next life and stands in no list.
    case keyRenewed
    /// The entry links to the first of its bucket; the bucket does not name it yet.
    case keyLinked
    /// The head of a shared stack and the link behind it were read, or written for a push.
    case stackRead
    /// The ends of the queue of key chunks were read.
    case queueRead
    /// A chunk was linked; the queue's tail is behind.
    case queueLinked

    // MARK: Forgetting and taking over

    /// The time at which a settled reservation is forgotten is about to be set.
    case forgettingRead
    /// A reservation is about to be forgotten.
    case forgetting
    /// It is forgotten; its slot is in no free list yet.
    case forgotten
    /// The walk is this lane's.
    case walkClaimed
    /// A lane was found silent; it is about to be told that the walk has begun.
    case silenceFound
    /// A stopped lane's reservation is timed by this lane, but stands in no wheel yet.
    case takenOver

    // MARK: Directory

    /// A new tenant's or profile's cell is filled; no directory names it.
    case cellFilled
    /// An empty slot of the directory was found for it.
    case placeFound
    /// A larger directory is made but not published.
    case successorMade
    /// A word of the outgrown directory is about to be moved.
    case moving
    /// A stretch was moved; the count of moved stretches does not say so.
    case stretchMoved
}

#if STEP_POINTS
    extension StepPoint: CaseIterable {}
#endif

/// What shared memory calls at its step points: the hook of the lane that works on it. Nothing in a release build.
struct Steps {
    #if STEP_POINTS
        private let hook: ((StepPoint) -> Void)?
        init(_ hook: ((StepPoint) -> Void)?) { self.hook = hook }
        static var none: Steps { Steps(nil) }
    #else
        static var none: Steps { Steps() }
    #endif

    @inline(always)
    func callAsFunction(_ point: @autoclosure () -> StepPoint) {
        #if STEP_POINTS
            hook?(point())
        #endif
    }
}
