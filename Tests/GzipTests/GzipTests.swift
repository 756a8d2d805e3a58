import Testing

@testable import Gzip

@Suite struct GzipTests {
    /// "hello, hello, hello" as gzip(1) writes it.
    static let foreign: [UInt8] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
        0xd7, 0x51, 0xc8, 0x40, 0xa2, 0x00, 0x9f, 0xa1, 0xca, 0x09, 0x13, 0x00, 0x00, 0x00,
    ]
    static let text = Array("hello, hello, hello".utf8)

    enum Outcome: Equatable { case complete([UInt8]), tooLarge, damaged, noMemory }

    static func outcome(
        _ bytes: [UInt8], atMost maximum: Int, _ decoder: inout GzipDecoder
    ) -> Outcome {
        bytes.withUnsafeBytes { bytes in
            switch decoder.decode(bytes, maximumBytes: maximum) {
            case .complete(let message): .complete(Array(message))
            case .tooLarge: .tooLarge
            case .damaged: .damaged
            case .noMemory: .noMemory
            }
        }
    }

    static func packed(_ bytes: [UInt8], _ encoder: inout GzipEncoder) -> [UInt8]? {
        bytes.withUnsafeBytes { encoder.encode($0).map { Array($0) } }
    }

    @Test func readsWhatOthersWrite() {
        var decoder = GzipDecoder()
        #expect(Self.outcome(Self.foreign, atMost: 100, &decoder) == .complete(Self.text))
    }

    @Test func everyPrefixIsDamaged() {
        var decoder = GzipDecoder()
        for count in 0..<Self.foreign.count {
            let outcome = Self.outcome(Array(Self.foreign[..<count]), atMost: 100, &decoder)
            #expect(outcome == .damaged, "\(count) bytes")
        }
        #expect(Self.outcome(Self.foreign, atMost: 100, &decoder) == .complete(Self.text))
    }

    /// A few bits say nothing of the message: time, system, and what fills up the last byte before the checksum.
    @Test func noBitMakesAnotherMessage() {
        var decoder = GzipDecoder()
        var harmless = 0
        for bit in 0..<(8 * Self.foreign.count) {
            var bytes = Self.foreign
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            switch Self.outcome(bytes, atMost: 100, &decoder) {
            case .complete(let message):
                #expect(message == Self.text, "bit \(bit)")
                harmless += 1
            case .damaged, .tooLarge: break
            case .noMemory: Issue.record("bit \(bit): there is memory")
            }
        }
        #expect((49...56).contains(harmless), "\(harmless)")
    }

    @Test func moreBehindTheMessageIsDamage() {
        var decoder = GzipDecoder()
        #expect(Self.outcome(Self.foreign + [0], atMost: 100, &decoder) == .damaged)
        #expect(Self.outcome(Self.foreign + Self.foreign, atMost: 100, &decoder) == .damaged)
    }

    @Test(arguments: [0, 1, 18, 19, 20, 100_000])
    func theBoundIsExact(maximum: Int) {
        var decoder = GzipDecoder()
        let expected = maximum < Self.text.count ? Outcome.tooLarge : .complete(Self.text)
        #expect(Self.outcome(Self.foreign, atMost: maximum, &decoder) == expected)
    }

    @Test func aBombUnfoldsNoFurtherThanItMay() throws {
        var encoder = GzipEncoder()
        var decoder = GzipDecoder()
        let zeros = [UInt8](repeating: 0, count: 10_000_000)
        let bomb = try #require(Self.packed(zeros, &encoder))
        #expect(bomb.count < 50_000)
        #expect(Self.outcome(bomb, atMost: 65_536, &decoder) == .tooLarge)
        #expect(decoder.keptBytes <= 65_537)
        #expect(Self.outcome(bomb, atMost: zeros.count - 1, &decoder) == .tooLarge)
        let isWhole = Self.outcome(bomb, atMost: zeros.count, &decoder) == .complete(zeros)
        #expect(isWhole)
    }

    @Test func whatWasPackedIsUnpacked() {
        var encoder = GzipEncoder()
        var decoder = GzipDecoder()
        var random = SystemRandomNumberGenerator()
        for size in [2, 100, 1_000, 4_096, 4_097, 65_536, 1_000_000] {
            let bytes = (0..<size).map { _ in UInt8.random(in: 0...3, using: &random) }
            guard let packed = Self.packed(bytes, &encoder) else {
                #expect(size <= 100, "two bits of eight are news")
                continue
            }
            #expect(packed.count < size)
            let isWhole = Self.outcome(packed, atMost: size, &decoder) == .complete(bytes)
            #expect(isWhole, "\(size) bytes")
        }
    }

    @Test func whatDoesNotBecomeSmallerIsLeft() {
        var encoder = GzipEncoder()
        var random = SystemRandomNumberGenerator()
        for size in [0, 1, 2, 19, 1_000, 65_536] {
            let noise = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(Self.packed(noise, &encoder) == nil)
        }
        // What was left does the next message no harm.
        #expect(Self.packed([UInt8](repeating: 1, count: 1_000), &encoder) != nil)
    }

    @Test func nothingButMemoryIsKept() {
        var decoder = GzipDecoder()
        _ = Self.outcome(Array(Self.foreign[..<20]), atMost: 100, &decoder)
        _ = Self.outcome(Self.foreign, atMost: 3, &decoder)
        #expect(Self.outcome(Self.foreign, atMost: 100, &decoder) == .complete(Self.text))
    }
}
