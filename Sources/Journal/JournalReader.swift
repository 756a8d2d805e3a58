/// Where a journal ends, as a reader found it.
package struct JournalEnd: Sendable, Equatable {
    /// The segment that holds the last frame, or would hold the first.
    package var segment: UInt64
    /// Where the next frame would begin.
    package var offset: Int
    /// Where what was written behind `offset`, but never became durable, ends; `offset` if there is nothing.
    package var tornEnd: Int
    /// Where the last frame of the segment begins; `offset` if there is none.
    package var lastFrame: Int
    /// The last frame's number, and its process run; where nothing was read, of the frame in front, and 0.
    package var sequence: UInt64
    package var epoch: UInt64
    /// The segment is sealed: the next frame belongs into its successor.
    package var isSealed: Bool
    /// Where the last frame begins, if it is a seal: in this segment, or in the one in front while this one has no frame.
    package var seal: JournalPlace?
    /// Bytes of segments read.
    package var bytes = 0
}

/// Reads segments in order and checks everything: magic, checksums, numbers, the unbroken sequence of frames.
///
/// What is wrong at the end of the journal is a torn tail; anywhere else it is damage, and refused: whether something
/// valid follows, in the same segment or in a later one, tells the two apart. Of a torn tail only its one frame can be
/// there, so even an older frame, or another file's, is not there by a crash: somebody wrote to a wrong place.
package struct JournalReader {
    /// What a journal holds.
    package enum Event {
        /// A process run begins.
        case start(epoch: UInt64)
        /// Records, one behind the other.
        case records(UnsafeBufferPointer<UInt64>, Place)
    }

    /// Where records stand.
    package struct Place: Sendable, Equatable {
        package var segment: UInt64
        /// Bytes from the segment's start to the first record.
        package var offset: Int
        package var sequence: UInt64
        package var epoch: UInt64
    }

    private let disk: any Disk
    private let id: JournalID

    package init(_ disk: any Disk, id: JournalID) {
        self.disk = disk
        self.id = id
    }

    /// The id of the journal in a directory: that of its newest segment with a header, or of its newest checkpoint; nil:
    /// there is no journal.
    package static func id(_ disk: any Disk) throws(JournalError) -> JournalID? {
        var damage: JournalError?
        for number in try disk.segmentNumbers().reversed() {
            do throws(JournalError) {
                return try id(disk, JournalFiles.segment(number), .segment, number)
            } catch {
                // Whether it matters is for who reads it.
                guard error.code == .damaged else { throw error }
                damage = damage ?? error
            }
        }
        guard let number = try disk.checkpointNumbers().last else {
            if let damage { throw damage }
            return nil
        }
        return try id(disk, JournalFiles.checkpoint(number), .checkpoint, number)
    }

    /// Whether a segment cannot be used and holds nothing: its header or its length are damaged, and behind the header
    /// there are but zeros. The last one may be: it was made ready to be written, and nothing was.
    ///
    /// - Complexity: O(1); of a damaged one O(bytes).
    static func isVoid(_ disk: any Disk, _ number: UInt64) throws(JournalError) -> Bool {
        let file = try disk.open(JournalFiles.segment(number), isWritable: false)
        defer { disk.close(file) }
        let size = try disk.size(of: file)
        do throws(JournalError) {
            let header = try FileHeader.read(disk, file, kind: .segment, number: number, id: nil)
            if Int(header.size) == size { return false }
        } catch {
            guard error.code == .damaged else { throw error }
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
        defer { buffer.deallocate() }
        var offset = FileHeader.bytes
        while offset < size {
            let count = try disk.readFully(file, at: offset, into: buffer)
            guard count > 0 else { break }
            if buffer[..<count].contains(where: { $0 != 0 }) { return false }
            offset += count
        }
        return true
    }

    private static func id(
        _ disk: any Disk, _ name: String, _ kind: FileHeader.Kind, _ number: UInt64
    ) throws(JournalError) -> JournalID {
        let file = try disk.open(name, isWritable: false)
        defer { disk.close(file) }
        return try FileHeader.read(disk, file, kind: kind, number: number, id: nil).id
    }

    /// Hands over everything from a segment on, in order.
    ///
    /// - Parameters:
    ///   - first: the segment to begin with; it must be there.
    ///   - limit: the first segment that is left out; all before it must be sealed. nil: to the end.
    ///   - last: the last frame in front of `first`, as a checkpoint tells it; nil: unknown, but in front of segment 1
    ///     there is none.
    /// - Returns: where the journal, or the part that was read, ends.
    /// - Complexity: O(bytes), one pass, a megabyte of memory and the largest frame.
    package func read<E: Error>(
        from first: UInt64, below limit: UInt64? = nil, after last: UInt64? = nil,
        wrapping wrap: (JournalError) -> E, _ body: (Event) throws(E) -> Void
    ) throws(E) -> JournalEnd {
        let numbers: ArraySlice<UInt64>
        let void: UInt64?
        do throws(JournalError) {
            void = try voidSegment(behind: first)
            numbers = try contiguous(from: first, below: min(limit ?? .max, void ?? .max))
        } catch {
            throw wrap(error)
        }
        var end = JournalEnd(
            segment: first, offset: FileHeader.bytes, tornEnd: FileHeader.bytes,
            lastFrame: FileHeader.bytes, sequence: last ?? 0, epoch: 0, isSealed: false)
        for (index, number) in numbers.enumerated() {
            try read(number, later: numbers[(index + 1)...], &end, wrap, body)
            if !end.isSealed {
                // What follows is prepared and empty.
                break
            }
            // It was in use then, and not just made ready: what it held is lost.
            if let void, index + 1 == numbers.count {
                do throws(JournalError) {
                    _ = try open(void)
                } catch {
                    throw wrap(error)
                }
            }
            if index + 1 == numbers.count && limit == nil {
                throw wrap(
                    JournalError(
                        .missing, file: JournalFiles.segment(number + 1),
                        reason: "segment \(number) is sealed, but the next segment is missing",
                        remedy: "restore it from a backup"))
            }
        }
        return end
    }

    /// The last segment if it is good for nothing and holds nothing, and there are others in front.
    private func voidSegment(behind first: UInt64) throws(JournalError) -> UInt64? {
        guard let last = try disk.segmentNumbers().last, last > first,
            try Self.isVoid(disk, last)
        else { return nil }
        return last
    }

    private func contiguous(
        from first: UInt64, below limit: UInt64
    ) throws(JournalError) -> ArraySlice<UInt64> {
        let all = try disk.segmentNumbers()
        let numbers = all.filter { $0 >= first && $0 < limit }
        for (index, number) in numbers.enumerated() where number != first + UInt64(index) {
            throw JournalError(
                .missing, file: JournalFiles.segment(first + UInt64(index)),
                reason: "the segment is missing, but later ones exist",
                remedy: "restore it from a backup")
        }
        guard numbers.first == first else {
            throw JournalError(
                .missing, file: JournalFiles.segment(first),
                reason: "the segment after the checkpoint is missing",
                remedy: "restore it from a backup")
        }
        if limit != .max, numbers.last != limit - 1 {
            throw JournalError(
                .missing, file: JournalFiles.segment(limit - 1), reason: "the segment is missing",
                remedy: "restore it from a backup")
        }
        return numbers[...]
    }

    private func read<E: Error>(
        _ number: UInt64, later: ArraySlice<UInt64>, _ end: inout JournalEnd,
        _ wrap: (JournalError) -> E, _ body: (Event) throws(E) -> Void
    ) throws(E) {
        let file: FrameFile
        do throws(JournalError) {
            file = try open(number)
        } catch {
            throw wrap(error)
        }
        end.bytes += file.size
        var offset = FileHeader.bytes
        var isSealed = false
        end.lastFrame = offset
        while !isSealed {
            let outcome: FrameFile.Outcome
            do throws(JournalError) {
                outcome = try file.frame(at: offset)
                if case .invalid(let place, let reason) = outcome {
                    let torn = try tail(file, number, offset, place, reason, later, after: end)
                    end.segment = number
                    end.offset = offset
                    end.tornEnd = torn
                    end.isSealed = false
                    return
                }
            } catch {
                throw wrap(error)
            }
            guard case .frame(let frame, let payload) = outcome else { return }
            let isKnown = end.sequence != 0 || number == 1
            if isKnown && frame.sequence != end.sequence + 1 {
                throw wrap(
                    .damaged(
                        file.file.name, offset: offset,
                        reason: "frame \(frame.sequence) follows frame \(end.sequence)"))
            }
            switch frame.kind {
            case .start: try body(.start(epoch: frame.epoch))
            case .data:
                try body(
                    .records(
                        payload,
                        Place(
                            segment: number, offset: offset + FrameHeader.bytes,
                            sequence: frame.sequence, epoch: frame.epoch)))
            case .seal: isSealed = true
            case .mark: break
            case .block, .trailer:
                throw wrap(
                    .damaged(file.file.name, offset: offset, reason: "unexpected checkpoint frame"))
            }
            end.lastFrame = offset
            end.seal = nil
            end.sequence = frame.sequence
            end.epoch = frame.epoch
            offset += FrameHeader.bytes + frame.payloadBytes
        }
        end.segment = number
        end.offset = offset
        end.tornEnd = offset
        end.isSealed = true
        end.seal = JournalPlace(segment: number, offset: end.lastFrame)
    }

    private func open(_ number: UInt64) throws(JournalError) -> FrameFile {
        let file = try FrameFile(
            disk, name: JournalFiles.segment(number), kind: .segment, number: number, id: id)
        guard file.size == Int(file.header.size) else {
            throw .damaged(
                file.file.name, offset: file.size,
                reason: "the file has \(file.size) bytes, and its header says \(file.header.size)")
        }
        return file
    }

    /// What begins at an invalid place: where the torn tail ends, or an error if the place is not the journal's end.
    private func tail(
        _ file: FrameFile, _ number: UInt64, _ offset: Int, _ place: Int, _ reason: String,
        _ later: ArraySlice<UInt64>, after end: JournalEnd
    ) throws(JournalError) -> Int {
        let last = end.sequence
        let remains = try file.remains(from: offset) { frame, at in
            at > offset || frame.file != number
        }
        var evidence = remains.frameOffset.map { "frame at offset \($0) of the same file" }
        if evidence == nil {
            for number in later {
                let next = try open(number)
                if case .frame(let frame, _) = try next.frame(at: FileHeader.bytes),
                    frame.sequence > last
                {
                    evidence = "first frame of segment \(number)"
                    break
                }
            }
        }
        if let evidence {
            throw .damaged(
                file.file.name, offset: place,
                reason: "\(reason), and the journal continues after it (\(evidence))")
        }
        return remains.end
    }
}

extension UnsafeBufferPointer<UInt64> {
    /// Calls `body` for each of the records that lie one behind the other.
    package func forEachRecord<E: Error>(
        _ body: (UnsafeBufferPointer<UInt64>) throws(E) -> Void
    ) throws(E) {
        var place = 0
        while place < count {
            let length = RecordWords.count(self[place])
            guard length > 0, place + length <= count else { return }
            try body(UnsafeBufferPointer(rebasing: self[place..<place + length]))
            place += length
        }
    }
}

extension JournalReader.Place {
    /// Where the frame of these records begins, and what it follows.
    package var frameStart: JournalPosition {
        JournalPosition(
            place: JournalPlace(segment: segment, offset: offset - FrameHeader.bytes),
            sequence: sequence - 1)
    }
}
