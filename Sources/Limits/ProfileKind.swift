/// What a profile is for. It has one limit. Ids are common to all kinds; a profile keeps its kind for ever.
@frozen public enum ProfileKind: UInt8, Sendable, CaseIterable {
    /// Messages; the vendor's messaging profile.
    case messaging = 0
    /// Calls; the vendor's outbound voice profile.
    case voice = 1

    @inlinable @inline(always) public var index: Int { Int(rawValue) }

    public var subject: LimitSubject {
        switch self {
        case .messaging: .messagingProfile
        case .voice: .voiceProfile
        }
    }

    /// Its only limit.
    public var limit: LimitRow { Self.limits[index] }

    private static let limits = allCases.map { $0.subject.limits[0] }

    /// In JSON, on the command line: "messaging".
    public var name: String {
        switch self {
        case .messaging: "messaging"
        case .voice: "voice"
        }
    }

    /// The kind of a name; nil: there is none of it.
    public static func named(_ name: String) -> ProfileKind? { allCases.first { $0.name == name } }

    /// `record_type` of its resource: "messaging_profile".
    public var recordType: String {
        switch self {
        case .messaging: "messaging_profile"
        case .voice: "outbound_voice_profile"
        }
    }

    /// Profiles of this kind in paths and in the limits file: "messaging_profiles".
    public var collection: String { recordType + "s" }

    /// The field of a request that names a profile of this kind.
    public var idField: String {
        switch self {
        case .messaging: "messaging_profile_id"
        case .voice: "voice_profile_id"
        }
    }

    /// RFC 6901 pointer to `idField`.
    public var idPointer: StaticString {
        switch self {
        case .messaging: "/messaging_profile_id"
        case .voice: "/voice_profile_id"
        }
    }

    /// The field of an event with the name of a profile of this kind.
    public var nameField: String {
        switch self {
        case .messaging: "messaging_profile_name"
        case .voice: "voice_profile_name"
        }
    }

    /// For people, within a sentence: "messaging profile".
    public var noun: String { subject.noun }
    /// "a messaging profile".
    public var nounWithArticle: String {
        switch self {
        case .messaging: "a " + noun
        case .voice: "an " + noun
        }
    }
    /// "Messaging profiles".
    public var titleOfMany: String { subject.title + "s" }
}

/// A profile as requests and lists name it.
public struct ProfileReference: Sendable, Equatable {
    public var id: String
    public var kind: ProfileKind

    public init(id: String, kind: ProfileKind) {
        self.id = id
        self.kind = kind
    }
}
