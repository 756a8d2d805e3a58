package import Engine

/// What says which answers must wait for the disk, and which may leave: the engine's lane, or a test's own.
package protocol DurabilityGate: AnyObject {
    /// Whether the answer or failure that the lane's last call gave must wait for the next ticket.
    var answerWaits: Bool { get }

    /// The ticket of all answers given so far.
    func takeTicket() -> UInt64

    /// Answers are about to leave that need not wait. Called once after a batch of calls.
    func answersLeave()

    /// The highest ticket whose answers may leave.
    var durableTicket: UInt64 { get }

    /// Has `notify` called, on any thread, each time `durableTicket` has risen.
    func onDurable(_ notify: @escaping @Sendable () -> Void)
}

extension EngineLane: DurabilityGate {}
