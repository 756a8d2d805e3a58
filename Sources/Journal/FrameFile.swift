/// The frames of one file, read through a window that moves along it.
///
/// Words it returns are good until the next call.
final class FrameFile {
    let disk: any Disk
    let file: DiskFile
    let header: FileHeader
    /// Bytes of the file as it was when it was opened.
    let size: Int
    /// Nothing is read from here on: what lies there may still change. Moves forwards only.
    var end: Int
    private var window: UnsafeMutableRawBufferPointer
    /// What the window holds: `filled` bytes from `start` on.
    private var start = 0
    private var filled = 0

    private static let windowBytes = 1 << 20

    enum Outcome {
        case frame(FrameHeader, UnsafeBufferPointer<UInt64>)
        /// No whole frame lies here.
        case invalid(offset: Int, reason: String)
    }

    init(
        _ disk: any Disk, name: String, kind: FileHeader.Kind, number: UInt64, id: JournalID?
    ) throws(JournalError) {
        self.disk = disk
        file = try disk.open(name, isWritable: false)
        do throws(JournalError) {
            header = try FileHeader.read(disk, file, kind: kind, number: number, id: id)
            size = try disk.size(of: file)
            end = size
        } catch {
            disk.close(file)
            throw error
        }
        window = .allocate(byteCount: Self.windowBytes, alignment: 4_096)
    }

    deinit {
        window.deallocate()
        disk.close(file)
    }

    /// The bytes of a stretch, which begins at a multiple of 8; nil if the file ends before it.
    private func load(
        at offset: Int, count: Int
    ) throws(JournalError) -> UnsafePointer<UInt64>? {
        if offset < start || offset + count > start + filled {
            guard offset + count <= min(size, end) else { return nil }
            try refill(at: offset, count: count)
            guard count <= filled else { return nil }
        }
        return window.baseAddress.map {
            UnsafePointer(($0 + (offset - start)).assumingMemoryBound(to: UInt64.self))
        }
    }

    private func refill(at offset: Int, count: Int) throws(JournalError) {
        var target = window
        if count > window.count {
            target = .allocate(byteCount: count + Self.windowBytes, alignment: 4_096)
        }
        // What is in the window already is not read again.
        let kept = offset >= start ? max(0, start + filled - offset) : 0
        if kept > 0, let to = target.baseAddress, let from = window.baseAddress {
            to.copyMemory(from: from + (offset - start), byteCount: kept)
        }
        if target.baseAddress != window.baseAddress {
            window.deallocate()
            window = target
        }
        start = offset
        filled = kept
        filled += try disk.readFully(
            file, at: offset + kept,
            into: UnsafeMutableRawBufferPointer(
                rebasing: window[kept..<min(window.count, max(kept, min(size, end) - offset))]))
    }

    /// The frame at an offset, each of its records checked.
    ///
    /// - Complexity: O(bytes of the frame).
    func frame(at offset: Int) throws(JournalError) -> Outcome {
        guard let words = try load(at: offset, count: FrameHeader.bytes),
            let frame = FrameHeader(words, self.header.id)
        else { return .invalid(offset: offset, reason: "no frame starts here") }
        guard frame.file == self.header.number else {
            return .invalid(offset: offset, reason: "found a frame of file \(frame.file)")
        }
        let start = offset + FrameHeader.bytes
        guard let payload = try load(at: start, count: frame.payloadBytes) else {
            return .invalid(offset: offset, reason: "the frame is longer than the file")
        }
        var place = 0
        var count = 0
        var checksum = CRC32C()
        while place < frame.payloadWords {
            let head = payload[place]
            let length = RecordHead.length(head)
            guard length > 0, length <= frame.payloadWords - place,
                RecordHead.isIntact(payload + place, length: length)
            else {
                return .invalid(offset: start + place * 8, reason: "a record is damaged")
            }
            checksum.add(head)
            place += length
            count += 1
        }
        guard count == frame.recordCount, checksum.value == frame.recordsChecksum else {
            return .invalid(offset: offset, reason: "the frame's records do not match its header")
        }
        return .frame(frame, UnsafeBufferPointer(start: payload, count: frame.payloadWords))
    }

    /// What lies from an offset to the file's end.
    struct Remains {
        /// The first frame header that satisfied the search.
        var frameOffset: Int?
        /// Behind the last byte that is not 0; the search's start if all are.
        var end: Int
    }

    /// Looks at every place where a frame header might begin.
    ///
    /// - Parameter rest: called with the bytes that were read, piece by piece.
    /// - Complexity: O(bytes from `offset` on).
    func remains(
        from offset: Int, _ rest: (Int) throws(JournalError) -> Void = { _ in },
        isEvidence: (FrameHeader, Int) -> Bool
    ) throws(JournalError) -> Remains {
        var result = Remains(frameOffset: nil, end: offset)
        var place = offset
        while place + 8 <= size {
            let count = min(Self.windowBytes / 2, size - place) & ~7
            guard let words = try load(at: place, count: count) else { break }
            var candidates: [Int] = []
            for index in 0..<count / 8 where words[index] != 0 {
                result.end = place + index * 8 + 8
                if words[index] >> 32 == FrameHeader.magic { candidates.append(place + index * 8) }
            }
            for candidate in candidates where result.frameOffset == nil {
                if let words = try load(at: candidate, count: FrameHeader.bytes),
                    let frame = FrameHeader(words, header.id), isEvidence(frame, candidate)
                {
                    result.frameOffset = candidate
                }
            }
            place += count
            try rest(count)
        }
        return result
    }
}
