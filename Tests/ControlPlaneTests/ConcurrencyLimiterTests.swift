import Testing

@testable import ControlPlane

@Suite struct ConcurrencyLimiterTests {
    /// What is more than that is refused, not queued; room comes back when work ends, well or not.
    @Test func workIsBounded() async throws {
        struct Failure: Error {}
        let limiter = ConcurrencyLimiter(maximum: 2)
        let isDone = try await limiter.within("too many") {
            try await limiter.within("too many") { () -> Void in
                await #expect(throws: APIError.self) {
                    try await limiter.within("too many") { Issue.record("it was done") }
                }
            }
            await #expect(throws: Failure.self) {
                try await limiter.within("too many") { throw Failure() }
            }
            return try await limiter.within("too many") { true }
        }
        #expect(isDone)
    }
}
