package import Limits

/// What happened that somebody is told of (semantics §7). It is part of the record of the transition that caused it,
/// and the same however often it is derived from that record.
package struct Event: Sendable, Equatable, Codable {
    /// A UUID, the same on every attempt and after every rebuild.
    package var id: String
    package var kind: Kind
    /// Engine time, Unix milliseconds.
    package var occurredAt: Int64
    package var tenantID: String
    package var tenantName: String
    /// Empty: not about a profile.
    package var profileID: String
    package var profileName: String
    /// The limit; nil: a suspension by an operator, or a reinstatement.
    package var limit: LimitReading?
    /// Of a suspension or reinstatement by an operator: why.
    package var reason: String
    /// nil: usage, as ever.
    package var occasion: Occasion?

    /// What about a limit is told that usage did not raise.
    package enum Occasion: String, Sendable, Codable {
        /// Limit reached: one request was too large by itself, and was refused. Little of the cap is used, and nobody is
        /// suspended.
        case refusal
        /// The window ended where the limit stands, with what was still reserved.
        case windowEnd = "window_end"
    }

    /// What is told of a limit depends on whose it is.
    package enum Kind: String, Sendable, Codable, CaseIterable {
        case tenantThresholdReached = "tenant.limit-threshold-reached"
        case tenantLimitReached = "tenant.limit-reached"
        case tenantSuspended = "tenant.suspended"
        case tenantReinstated = "tenant.reinstated"
        case profileThresholdReached = "messaging-profile.spend-limit-threshold-reached"
        case profileLimitReached = "messaging-profile.spend-limit-reached"
        case voiceProfileThresholdReached = "outbound-voice-profile.spend-limit-threshold-reached"
        case voiceProfileLimitReached = "outbound-voice-profile.spend-limit-reached"

        package static func thresholdReached(of subject: LimitSubject) -> Kind {
            switch subject {
            case .tenant: .tenantThresholdReached
            case .messagingProfile: .profileThresholdReached
            case .voiceProfile: .voiceProfileThresholdReached
            }
        }

        package static func limitReached(of subject: LimitSubject) -> Kind {
            switch subject {
            case .tenant: .tenantLimitReached
            case .messagingProfile: .profileLimitReached
            case .voiceProfile: .voiceProfileLimitReached
            }
        }

        /// Whose limit or status it is about.
        package var subject: LimitSubject {
            switch self {
            case .tenantThresholdReached, .tenantLimitReached, .tenantSuspended, .tenantReinstated:
                .tenant
            case .profileThresholdReached, .profileLimitReached: .messagingProfile
            case .voiceProfileThresholdReached, .voiceProfileLimitReached: .voiceProfile
            }
        }

        package var isThreshold: Bool { self == .thresholdReached(of: subject) }
    }

    package init(
        id: String, kind: Kind, occurredAt: Int64, tenantID: String, tenantName: String = "",
        profileID: String = "", profileName: String = "", limit: LimitReading? = nil,
        reason: String = ""
    ) {
        self.id = id
        self.kind = kind
        self.occurredAt = occurredAt
        self.tenantID = tenantID
        self.tenantName = tenantName
        self.profileID = profileID
        self.profileName = profileName
        self.limit = limit
        self.reason = reason
        occasion = nil
    }
}

/// A limit as it stood behind the transition. Amounts in the unit of the limit's resource.
package struct LimitReading: Sendable, Equatable, Codable {
    /// `LimitRow.name`.
    package var name: String
    package var cap: Int64
    package var committed: Int64
    package var held: Int64
    /// What the request asked for of the limit's resource; 0: it was not about a request.
    package var asked: Int64
    /// The alert threshold.
    package var percent: Int
    /// Unix milliseconds; 0: a standing count.
    package var windowStart: Int64
    package var resetsAt: Int64

    package init(
        name: String, cap: Int64, committed: Int64, held: Int64, asked: Int64, percent: Int,
        windowStart: Int64, resetsAt: Int64
    ) {
        self.name = name
        self.cap = cap
        self.committed = committed
        self.held = held
        self.asked = asked
        self.percent = percent
        self.windowStart = windowStart
        self.resetsAt = resetsAt
    }

    /// The row of the catalogue; nil: a name that this version does not know.
    package var row: LimitRow? { LimitKind.row(named: name) }
}
