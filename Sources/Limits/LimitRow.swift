/// Whose usage a limit bounds.
@frozen public enum LimitSubject: Sendable, CaseIterable {
    case messagingProfile, voiceProfile, tenant
}

/// When a limit's total starts anew.
@frozen public enum LimitWindow: Sendable {
    /// 00:00:00 UTC to the next.
    case utcDay
    /// A day in the tenant's time zone.
    case tenantDay
    /// The tenant's billing cycle.
    case billingCycle
    /// Never: what exists now is counted.
    case standing
}

/// A row of the limit catalogue: everything that distinguishes one limit from another (semantics §1 and §4).
/// A new limit is a case of `LimitKind`, a row of the error catalogue and a row here, not a branch anywhere.
///
/// An object, so that going through the rows copies no texts.
public final class LimitRow: Sendable {
    public let kind: LimitKind
    /// snake_case name in JSON, events and configuration.
    public let name: String
    public let subject: LimitSubject
    public let resource: Resource
    public let window: LimitWindow
    /// `on_limit: auto` refuses only while auto-suspend is on ("the tenant keeps running" otherwise).
    public let blocksOnlyWithAutoSuspend: Bool
    /// Usage that reaches the cap trips the limit; otherwise only a refusal does.
    public let tripsByUsage: Bool
    /// Tripped, it suspends the tenant, where auto-suspend is on.
    public let suspends: Bool
    /// How much of the cap, in percent, must be committed for a refusal alone to trip the limit. Below it one request is
    /// too large, a wrong unit or a generous estimate: no bill. 0: the first refusal does.
    public let refusalTripsFromPercent: UInt8
    public let error: ErrorCode
    /// How the cap is configured.
    public let cap: CapSetting
    public let words: Words

    /// What people read.
    public struct Words: Sendable {
        /// On a page: "Monthly spend".
        public let title: String
        /// Within a sentence: "monthly spend cap".
        public let phrase: String
        /// At the head of a column of the command line: "SPEND".
        public let heading: String
        /// Lists of subjects by what is used, the highest and the lowest first: "Most spent", "Least spent".
        public let most: String
        public let least: String

        public init(
            title: String, phrase: String, heading: String, most: String, least: String
        ) {
            self.title = title
            self.phrase = phrase
            self.heading = heading
            self.most = most
            self.least = least
        }
    }

    public init(
        kind: LimitKind, name: String, subject: LimitSubject, resource: Resource,
        window: LimitWindow, blocksOnlyWithAutoSuspend: Bool, tripsByUsage: Bool,
        suspends: Bool, refusalTripsFromPercent: UInt8, error: ErrorCode, cap: CapSetting,
        words: Words
    ) {
        self.kind = kind
        self.name = name
        self.subject = subject
        self.resource = resource
        self.window = window
        self.blocksOnlyWithAutoSuspend = blocksOnlyWithAutoSuspend
        self.tripsByUsage = tripsByUsage
        self.suspends = suspends
        self.refusalTripsFromPercent = refusalTripsFromPercent
        self.error = error
        self.cap = cap
        self.words = words
    }

    /// What counts as used for people and alerts, and what is held beside it: of what is only ever held, all of it is in
    /// use.
    public func shown(committed: Int64, held: Int64) -> (used: Int64, held: Int64) {
        resource.mayBeCharged ? (committed, held) : (held, 0)
    }

    /// Name of the order of lists by what is used: the name without its subject, "monthly_spend".
    public var sortName: String {
        name.hasPrefix(subject.prefix) ? String(name.dropFirst(subject.prefix.count)) : name
    }
}

extension LimitSubject {
    /// What limits' names begin with.
    fileprivate var prefix: String {
        switch self {
        case .messagingProfile: "profile_"
        case .voiceProfile: "voice_profile_"
        case .tenant: "tenant_"
        }
    }

    /// For people, at the beginning of a sentence: "Messaging profile".
    public var title: String {
        switch self {
        case .messagingProfile: "Messaging profile"
        case .voiceProfile: "Outbound voice profile"
        case .tenant: "Tenant"
        }
    }

    /// Within a sentence.
    public var noun: String { title.prefix(1).lowercased() + title.dropFirst() }

    /// What uses its limits, for people: "Messages".
    public var usage: String {
        switch self {
        case .messagingProfile: "Messages"
        case .voiceProfile: "Calls"
        case .tenant: "Requests"
        }
    }

    /// Its limits, in the order of the catalogue.
    public var limits: [LimitRow] { Self.limitsOf[self] ?? [] }

    private static let limitsOf = Dictionary(grouping: LimitKind.catalogue, by: \.subject)

    /// The kind of profile that it is; nil: none.
    public var profileKind: ProfileKind? {
        switch self {
        case .messagingProfile: .messaging
        case .voiceProfile: .voice
        case .tenant: nil
        }
    }
}
