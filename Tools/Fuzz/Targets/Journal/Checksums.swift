internal import Journal

/// Sets the checksums of frames and records right, wherever something looks like a frame (docs/journal-format.md).
enum Checksums {
    private static let magic: UInt64 = 0x5246_4754
    private static let headerWords = 6

    /// Where the first frame of a file begins, in bytes.
    static func firstFrame(_ file: [UInt8]) -> Int {
        let place = words(file).firstIndex { $0 >> 32 == magic }
        guard let place else { preconditionFailure("there is no frame") }
        return place * 8
    }

    static func repair(_ bytes: inout [UInt8], _ id: JournalID) {
        var words = words(bytes)
        var place = 0
        while place + headerWords <= words.count {
            guard words[place] >> 32 == magic else {
                place += 1
                continue
            }
            let end = repairFrame(&words, place, id)
            place = max(end, place + headerWords)
        }
        words.withUnsafeBytes { fixed in
            for (index, byte) in fixed.enumerated() { bytes[index] = byte }
        }
    }

    /// Where it ends.
    private static func repairFrame(_ words: inout [UInt64], _ place: Int, _ id: JournalID) -> Int {
        let wanted = Int(words[place + 4] & 0xffff_ffff)
        let end = min(words.count, place + headerWords + wanted)
        var heads = CRC32C()
        var count: UInt64 = 0
        var record = place + headerWords
        while record < end {
            let length = RecordWords.count(words[record])
            guard length > 0, record + length <= end else { break }
            var crc = CRC32C()
            crc.add(words[record] >> 32)
            for word in words[(record + 1)..<(record + length)] { crc.add(word) }
            words[record] = words[record] & ~0xffff_ffff | UInt64(crc.value)
            heads.add(words[record])
            count += 1
            record += length
        }
        words[place + 4] = UInt64(record - place - headerWords) | count << 32
        words[place + 5] = words[place + 5] & ~0xffff_ffff | UInt64(heads.value)
        var crc = CRC32C()
        crc.add(id.low)
        crc.add(id.high)
        for word in words[(place + 1)..<(place + headerWords)] { crc.add(word) }
        words[place] = magic << 32 | UInt64(crc.value)
        return record
    }

    private static func words(_ bytes: [UInt8]) -> [UInt64] {
        (0..<bytes.count / 8).map { index in
            bytes[(index * 8)..<(index * 8 + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}
