package import Limits

/// What an entry of a checkpoint describes: how something stood when everything that the checkpoint covers had
/// happened. Kinds of records below 128 are operations (`Record.Kind`).
package enum ImageKind: UInt8, Sendable, CaseIterable {
    /// Word 4: the latest generation of any reservation.
    case table = 128
    /// Words 4 ..< 19: committed, held and caps (4 each), cycle, flags; then the settings as text.
    case tenant = 129
    /// Word 4: the profile's number; 5 ..< 10: cap, committed, held, day, flags; then the settings as text.
    case profile = 130
    /// Word 4: state; 5: subjects; 6: policy; 7, 8: made and expiring; 9 ..< 13: amounts; 13, 14: day and cycle;
    /// 15: when it is forgotten; then the body's words, if it has one.
    case reservation = 131
    /// Words 4 ..< 8: high, low, content, until; 8: answer; 9, 10: reservation and expiry; 11 ..< 15: granted.
    case key = 132
    /// Word 4: the setting's name, counted; then its value as text.
    case setting = 133
    /// Word 4: life time, Unix milliseconds. Its own time, in word 2, is engine time.
    case clock = 134
}

/// Builds the words of a checkpoint's entry: a record's frame (see `RecordEncoding`) around an image's words.
package struct RecordImage {
    package private(set) var words: [UInt64] = []

    package init() { words.reserveCapacity(RecordWords.most) }

    /// Starts an entry. Words 1 ... 3 are those of any record: version, time, tenant.
    package mutating func begin(_ kind: ImageKind, version: UInt64, time: Int64, tenant: UInt32) {
        words.removeAll(keepingCapacity: true)
        words.append(UInt64(kind.rawValue) << 48 | RecordWords.format << 56)
        words.append(version)
        words.append(UInt64(bitPattern: time))
        words.append(UInt64(tenant))
    }

    package mutating func append(_ word: UInt64) { words.append(word) }

    package mutating func append(_ text: [UInt8]) {
        words.append(UInt64(text.count))
        var index = 0
        while index < text.count {
            var word: UInt64 = 0
            for byte in 0..<min(8, text.count - index) {
                word |= UInt64(text[index + byte]) << UInt64(8 * byte)
            }
            words.append(word)
            index += 8
        }
    }

    /// Completes length and checksum.
    package mutating func seal() {
        precondition(words.count <= RecordWords.most, "an entry is longer than its bound")
        let upper = words[0] >> 32 | UInt64(words.count)
        var crc = CRC32C()
        crc.add(upper)
        for word in words[1...] { crc.add(word) }
        words[0] = upper << 32 | UInt64(crc.value)
    }

    /// The text that stands in a run of words from a place on; nil: it does not fit.
    package static func text(_ words: UnsafeBufferPointer<UInt64>, at place: Int) -> BorrowedBytes?
    {
        guard place < words.count, words[place] <= UInt64(Record.longestText) else { return nil }
        let count = Int(words[place])
        guard place + 1 + (count + 7) / 8 <= words.count else { return nil }
        let start = UnsafeRawPointer(words.baseAddress.map { $0 + place + 1 })
        return BorrowedBytes(start: start, count: count)
    }
}

extension UnsafeBufferPointer<UInt64> {
    /// The kind that a record's first word tells.
    package var recordKind: UInt8 { count > 0 ? UInt8(truncatingIfNeeded: self[0] >> 48) : 0 }
}
