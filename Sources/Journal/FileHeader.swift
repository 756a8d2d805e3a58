/// 128 random bits that tell one journal's files from another's.
package struct JournalID: Sendable, Equatable {
    package var low: UInt64
    package var high: UInt64

    package init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    package static func random() -> JournalID {
        var random = SystemRandomNumberGenerator()
        return JournalID(low: random.next(), high: random.next())
    }
}

/// The first 4 KiB of a segment or checkpoint (docs/journal-format.md).
struct FileHeader: Equatable {
    enum Kind: UInt64 {
        case segment = 1
        case checkpoint = 2
    }

    static let bytes = 4_096
    static let words = bytes / 8
    /// "TOLLGATE" as the file's first eight bytes.
    static let magic: UInt64 = 0x4554_4147_4C4C_4F54
    static let version: UInt64 = 3

    var kind: Kind
    var id: JournalID
    /// The file's number, as in its name.
    var number: UInt64
    /// Bytes, this header included; 0 for a checkpoint, whose trailer says where it ends.
    var size: UInt64
    /// Every frame's sequence number here is above this, every epoch at least `epochFloor`.
    var sequenceFloor: UInt64
    var epochFloor: UInt64

    /// The 512 words of the file's front.
    var encoded: [UInt64] {
        var words = [UInt64](repeating: 0, count: Self.words)
        words[0] = Self.magic
        words[1] = Self.version | kind.rawValue << 32
        words[2] = id.low
        words[3] = id.high
        words[4] = number
        words[5] = size
        words[6] = sequenceFloor
        words[7] = epochFloor
        words[Self.words - 1] = Self.checksum(words)
        return words
    }

    private static func checksum(_ words: [UInt64]) -> UInt64 {
        var checksum = CRC32C()
        for word in words.dropLast() { checksum.add(word) }
        return UInt64(checksum.value)
    }

    /// Reads and checks the front of a file.
    ///
    /// - Parameters:
    ///   - number: What the file's name says.
    ///   - id: The journal that it must belong to; nil: any.
    static func read(
        _ disk: any Disk, _ file: DiskFile, kind: Kind, number: UInt64, id: JournalID?
    ) throws(JournalError) -> FileHeader {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 8)
        defer { buffer.deallocate() }
        let count = try disk.readFully(file, at: 0, into: buffer)
        guard count == bytes else {
            throw .damaged(file.name, offset: 0, reason: "the file is shorter than its header")
        }
        let words = Array(buffer.bindMemory(to: UInt64.self))
        guard words[0] == magic, words[Self.words - 1] == checksum(words) else {
            throw .damaged(file.name, offset: 0, reason: "the file's header is damaged")
        }
        guard words[1] & 0xFFFF_FFFF <= version else {
            throw JournalError(
                .newerFormat, file: file.name, offset: 8,
                reason: "written in format \(words[1] & 0xFFFF_FFFF), newer than \(version)",
                remedy: JournalError.runLaterRelease)
        }
        guard words[1] & 0xFFFF_FFFF == version else {
            throw JournalError(
                .olderFormat, file: file.name, offset: 8,
                reason: "written in format \(words[1] & 0xFFFF_FFFF), older than \(version)",
                remedy: JournalError.carryOver)
        }
        guard words[1] == version | kind.rawValue << 32, words[4] == number else {
            throw .damaged(file.name, offset: 0, reason: "the header belongs to another file")
        }
        let header = FileHeader(
            kind: kind, id: JournalID(low: words[2], high: words[3]), number: number,
            size: words[5], sequenceFloor: words[6], epochFloor: words[7])
        if let id, id != header.id {
            throw JournalError(
                .foreign, file: file.name, offset: 16, reason: "it belongs to another journal",
                remedy: "move it out of the directory and restore the right one")
        }
        return header
    }
}

extension JournalError {
    /// Damage in a segment, behind which the journal could be cut.
    static func damaged(_ file: String, offset: Int, reason: String) -> JournalError {
        var remedy = "restore the file from a backup"
        if let segment = JournalFiles.segmentNumber(file), offset >= FileHeader.bytes {
            remedy += """
                , or discard everything after this point with \
                `tollgate journal repair --truncate-at \(segment):\(offset)`
                """
        }
        return JournalError(.damaged, file: file, offset: offset, reason: reason, remedy: remedy)
    }
}
