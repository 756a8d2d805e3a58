/// The segments that a copy of a journal is made of, whether the journal is written meanwhile or not: those that are sealed,
/// and the front of the one that is written.
///
/// **Why no lock is needed.** A sealed segment and a checkpoint do not change any more. The segment that is written grows
/// by frames, one behind the other; what stands in front of its last whole frame stays. What ends there is what a crash
/// could have left, and it has all that was acknowledged before the look: a frame is whole before it is.
///
/// **What may come in between.** Files that are needed by nobody else may be removed: they are renamed first, and cut
/// then. Who has read a file and finds it under its name afterwards (`Disk.isNamed`) has read what it held.
package struct JournalSnapshot: Sendable, Equatable {
    /// A file, or the front of it.
    package struct Part: Sendable, Equatable {
        package var name: String
        /// Bytes that count, from the file's start.
        package var bytes: Int
        /// Bytes of the file: behind those that count there are zeros.
        package var size: Int
        /// The file does not change any more.
        package var isFinal: Bool

        package init(name: String, bytes: Int, size: Int, isFinal: Bool) {
            self.name = name
            self.bytes = bytes
            self.size = size
            self.isFinal = isFinal
        }
    }

    /// The first segment.
    package var first: UInt64
    /// Where the journal ends.
    package var end: JournalPlace
    /// The segments, in their order.
    package var parts: [Part]

    /// Looks at a directory.
    ///
    /// - Parameters:
    ///   - checkpoint: the one that goes with it, found whole; nil: there is none, and segment 1 must be there.
    ///   - needed: the first segment that a follower needs: kept with those behind it if it is there.
    ///   - rest: called with the bytes that were read, piece by piece.
    /// - Throws: `.missing`, or `.system` with ENOENT, also where a file was removed since it was listed: another look
    ///   helps then.
    /// - Complexity: O(bytes of the segment that is written).
    package init(
        _ disk: any Disk, id: JournalID, checkpoint: UInt64?, needed: UInt64? = nil,
        _ rest: (Int) throws(JournalError) -> Void = { _ in }
    ) throws(JournalError) {
        let walker = SegmentWalker(disk, id: id)
        let numbers = try disk.segmentNumbers()
        var first = checkpoint ?? 1
        if let needed, needed < first, numbers.contains(needed) { first = needed }
        self.first = first
        let found = try walker.end(of: numbers, from: first, rest)
        end = found.place
        if found.isSealed {
            end = JournalPlace(segment: end.segment + 1, offset: FileHeader.bytes)
            try walker.insist(on: end.segment)
        }
        parts = []
        for number in first...end.segment {
            let name = JournalFiles.segment(number)
            let file = try disk.open(name, isWritable: false)
            defer { disk.close(file) }
            let size = try disk.size(of: file)
            let isFinal = number < end.segment
            parts.append(
                Part(
                    name: name, bytes: isFinal ? size : end.offset, size: size, isFinal: isFinal))
        }
    }

    /// Reads a sealed segment, and throws what is wrong with it.
    package static func check(
        sealed number: UInt64, _ disk: any Disk, id: JournalID,
        _ rest: (Int) throws(JournalError) -> Void = { _ in }
    ) throws(JournalError) {
        let end = try SegmentWalker(disk, id: id).walk(number, rest)
        guard end.isSealed else {
            throw .damaged(
                JournalFiles.segment(number), offset: end.place.offset,
                reason: "no whole frame starts here, and the journal continues after it")
        }
    }
}

/// Reads segments frame by frame, for where they end.
private struct SegmentWalker {
    struct End {
        /// Behind the last frame, a seal too; a mark is none: the next frame takes its place.
        var place: JournalPlace
        var sequence: UInt64
        var isSealed: Bool
    }

    private let disk: any Disk
    private let id: JournalID

    init(_ disk: any Disk, id: JournalID) {
        self.disk = disk
        self.id = id
    }

    /// Where the journal ends that has these segments: the last one with a frame is the one that is written.
    func end(
        of numbers: [UInt64], from first: UInt64, _ rest: (Int) throws(JournalError) -> Void
    ) throws(JournalError) -> End {
        for number in numbers.reversed() where number >= first {
            // The last one may be prepared, or only half of it by a crash: nothing is in it then.
            if number > first, number == numbers.last, try JournalReader.isVoid(disk, number) {
                continue
            }
            let end = try walk(number, rest)
            if end.sequence > 0 || number == first { return end }
        }
        throw JournalError(
            .missing, file: JournalFiles.segment(first),
            reason: "the segment is missing", remedy: JournalError.restoreDirectory)
    }

    func walk(
        _ number: UInt64, _ rest: (Int) throws(JournalError) -> Void
    ) throws(JournalError) -> End {
        let file = try open(number)
        var end = End(
            place: JournalPlace(segment: number, offset: FileHeader.bytes), sequence: 0,
            isSealed: false)
        while case .frame(let frame, _) = try file.frame(at: end.place.offset), frame.kind != .mark
        {
            guard end.sequence == 0 || frame.sequence == end.sequence + 1 else {
                throw .damaged(
                    file.file.name, offset: end.place.offset,
                    reason: "frame \(frame.sequence) follows frame \(end.sequence)")
            }
            let bytes = FrameHeader.bytes + frame.payloadBytes
            end.place.offset += bytes
            end.sequence = frame.sequence
            try rest(bytes)
            if frame.kind == .seal {
                end.isSealed = true
                return end
            }
        }
        try insistOnEnd(end, file, rest)
        return end
    }

    /// Whether nothing follows where no whole frame was found. If something does, a frame was written there since: later
    /// frames are written when those in front are whole. If it still is not, it is damaged.
    private func insistOnEnd(
        _ end: End, _ file: FrameFile, _ rest: (Int) throws(JournalError) -> Void
    ) throws(JournalError) {
        let later = try file.remains(from: end.place.offset + 8, rest) { frame, _ in
            frame.file == end.place.segment && frame.sequence > end.sequence + 1
        }
        guard later.frameOffset != nil else { return }
        let again = try open(end.place.segment)
        guard case .frame(let frame, _) = try again.frame(at: end.place.offset),
            frame.kind != .mark
        else {
            throw .damaged(
                file.file.name, offset: end.place.offset,
                reason: "no whole frame starts here, and the journal continues after it")
        }
    }

    /// A segment that is sealed has a successor, with its header.
    func insist(on number: UInt64) throws(JournalError) { _ = try open(number) }

    private func open(_ number: UInt64) throws(JournalError) -> FrameFile {
        try FrameFile(
            disk, name: JournalFiles.segment(number), kind: .segment, number: number, id: id)
    }
}
