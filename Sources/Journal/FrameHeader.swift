/// What stands in front of the records of one round, and of one block of a checkpoint
/// (docs/journal-format.md).
struct FrameHeader: Equatable {
    static let words = 6
    static let bytes = words * 8
    /// "TGFR" in the file's bytes 4 to 7 of the frame.
    static let magic: UInt64 = 0x5246_4754

    var kind: FrameKind
    /// Counts the frames of the whole journal, or the blocks of a checkpoint.
    var sequence: UInt64
    /// The number of the process run; in a checkpoint, the records in front of this block.
    var epoch: UInt64
    /// Number of the file.
    var file: UInt64
    var payloadWords: Int
    var recordCount: Int
    /// CRC32C of the records' first words: binds which records follow, and their order.
    var recordsChecksum: UInt32

    var payloadBytes: Int { payloadWords * 8 }

    /// Words in file order. The checksum begins with the journal's id, so that another journal's
    /// frame is never taken for one of this.
    func encoded(_ id: JournalID) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: Self.words) { buffer, count in
            if let start = buffer.baseAddress { encode(id, to: start) }
            count = Self.words
        }
    }

    /// Writes `words` words, as `encoded`.
    func encode(_ id: JournalID, to words: UnsafeMutablePointer<UInt64>) {
        words[1] = sequence
        words[2] = epoch
        words[3] = file
        words[4] = UInt64(payloadWords) | UInt64(recordCount) << 32
        words[5] = UInt64(recordsChecksum) | UInt64(kind.rawValue) << 32
        words[0] = Self.magic << 32 | UInt64(Self.checksum(words, id))
    }

    /// nil: no frame of this journal begins here.
    init?(_ words: UnsafePointer<UInt64>, _ id: JournalID) {
        guard words[0] >> 32 == Self.magic,
            words[0] & 0xFFFF_FFFF == UInt64(Self.checksum(words, id)),
            let kind = FrameKind(rawValue: words[5] >> 32)
        else { return nil }
        self.kind = kind
        sequence = words[1]
        epoch = words[2]
        file = words[3]
        payloadWords = Int(words[4] & 0xFFFF_FFFF)
        recordCount = Int(words[4] >> 32)
        recordsChecksum = UInt32(truncatingIfNeeded: words[5])
    }

    init(kind: FrameKind, sequence: UInt64, epoch: UInt64, file: UInt64) {
        self.kind = kind
        self.sequence = sequence
        self.epoch = epoch
        self.file = file
        payloadWords = 0
        recordCount = 0
        recordsChecksum = CRC32C().value
    }

    private static func checksum(_ words: UnsafePointer<UInt64>, _ id: JournalID) -> UInt32 {
        var checksum = CRC32C()
        checksum.add(id.low)
        checksum.add(id.high)
        checksum.add(UnsafeBufferPointer(start: words + 1, count: Self.words - 1))
        return checksum.value
    }
}

package enum FrameKind: UInt64, Sendable {
    /// The records of one round.
    case data = 1
    /// Nothing: shows that what is in front was on the disk.
    case mark = 2
    /// The segment ends; the journal goes on in the next.
    case seal = 3
    /// A process run begins.
    case start = 4
    /// Records of a checkpoint.
    case block = 5
    /// The end of a checkpoint; `epoch` is the number of its records.
    case trailer = 6
}

/// A record's first word. Length and checksum of what lies between are all that a container needs
/// to know of a record.
enum RecordHead {
    /// Words, this one included; 0 or more than follow in a word that begins no record.
    @inline(__always) static func length(_ word: UInt64) -> Int {
        Int(truncatingIfNeeded: (word >> 32) & 0xFFFF)
    }

    /// Whether `length` words from `words` on carry the checksum in the first.
    @inline(__always) static func isIntact(_ words: UnsafePointer<UInt64>, length: Int) -> Bool {
        var checksum = CRC32C()
        checksum.add(words[0] >> 32)
        checksum.add(UnsafeBufferPointer(start: words + 1, count: length - 1))
        return checksum.value == UInt32(truncatingIfNeeded: words[0])
    }
}
