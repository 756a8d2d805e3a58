/// A place between two frames of a journal.
package struct JournalPlace: Sendable, Equatable, Comparable {
    package var segment: UInt64
    /// Bytes from the segment's start, a multiple of 8.
    package var offset: Int

    package init(segment: UInt64, offset: Int) {
        self.segment = segment
        self.offset = offset
    }

    package static func < (a: JournalPlace, b: JournalPlace) -> Bool { a.packed < b.packed }

    /// One word, in the order of the places: the segment's number above the offset in words. Good for 2^32 segments of
    /// up to 32 GiB.
    package var packed: UInt64 { segment << 32 | UInt64(offset / 8) }

    package init(packed: UInt64) {
        segment = packed >> 32
        offset = Int(packed & 0xFFFF_FFFF) * 8
    }
}

/// How far a journal was read.
package struct JournalPosition: Sendable, Equatable {
    /// Where the next frame begins.
    package var place: JournalPlace
    /// The number of the last frame in front of it; 0: not known.
    package var sequence: UInt64

    package init(place: JournalPlace, sequence: UInt64) {
        self.place = place
        self.sequence = sequence
    }

    /// In front of a segment's first frame.
    ///
    /// - Parameter sequence: the last frame before the segment; 0: not known.
    package static func start(ofSegment number: UInt64, after sequence: UInt64 = 0)
        -> JournalPosition
    {
        JournalPosition(
            place: JournalPlace(segment: number, offset: FileHeader.bytes), sequence: sequence)
    }
}
