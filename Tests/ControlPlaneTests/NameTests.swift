import JSON
import Testing

@testable import ControlPlane

/// Two spellings of a letter are two names.
@Suite struct NameTests {
    private let composed = "caf\u{E9}"
    private let decomposed = "cafe\u{301}"

    @Test func namesOfMembersAreBytes() throws {
        let object = try JSONParser.parse("{\"\(composed)\":1,\"\(decomposed)\":2}")
        let body = BodyReader(object, ValidationErrors())
        #expect(body.raw(composed) == 1)
        #expect(body.unasked.map { Array($0.utf8) } == [Array(decomposed.utf8)])
    }

    @Test func namesOfParametersAreBytes() {
        let query = QueryReader("caf%C3%A9=1&cafe%CC%81=2", ValidationErrors())
        #expect(query.text(composed) == "1" && query.text(decomposed) == "2")
        #expect(query.findings.entries.isEmpty)
    }
}
