internal import NIOCore
public import Wire

/// The messages of a WatchUsage, each the latest state of one tenant or messaging profile. One
/// reader at a time; the service conflates updates that are not read yet.
///
/// It ends with UNAVAILABLE when the service stops: start another watch. A cancelled task ends it
/// with CANCELLED, and so does releasing the last reference to it.
public final class UsageUpdates: AsyncSequence, Sendable {
    public typealias Element = UsageUpdate
    public typealias Failure = TollgateError

    private let call: StreamCall<UsageUpdate>
    private let connection: Connection

    init(_ call: StreamCall<UsageUpdate>, _ connection: Connection) {
        self.call = call
        self.connection = connection
    }

    deinit { cancel() }

    /// Ends the watch at once; the reader gets CANCELLED.
    public func cancel() {
        connection.loop.execute { [call] in call.cancel() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(updates: self) }

    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let updates: UsageUpdates

        /// The next message; nil: the service has ended the watch with OK, which it never does by itself.
        public func next() async throws(TollgateError) -> UsageUpdate? {
            let updates = updates
            let answer: StreamCall<UsageUpdate>.Answer = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    updates.connection.loop.execute {
                        updates.call.receive { continuation.resume(returning: $0) }
                    }
                }
            } onCancel: {
                updates.cancel()
            }
            return try answer.get()
        }

        public func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TollgateError) -> UsageUpdate? {
            try await next()
        }
    }
}
