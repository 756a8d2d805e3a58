/// Opens when an attempt has begun at its recipient: then the one behind it may begin.
///
/// Thread safety: any thread; one task waits.
final class StartGate: Sendable {
    private let opening: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (opening, continuation) = AsyncStream.makeStream() }

    /// To be called once or more.
    func open() { continuation.finish() }

    /// Returns when it is open, or the task is cancelled.
    func opened() async { for await _ in opening {} }
}
