import JSON
import Testing

@testable import tollgate

@Suite("Texts of the command line")
struct TextTests {
    @Test(arguments: [
        ("500ms", 500), ("10s", 10_000), ("15m", 900_000), ("24h", 86_400_000),
        ("7d", 604_800_000), ("0s", 0), ("0ms", 0),
    ])
    func durations(_ text: String, _ milliseconds: Int64) {
        #expect(DurationText.milliseconds(text) == milliseconds)
        if milliseconds > 0 && text != "7d" {
            #expect(DurationText.text(milliseconds).isEmpty == false)
        }
        #expect(DurationText.milliseconds(DurationText.text(milliseconds)) == milliseconds)
    }

    @Test(arguments: [
        "", "s", "10", "10 s", "-1s", "1.5s", "1s1s", "10S", "10min", "٣s",
        "9223372036854775807d", "92233720368547758070ms",
    ])
    func noDurations(_ text: String) {
        #expect(DurationText.milliseconds(text) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:50051", "127.0.0.1", 50051), ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65_535),
    ])
    func addresses(_ text: String, _ host: String, _ port: Int) throws {
        let address = try #require(NetworkAddress(text))
        #expect(address == NetworkAddress(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(arguments: [
        "", ":1", "a", "a:", "a:b", "a:65536", "a:-1", "::1:1", "[::1]", "[a]:1", "a b:1", "[]:1",
    ])
    func noAddresses(_ text: String) {
        #expect(NetworkAddress(text) == nil)
    }

    @Test func jsonKeepsOrderAndEscapes() {
        let value = JSON.object([
            ("z", .string("a/\"\\\n\t\u{1}é€")), ("a", .array([.integer(-1), .null, .bool(true)])),
            ("empty", .object([])),
        ])
        #expect(
            value.text == #"{"z":"a/\"\\\n\t\u0001é€","a":[-1,null,true],"empty":{}}"#)
    }
}
