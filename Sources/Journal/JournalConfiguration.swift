/// Bounds of a journal; each a number with a sane default.
package struct JournalConfiguration: Sendable {
    /// Bytes of a segment, a multiple of 4 096.
    package var segmentBytes = 64 << 20
    /// Bytes of all segments together; beyond it nothing more is let in.
    package var maximumBytes = 64 << 30
    /// Milliseconds between rounds; 0: as soon as something waits.
    package var intervalMilliseconds: Int64 = 0

    package init() {}

    /// The smallest segment.
    package static let leastSegmentBytes = 1 << 20
}

/// How a journal fares.
package struct JournalStatus: Sendable, Equatable {
    /// The segment that is written.
    package var segment: UInt64 = 0
    package var rounds: UInt64 = 0
    package var records: UInt64 = 0
    /// Written since the process began, frames included.
    package var bytes: UInt64 = 0
    /// Why nothing more is let in; nil: all is well.
    package var trouble: JournalError?
}
