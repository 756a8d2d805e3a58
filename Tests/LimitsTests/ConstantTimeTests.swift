import Testing

@testable import Limits

@Suite("Comparisons that take equally long")
struct ConstantTimeTests {
    /// Every length up to some words, and a difference at every place.
    @Test func oneByteMakesTextsDiffer() {
        for length in 0...40 {
            let text = String(repeating: "a", count: length)
            #expect(ConstantTime.areSame(text, text))
            #expect(!ConstantTime.areSame(text, text + "a"))
            #expect(!ConstantTime.areSame(text + "a", text))
            for place in 0..<length {
                var bytes = Array(text.utf8)
                bytes[place] ^= 1
                #expect(!ConstantTime.areSame(text, String(decoding: bytes, as: UTF8.self)))
            }
        }
    }

    /// Texts that are equal to Swift, and to nobody who compares what was sent.
    @Test func bytesCount() {
        #expect("\u{E9}" == "e\u{301}")
        #expect(!ConstantTime.areSame("\u{E9}aa", "e\u{301}aa"))
        #expect(ConstantTime.areSame("", ""))
    }

    @Test func runsOfBytesNeedNoAlignment() {
        let bytes = (0..<64).map { UInt8($0 % 16) }
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for length in 1...16 {
                #expect(ConstantTime.areSame(base + 3, base + 19, length))
                #expect(!ConstantTime.areSame(base + 3, base + 20, length))
            }
        }
    }
}
