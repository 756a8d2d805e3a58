internal import ArgumentParser
internal import JSON
internal import Limits

/// The profile that a command is about: one at most.
struct ProfileOptions: ParsableArguments {
    @Option(
        name: .customLong("profile"), help: .init("The messaging profile's id.", valueName: "id"))
    var messaging: String?

    @Option(
        name: .customLong("voice-profile"),
        help: .init("The outbound voice profile's id; one profile at most.", valueName: "id"))
    var voice: String?

    func validate() throws {
        if messaging != nil && voice != nil {
            throw ValidationError("--profile and --voice-profile cannot be combined.")
        }
    }

    /// nil: none is named.
    var named: ProfileReference? {
        messaging.map { ProfileReference(id: $0, kind: .messaging) }
            ?? voice.map { ProfileReference(id: $0, kind: .voice) }
    }

    /// The filter of a list.
    var filter: [(String, String?)] {
        ProfileKind.allCases.map { kind in
            ("filter[\(kind.idField)]", named?.kind == kind ? named?.id : nil)
        }
    }
}

extension Table.Column {
    /// The profile of a row, whatever its kind.
    static var profile: Table.Column {
        Table.Column("PROFILE") { row in
            ProfileKind.allCases.lazy.compactMap { row[$0.idField] }.first { !$0.isNull }
        }
    }
}
