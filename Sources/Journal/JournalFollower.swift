/// Reads a journal while it is written, from a position up to what is durable.
///
/// Everything in front of the durable end stays as it is, so no lock is needed; a mark, which the next frame
/// overwrites, lies behind it. Checks what `JournalReader` checks: checksums, numbers, the unbroken sequence.
///
/// Thread safety: one thread at a time.
package final class JournalFollower {
    private let disk: any Disk
    private let id: JournalID
    private var file: FrameFile?
    /// Where the frame behind the one that was handed over last begins.
    package private(set) var position: JournalPosition

    package init(_ disk: any Disk, id: JournalID, at position: JournalPosition) {
        self.disk = disk
        self.id = id
        self.position = position
    }

    /// The next process start or records in front of the durable end; nil: there is nothing more.
    ///
    /// Words of the event are good until the next call.
    /// - Throws: what is wrong with the journal: damage, or a segment that is not there any more (`.missing`).
    /// - Complexity: O(bytes of the frame).
    package func next(
        before end: JournalPlace
    ) throws(JournalError) -> JournalReader.Event? {
        while position.place < end {
            let file = try openSegment()
            // A sealed segment does not change any more, and its seal lies in front of its end.
            file.end = position.place.segment < end.segment ? file.size : end.offset
            let offset = position.place.offset
            guard case .frame(let frame, let payload) = try file.frame(at: offset) else {
                try insistOnSegment(position.place.segment)
                throw .damaged(
                    file.file.name, offset: offset,
                    reason: "a durable frame is missing or damaged")
            }
            if position.sequence != 0 && frame.sequence != position.sequence + 1 {
                throw .damaged(
                    file.file.name, offset: offset,
                    reason: "frame \(frame.sequence) follows frame \(position.sequence)")
            }
            position.sequence = frame.sequence
            position.place.offset += FrameHeader.bytes + frame.payloadBytes
            switch frame.kind {
            case .start: return .start(epoch: frame.epoch)
            case .data:
                return .records(
                    payload,
                    JournalReader.Place(
                        segment: position.place.segment, offset: offset + FrameHeader.bytes,
                        sequence: frame.sequence, epoch: frame.epoch))
            case .mark: continue
            case .seal:
                self.file = nil
                position = .start(
                    ofSegment: position.place.segment + 1, after: position.sequence)
            case .block, .trailer:
                throw .damaged(
                    file.file.name, offset: offset, reason: "unexpected checkpoint frame")
            }
        }
        return nil
    }

    private func openSegment() throws(JournalError) -> FrameFile {
        if let file { return file }
        let number = position.place.segment
        try insistOnSegment(number)
        let opened = try FrameFile(
            disk, name: JournalFiles.segment(number), kind: .segment, number: number, id: id)
        file = opened
        return opened
    }

    private func insistOnSegment(_ number: UInt64) throws(JournalError) {
        guard try disk.segmentNumbers().contains(number) else {
            throw JournalError(
                .missing, file: JournalFiles.segment(number),
                reason: "the segment no longer exists",
                remedy: "start from the oldest checkpoint")
        }
    }
}
