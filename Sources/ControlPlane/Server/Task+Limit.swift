extension Task where Failure == any Error {
    /// What it comes to; nil: it takes longer, and goes on. It is cancelled with the task that waits.
    package func value(within limit: Duration) async throws -> Success? {
        let (ends, end) = AsyncStream<Bool>.makeStream()
        let timer = Task<Void, Never> {
            try? await Task<Never, Never>.sleep(for: limit)
            end.yield(false)
        }
        defer { timer.cancel() }
        Task<Void, Never> {
            _ = await result
            end.yield(true)
        }
        for await isDone in ends {
            guard isDone else { return nil }
            return try await value
        }
        cancel()
        return try await value
    }
}
