/// A way into the engine for whoever has no event loop of the data plane of its own: REST, the operator's page.
///
/// Work is done on the thread of one of the lanes, between its requests, and so must be short and never wait.
package struct LaneAccess: Sendable {
    private let perform: @Sendable (@escaping @Sendable (EngineLane) -> Void) -> Void

    /// - Parameter perform: runs its argument once, soon, on the thread of a lane, with that lane.
    package init(
        _ perform: @escaping @Sendable (@escaping @Sendable (EngineLane) -> Void) -> Void
    ) {
        self.perform = perform
    }

    /// Runs a few calls of a lane on behalf of a caller. What they answer may leave when `Engine.durable` has returned.
    ///
    /// - Parameter caller: the number of the access token; 0: nobody's.
    package func callAsFunction<T: Sendable>(
        by caller: UInt64, _ body: @escaping @Sendable (EngineLane) -> T
    ) async -> T {
        await withCheckedContinuation { continuation in
            perform { lane in
                lane.beginBatch()
                lane.caller = caller
                let result = body(lane)
                lane.caller = 0
                continuation.resume(returning: result)
            }
        }
    }
}
