import Testing

@testable import Journal

@Suite struct CRC32CTests {
    /// RFC 3720, B.4, in words: the vectors of 32 bytes and the 48-byte SCSI read command.
    static let published: [(bytes: [UInt8], checksum: UInt32)] = [
        (Array(repeating: 0, count: 32), 0x8A91_36AA),
        (Array(repeating: 0xFF, count: 32), 0x62A8_AB43),
        (Array(0..<32), 0x46DD_794E),
        (Array((0..<32).reversed()), 0x113F_DB5C),
        (
            [
                0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
            ], 0xD996_3A56
        ),
    ]

    static func words(_ bytes: [UInt8]) -> [UInt64] {
        stride(from: 0, to: bytes.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << (8 * $1) }
        }
    }

    @Test(arguments: published) func `The published vectors come out`(
        _ vector: (bytes: [UInt8], checksum: UInt32)
    ) {
        for isHardware in Set([false, CRC32C.hasHardware]) {
            var checksum = CRC32C(isHardware: isHardware)
            for word in Self.words(vector.bytes) { checksum.add(word) }
            #expect(checksum.value == vector.checksum)
        }
    }

    @Test func `Instruction and tables agree, word by word and in runs`() {
        var random = SystemRandomNumberGenerator()
        for count in 0..<200 {
            let words = (0..<count).map { _ in random.next() }
            var single = CRC32C()
            var run = CRC32C()
            var software = CRC32C(isHardware: false)
            for word in words { single.add(word) }
            words.withUnsafeBufferPointer { run.add($0) }
            words.withUnsafeBufferPointer { software.add($0) }
            #expect(single.value == software.value)
            #expect(run.value == software.value)
        }
    }

    @Test func `This machine's instruction is found`() {
        #if arch(x86_64)
            #expect(CRC32C.hasHardware)
        #endif
    }
}
