/// Whose usage a limit bounds.
@frozen public enum LimitSubject: Sendable, CaseIterable { case messagingProfile, tenant }

/// What a profile is for. It has one limit.
@frozen public enum ProfileKind: UInt8, Sendable, CaseIterable {
    case messaging = 0

    @inlinable @inline(always) public var index: Int { Int(rawValue) }

    public var subject: LimitSubject {
        switch self {
        case .messaging: .messagingProfile
        }
    }
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
        case .tenant: "tenant_"
        }
    }

    /// For people, at the beginning of a sentence: "Messaging profile".
    public var title: String {
        switch self {
        case .messagingProfile: "Messaging profile"
        case .tenant: "Tenant"
        }
    }

    /// Within a sentence.
    public var noun: String { title.prefix(1).lowercased() + title.dropFirst() }

    /// What uses its limits, for people: "Messages".
    public var usage: String {
        switch self {
        case .messagingProfile: "Messages"
        case .tenant: "Requests"
        }
    }

    /// Its limits, in the order of the catalogue.
    public var limits: [LimitRow] {
        switch self {
        case .messagingProfile: Self.limitsOfProfiles
        case .tenant: Self.limitsOfTenants
        }
    }

    private static let limitsOfProfiles = LimitKind.catalogue.filter { $0.subject != .tenant }
    private static let limitsOfTenants = LimitKind.catalogue.filter { $0.subject == .tenant }

    /// A messaging profile's only limit.
    public static let profileLimit = limitsOfProfiles[0]
}
