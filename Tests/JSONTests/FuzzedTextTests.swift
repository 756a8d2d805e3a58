import JSON
import Testing

@Suite struct FuzzedTextTests {
    @Test func seedsHold() {
        for seed in FuzzedTexts.seeds { #expect(FuzzedTexts.fault(of: seed) == nil) }
    }

    /// Each seed with each of its bytes left out, doubled, or another.
    @Test func whatIsNearSeedsHolds() {
        for seed in FuzzedTexts.seeds {
            for place in seed.indices {
                let (head, tail) = (seed[..<place], seed[(place + 1)...])
                for middle in [
                    [], [seed[place], seed[place]], [0x22], [0x5C], [0x2C], [0xFF], [0],
                ] {
                    let bytes = Array(head) + middle + tail
                    #expect(FuzzedTexts.fault(of: bytes) == nil, "\(bytes)")
                }
            }
        }
    }
}
