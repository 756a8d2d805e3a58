import Testing
import Wire

@testable import TollgateClient

@Suite("When a failed attempt may be repeated")
struct RetryPolicyTests {
    private func details(retryAfter milliseconds: Int64?) throws -> StatusDetails {
        var details = try StatusDetails(decoding: UnsafeRawBufferPointer(start: nil, count: 0))
        details.retryDelayMilliseconds = milliseconds
        return details
    }

    @Test func onlyUnavailable() throws {
        let codes: [TollgateError.Code] = [
            .cancelled, .unknown, .invalidArgument, .deadlineExceeded, .notFound,
            .permissionDenied, .resourceExhausted, .failedPrecondition, .unimplemented, .internal,
            .unauthenticated,
        ]
        for code in codes {
            let error = TollgateError(code, "", details: try details(retryAfter: 5))
            #expect(RetryPolicy.delay(after: error, attempt: 1, isRepeatable: true) == nil)
        }
    }

    /// With several endpoints an attempt has less time than its call.
    @Test func anAttemptThatWasCutShortIsRepeatedAtOnceIfItMay() {
        let late = TollgateError.deadlineExceeded
        func delay(_ isRepeatable: Bool, _ wasCutShort: Bool) -> Duration? {
            RetryPolicy.delay(
                after: late, attempt: 1, isRepeatable: isRepeatable, wasCutShort: wasCutShort)
        }
        #expect(delay(true, true) == .zero)
        #expect(delay(true, false) == nil && delay(false, true) == nil)
    }

    @Test func unkeyedOnlyWhenNotProcessed() {
        let lost = TollgateError(.unavailable, "lost")
        #expect(RetryPolicy.delay(after: lost, attempt: 1, isRepeatable: false) == nil)
        #expect(RetryPolicy.delay(after: lost, attempt: 1, isRepeatable: true) != nil)
        let refused = TollgateError(.unavailable, "refused", wasNotProcessed: true)
        #expect(RetryPolicy.delay(after: refused, attempt: 1, isRepeatable: false) != nil)
    }

    @Test func theServiceSaysHowLong() throws {
        let busy = TollgateError(.unavailable, "", details: try details(retryAfter: 250))
        #expect(
            RetryPolicy.delay(after: busy, attempt: 1, isRepeatable: true) == .milliseconds(250))
        let final = TollgateError(.unavailable, "", details: try details(retryAfter: nil))
        #expect(RetryPolicy.delay(after: final, attempt: 1, isRepeatable: true) == nil)
    }

    @Test func backoffGrowsAndIsBounded() throws {
        let lost = TollgateError(.unavailable, "lost")
        for attempt in 1...40 {
            let delay = try #require(
                RetryPolicy.delay(after: lost, attempt: attempt, isRepeatable: true))
            let most = 10 << min(attempt, 7)
            #expect(delay >= .milliseconds(most / 2) && delay <= .milliseconds(most))
        }
    }
}
