/// A wall clock that a start took for right on an operator's word.
package struct AcceptedClock: Sendable, Equatable {
    /// The setting that says which wall clock was taken for right last: JSON, for the audit log.
    package static let setting = "accepted-clock"

    /// The latest engine time on record, Unix milliseconds.
    package var latest: Int64
    /// The wall clock, where engine time goes on.
    package var wall: Int64
}
