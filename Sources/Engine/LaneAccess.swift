package import Limits

/// A way into the engine for whoever has no event loop of the data plane of its own: REST, the operator's page.
///
/// Work is done on the thread of one of the lanes, between its requests, and so must be short and never wait. Where the
/// journal has no room for it, it is done again when there is.
package struct LaneAccess: Sendable {
    private let perform: @Sendable (@escaping @Sendable (EngineLane) -> Void) -> Void

    /// - Parameter perform: runs its argument once, soon, on the thread of a lane, with that lane.
    package init(
        _ perform: @escaping @Sendable (@escaping @Sendable (EngineLane) -> Void) -> Void
    ) {
        self.perform = perform
    }

    /// Runs a call of a lane on behalf of a caller. What it answers may leave when `Engine.durable` has returned.
    ///
    /// - Parameters:
    ///   - requester: whose call it is.
    ///   - isLimited: it may act for some tenants only.
    ///   - settles: see `EngineLane.attempt`.
    ///   - body: one call that changes something, at the end; done again when that found no room in the journal, unless
    ///     the disk has stalled.
    package func callAsFunction<T: Sendable>(
        by requester: Requester, isLimited: Bool = false, settles: Bool = false,
        _ body: @escaping @Sendable (EngineLane) -> T
    ) async -> T {
        await withCheckedContinuation { continuation in
            perform { lane in
                lane.attempt(by: requester, isLimited: isLimited, settles: settles) { lane in
                    let result = body(lane)
                    guard !lane.waitsForRoom else { return false }
                    continuation.resume(returning: result)
                    return true
                }
            }
        }
    }
}
