#if STEP_POINTS
    import Glibc

    /// Mistakes that a debug build makes when it is told to, each one that somebody has made: `Tools/verify --planted`
    /// shows that the tests find every one of them. A release build contains none of this.
    package enum InjectedBug: String, CaseIterable, Sendable {
        /// An answer may leave before its record is on disk.
        case earlyAcknowledgement = "early-acknowledgement"
        /// An answer may leave when the record of what it reflects is on disk, whether or not what that builds upon is.
        case unsettledAnswer = "unsettled-answer"
        /// The journal writes, but does not sync.
        case skippedSync = "skipped-sync"
        /// A record is published without the one that it builds upon.
        case lostPredecessor = "lost-predecessor"
        /// Whoever comes next does not complete what a stopped thread left to be done.
        case lostDependent = "lost-dependent"
        /// A thread that goes on after a long time writes over what has come after it.
        case overwrittenLife = "overwritten-life"
        /// A decision is put in place without a look at whether the tenant has changed since it was read.
        case doubleGrant = "double-grant"
        /// A request that will be refused takes its room first and gives it back afterwards.
        case rollBackRace = "roll-back-race"

        /// The one that `TOLLGATE_PLANT` names; nil: none.
        package static let planted: InjectedBug? = getenv("TOLLGATE_PLANT").flatMap {
            InjectedBug(rawValue: String(cString: $0))
        }
    }
#endif
