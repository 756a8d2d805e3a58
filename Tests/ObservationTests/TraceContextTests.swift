import Testing

@testable import Observation

@Suite struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let span = "00f067aa0ba902b7"
    private static let good = "00-\(trace)-\(span)-01"

    @Test func isRead() throws {
        let context = try #require(
            TraceContext(traceparent: Self.good, tracestate: "vendor=1,other=2"))
        #expect("\(context.trace)" == Self.trace && context.span == 0x00f0_67aa_0ba9_02b7)
        #expect(context.isSampled && context.state == "vendor=1,other=2")
    }

    @Test(arguments: [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)])
    func theLowestFlagSaysWhetherItIsSampled(flags: String, isSampled: Bool) {
        let context = TraceContext(traceparent: "00-\(Self.trace)-\(Self.span)-\(flags)")
        #expect(context?.isSampled == isSampled)
    }

    @Test(arguments: [
        "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-", "00-\(trace)-\(span)-0",
        "00-\(trace)-\(span)-001", "00-\(trace)-\(span)-01-x", "00-\(trace)-\(span)-01 ",
        " 00-\(trace)-\(span)-01", "ff-\(trace)-\(span)-01", "0-\(trace)-\(span)-011",
        "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
        "00-\(trace.uppercased())-\(span)-01", "00-\(trace)-\(span.uppercased())-01",
        "0A-\(trace)-\(span)-01", "00-\(trace)-\(span)-0A", "00-\(trace)-\(span)-0g",
        "00_\(trace)-\(span)-01", "00-\(trace)_\(span)-01", "00-\(trace)-\(span)_01",
        "00-\(trace.dropLast())é-\(span)-01", "00-\(trace)-\(span)-01,\(good)",
        "0x-\(trace)-\(span)-01",
    ])
    func whatIsNoneIsPassedOver(text: String) {
        #expect(TraceContext(traceparent: text, tracestate: "a=1") == nil)
    }

    @Test func aLaterVersionMaySayMore() {
        #expect(TraceContext(traceparent: "01-\(Self.trace)-\(Self.span)-01") != nil)
        #expect(TraceContext(traceparent: "cc-\(Self.trace)-\(Self.span)-01-what-ever") != nil)
        #expect(TraceContext(traceparent: "cc-\(Self.trace)-\(Self.span)-01.what") == nil)
    }

    @Test(arguments: [
        "", "a=\u{1}", "a=ü", "a=\u{FFFD}", String(repeating: "a", count: 513),
    ])
    func aStateThatIsNoneIsDropped(state: String) {
        let context = TraceContext(traceparent: Self.good, tracestate: state)
        #expect(context?.state == "")
    }

    @Test func sharesAreKept() {
        var chance = Chance(seed: 1)
        let numbers = (0..<10_000).map { _ in chance.next() }
        #expect(numbers.count { CallShare(0).takes($0) } == 0)
        #expect(numbers.count { CallShare(1).takes($0) } == 10_000)
        let some = numbers.count { CallShare(0.1).takes($0) }
        #expect((800...1_200).contains(some))
        #expect(CallShare(0).isNone && !CallShare(1).isNone && !CallShare(0.01).isNone)
    }
}
