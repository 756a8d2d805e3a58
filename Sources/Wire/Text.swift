/// What can be wrong with the bytes of an identifier.
enum TextFault: Equatable {
    case invalidUTF8
    /// U+0000 ... 001F or U+007F ... 009F.
    case controlCharacter
}

extension UInt64 {
    /// All eight bytes are 0x20 ... 0x7E.
    @inline(__always)
    fileprivate var isPrintableASCII: Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Bytes without a high bit get one by adding 1 to 0x7F, and carry nothing over; and by
        // taking 0x20 from what is below it: the lowest such byte does, whatever comes above it.
        let outside = self | (self &+ ones) | (self &- ones &* 0x20)
        return outside & (ones &* 0x80) == 0
    }
}

extension UnsafeRawBufferPointer {
    /// Finds the first fault of a text that must be UTF-8 (RFC 3629: no overlong forms, no
    /// surrogates, at most U+10FFFF) without control characters; nil when there is none.
    ///
    /// - Complexity: O(count); eight bytes at a time where all of the text is printable ASCII.
    var textFault: TextFault? {
        guard count >= 8, let start = baseAddress else { return scanForFault() }
        // The last word overlaps the one before: looking twice at a byte does no harm.
        let last = count &- 8
        var offset = 0
        while offset < last {
            guard start.loadUnaligned(fromByteOffset: offset, as: UInt64.self).isPrintableASCII
            else { return scanForFault() }
            offset &+= 8
        }
        let isPrintable = start.loadUnaligned(fromByteOffset: last, as: UInt64.self)
            .isPrintableASCII
        return isPrintable ? nil : scanForFault()
    }

    /// The same byte by byte: of what is short, not ASCII, or faulty.
    @inline(never)
    private func scanForFault() -> TextFault? {
        var offset = 0
        while offset < count {
            let lead = self[offset]
            if lead < 0x80 {
                if lead < 0x20 || lead == 0x7F { return .controlCharacter }
                offset += 1
                continue
            }
            guard let length = multibyteLength(at: offset) else { return .invalidUTF8 }
            // U+0080 ... 009F are C2 80 ... C2 9F.
            if lead == 0xC2 && self[offset + 1] < 0xA0 { return .controlCharacter }
            offset += length
        }
        return nil
    }

    /// Length (2 ... 4) of the well-formed sequence that starts with a byte >= 0x80; nil: there is
    /// none.
    private func multibyteLength(at offset: Int) -> Int? {
        let length: Int
        let second: ClosedRange<UInt8>
        switch self[offset] {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return nil
        }
        guard offset + length <= count, second.contains(self[offset + 1]) else { return nil }
        for position in 2..<Swift.max(length, 2) where self[offset + position] & 0xC0 != 0x80 {
            return nil
        }
        return length
    }
}
