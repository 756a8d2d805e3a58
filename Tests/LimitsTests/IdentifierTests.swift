import Limits
import Testing

@Suite struct IdentifierTests {
    @Test func spellingsAreTwo() {
        let (one, other) = ("caf\u{e9}", "cafe\u{301}")
        #expect(one == other, "to String they are equal")
        #expect(Identifier(one) != Identifier(other))
        #expect(Set([Identifier(one), Identifier(other)]).count == 2)
        #expect(!one.hasSameBytes(as: other) && one.hasSameBytes(as: "caf\u{e9}"))
        // The Kelvin sign is a K.
        #expect(Identifier("\u{212a}") != Identifier("K"))
    }

    @Test(arguments: [
        "a", "...", ".a", "a.", "a b", "a/b", "a?b#c%25", "\u{e4} \u{20ac} \u{1f600}", "-x",
        String(repeating: "x", count: 64), "\u{5d0}\u{5d1}", "a\u{200d}b",
    ])
    func mayBeAnID(text: String) {
        #expect(Identifier.fault(of: text) == nil)
    }

    @Test(arguments: [
        ("", "1 to 64 bytes"), (String(repeating: "x", count: 65), "1 to 64 bytes"),
        (String(repeating: "\u{20ac}", count: 22), "1 to 64 bytes"), (".", "must not be"),
        ("..", "must not be"), (" a", "space"), ("a ", "space"), (" ", "space"),
        ("\u{a0}a", "space"), ("a\u{3000}", "space"), ("a\tb", "control"), ("a\u{0}", "control"),
        ("a\u{85}b", "control"), ("a\u{202e}b", "direction"), ("a\u{2066}", "direction"),
        ("\u{200e}a", "direction"), ("a\u{200f}", "direction"), ("\u{61c}", "direction"),
    ])
    func mayNotBeAnID(text: String, words: String) {
        #expect(Identifier.fault(of: text)?.contains(words) == true)
    }
}
