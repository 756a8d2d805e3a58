import Notation

typealias Instant = Notation.Instant

extension Instant {
    /// null where there is no such instant.
    static func json(_ milliseconds: Int64) -> JSON {
        milliseconds == 0 ? .null : .string(text(milliseconds))
    }
}
