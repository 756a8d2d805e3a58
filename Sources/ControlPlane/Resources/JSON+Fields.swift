import JSON
import Limits
import Notation

typealias Instant = Notation.Instant

extension JSON {
    /// The id of a profile under the field of its kind, null under those of the others.
    static func ids(of profile: ProfileReference?) -> JSON {
        .object(
            ProfileKind.allCases.map { kind in
                (kind.idField, profile?.kind == kind ? .text(profile?.id) : .null)
            })
    }
}
