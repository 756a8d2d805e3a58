import Testing

@testable import tollgate

@Suite struct CollectorURLTests {
    @Test(arguments: [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://c/base//", "https://c/base/v1/traces"),
        ("http://c/a%2Fb", "http://c/a%2Fb/v1/traces"),
        ("http://c/a%2F", "http://c/a%2F/v1/traces"),
        ("http://c/a%3Fb%20c", "http://c/a%3Fb%20c/v1/traces"),
        ("http://[::1]:4318/x", "http://[::1]:4318/x/v1/traces"),
    ])
    func thePathOfTracesIsAppended(text: String, traces: String) {
        #expect(CollectorURL(text)?.traces == traces)
    }

    @Test func aPathIsNotForLogs() {
        #expect(CollectorURL("HTTPS://c:1/s3cret")?.place == "https://c:1")
        #expect(CollectorURL("http://[::1]/s3cret")?.place == "http://[::1]")
    }
}
