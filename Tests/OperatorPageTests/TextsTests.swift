import Testing

@testable import OperatorPage

struct TextsTests {
    @Test func moneyIsGroupedAndExact() {
        #expect(Texts.money(1_234_567_500_000_000) == "$1,234,567.50")
        #expect(Texts.money(4_000_000) == "$0.004")
        #expect(Texts.money(-1_500_000_000) == "-$1.50")
    }

    @Test func minutesAreCutToATenth() {
        #expect(Texts.minutes(59) == "0.9")
        #expect(Texts.minutes(300_000) == "5,000")
        #expect(Texts.minutes(90) == "1.5")
    }

    @Test(
        arguments: [
            (nil, "–"), (.zero, "0 µs"), (.nanoseconds(4_999), "4 µs"),
            (.nanoseconds(999_999), "999 µs"), (.milliseconds(1), "1.00 ms"),
            (.microseconds(9_994), "9.99 ms"),
            (.milliseconds(10), "10.0 ms"), (.microseconds(12_340), "12.3 ms"),
            (.microseconds(99_990), "100.0 ms"), (.milliseconds(100), "100 ms"),
            (.seconds(68), "68,000 ms"),
        ] as [(Duration?, String)])
    func timesAreToldToThreeDigits(time: Duration?, text: String) {
        #expect(Texts.latency(time) == text)
    }

    @Test(arguments: ["2026-02-30", "2026-13-01", "20260101aa", "", "2026-1-1"])
    func whatIsNoDayIsNone(text: String) {
        #expect(Texts.day(text) == nil)
    }

    @Test(
        arguments: [
            ("tenant_suspended", "Tenant suspended"), ("eventTypes", "Event types"),
            ("max_dids", "Max DIDs"), ("failoverURL", "Failover URL"), ("", ""),
        ])
    func namesReadAsSentences(name: String, sentence: String) {
        #expect(Texts.sentence(name) == sentence)
    }

    @Test func aDayIsItsFirstMillisecond() {
        #expect(Texts.day("1970-01-02") == 86_400_000)
        #expect(Texts.time(86_400_000) == "1970-01-02 00:00:00")
    }

    @Test(arguments: [(".", "%2E"), ("..", "%2E%2E"), ("a/b ?", "a%2Fb%20%3F"), ("ä", "%C3%A4")])
    func idsInPathsAreEscaped(id: String, escaped: String) {
        #expect(Links.tenant(id) == "/tenants/" + escaped)
    }
}
