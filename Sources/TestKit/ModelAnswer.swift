package import Limits

/// What an operation answers and which events it raises, in order.
package struct ModelOutcome: Sendable, Equatable {
    package var answer: ModelAnswer
    package var events: [ModelEvent]

    package init(_ answer: ModelAnswer, events: [ModelEvent] = []) {
        self.answer = answer
        self.events = events
    }
}

package enum ModelAnswer: Sendable, Equatable {
    /// The operation needs no answer.
    case done
    /// A configuration change: by how much present usage is over each cap.
    case changed(overBy: [LimitKind: Int64])
    /// gRPC status is not OK; nothing was changed.
    case failure(ErrorCode)
    case check(ModelCheckAnswer)
    case commit(ModelCommitAnswer)
    case release(ModelReleaseAnswer)
    case extend(ModelExtendAnswer)
    case record(ModelRecordAnswer)
    case usage(ModelUsageAnswer)
}

/// What a transition tells the operator (semantics §7). Subjects are tenant or profile ids.
package enum ModelEvent: Sendable, Hashable {
    /// `level`: 0 is the first threshold.
    case thresholdReached(LimitKind, subject: String, level: Int = 0)
    case limitReached(LimitKind, subject: String)
    /// Limit reached, as a refusal that trips nothing: one request was too large by itself.
    case requestRefused(LimitKind, subject: String)
    /// The same as the first two, for the window that ended.
    case windowEndedAtThreshold(LimitKind, subject: String)
    case windowEndedAtLimit(LimitKind, subject: String)
    case suspended(tenantID: String)
    case reinstated(tenantID: String)
}

package struct ModelCheckAnswer: Sendable, Equatable {
    package var decision = Decision.denied
    package var replayed = false
    package var refusedBySuspension = false
    package var refused: LimitSet = []
    package var warnings: LimitSet = []
    /// Ordinal; 0: nothing is held.
    package var reservation = 0
    /// Unix milliseconds; 0 where nothing is held.
    package var expiresAt: Int64 = 0
    /// `Mode.partial`, without zeros.
    package var granted: ModelAmounts = [:]
    package var treatment = Treatment.none
    package var tenantStatus = TenantStatus.active

    package init() {}
}

package struct ModelCommitAnswer: Sendable, Equatable {
    /// Without zeros.
    package var committed: ModelAmounts = [:]
    /// Without zeros.
    package var uncharged: ModelAmounts = [:]
    package var late = false
    package var replayed = false
    package var warnings: LimitSet = []
    package var tenantStatus = TenantStatus.active

    package init() {}
}

package struct ModelReleaseAnswer: Sendable, Equatable {
    package var replayed = false
    package var expired = false

    package init() {}
}

package struct ModelExtendAnswer: Sendable, Equatable {
    package var decision = Decision.denied
    package var replayed = false
    package var refusedBySuspension = false
    package var refused: LimitSet = []
    package var warnings: LimitSet = []
    /// Unix milliseconds.
    package var expiresAt: Int64 = 0
    /// `Mode.partial`, without zeros.
    package var granted: ModelAmounts = [:]
    package var treatment = Treatment.none

    package init() {}
}

package struct ModelRecordAnswer: Sendable, Equatable {
    package var warnings: LimitSet = []
    package var tenantStatus = TenantStatus.active
    package var replayed = false

    package init() {}
}

package struct ModelUsageAnswer: Sendable, Equatable {
    package var tenantStatus = TenantStatus.active
    /// The tenant's limits, and the profile's where one was asked for.
    package var limits: [LimitKind: LimitState] = [:]

    package init() {}
}
