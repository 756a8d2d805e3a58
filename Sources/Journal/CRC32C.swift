public import CLinux

/// CRC32C (Castagnoli; RFC 3720, appendix B.4) over 64-bit little-endian words: of every record,
/// frame and file header of the journal.
///
/// By the processor's instruction where it has one, by tables (Kounavis and Berry: "A Systematic
/// Approach to Building High Performance Software-based CRC Generators", 2005) elsewhere.
@frozen public struct CRC32C: Sendable {
    /// The register, not yet inverted; the upper half is 0.
    @usableFromInline var state: UInt64
    @usableFromInline let isHardware: Bool

    /// Whether this processor has the instruction.
    public static let hasHardware = linux_crc32c_is_supported() != 0

    @inlinable public init() {
        self.init(isHardware: Self.hasHardware)
    }

    /// - Parameter isHardware: Tests compare both; true only where `hasHardware`.
    @inlinable init(isHardware: Bool) {
        state = 0xFFFF_FFFF
        self.isHardware = isHardware
    }

    /// Adds eight bytes, the word's lowest first.
    ///
    /// - Complexity: O(1); three cycles with the instruction.
    @inlinable public mutating func add(_ word: UInt64) {
        state =
            isHardware
            ? linux_crc32c_word(state, word) : Self.advance(state, word)
    }

    /// Adds words that lie one behind the other.
    ///
    /// - Complexity: O(`words.count`).
    @inlinable public mutating func add(_ words: UnsafeBufferPointer<UInt64>) {
        if isHardware, let start = words.baseAddress {
            state = linux_crc32c_words(state, start, words.count)
        } else {
            for word in words { state = Self.advance(state, word) }
        }
    }

    /// The checksum of everything added.
    @inlinable public var value: UInt32 {
        ~UInt32(truncatingIfNeeded: state)
    }

    /// Table `k` at `256 * k`: what a byte becomes that is followed by `k` zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var register = UInt32(byte)
            for _ in 0..<8 {
                // The polynomial 0x1EDC6F41, bits reversed.
                register = (register >> 1) ^ (register & 1 == 1 ? 0x82F6_3B78 : 0)
            }
            tables[byte] = register
        }
        for place in 256..<tables.count {
            let before = tables[place - 256]
            tables[place] = (before >> 8) ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    @usableFromInline static func advance(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let mixed = state ^ word
        var result: UInt32 = 0
        for byte in 0..<8 {
            result ^=
                tables[256 * (7 - byte) + Int(truncatingIfNeeded: (mixed >> (8 * byte)) & 0xFF)]
        }
        return UInt64(result)
    }
}
