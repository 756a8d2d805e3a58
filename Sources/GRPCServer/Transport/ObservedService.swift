internal import Limits

/// A service whose requests are noted for the access log and traces: whom they are from and about, and how long their
/// decision took. A loop has one in front of its service where calls are logged or traced; elsewhere nothing is asked.
///
/// Thread safety: belongs to its event loop.
final class ObservedService: GRPCService {
    private let service: any GRPCService
    private let notes: CallNotes
    private let clock: @Sendable () -> UInt64

    init(_ service: any GRPCService, _ notes: CallNotes, clock: @escaping @Sendable () -> UInt64) {
        self.service = service
        self.notes = notes
        self.clock = clock
    }

    /// Whom a request is from and about. Of a stranger nothing is known, and what the service knows is of somebody else.
    private func note(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ failure: GRPCFailure?
    ) {
        guard failure?.isStrangers != true, notes.has(call.token) else { return }
        notes.note(
            service.subject(of: call, request: request, isAnswered: failure == nil), call.token)
    }

    // MARK: Calls that are noted

    func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        guard notes.has(call.token) else {
            return service.unary(call, request: request, response: &response)
        }
        let began = clock()
        service.note(notes.trace(call.token))
        let outcome = service.unary(call, request: request, response: &response)
        service.note(nil)
        let ended = clock()
        switch outcome {
        // It is decided later.
        case .putOff: return outcome
        case .done: note(call, request, nil)
        case .failed(let failure): note(call, request, failure)
        }
        notes.decided(
            call.token, began: began, ended: ended, isParked: call.values.pointee.isParked)
        return outcome
    }

    func admit(_ call: CallContext) -> GRPCFailure? {
        let failure = service.admit(call)
        if let failure { note(call, Self.none, failure) }
        return failure
    }

    func streamOpened(_ call: CallContext) -> GRPCFailure? {
        let failure = service.streamOpened(call)
        note(call, Self.none, failure)
        return failure
    }

    func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        let failure = service.watch(call, request: request)
        note(call, request, failure)
        return failure
    }

    private static var none: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: nil, count: 0)
    }

    // MARK: All else

    func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome { service.message(call, request: request, response: &response) }

    func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome {
        service.halfClosed(call, response: &response)
    }

    func streamWritable(_ token: CallToken) { service.streamWritable(token) }

    func streamClosed(_ token: CallToken) { service.streamClosed(token) }

    func stopped() { service.stopped() }

    func note(_ trace: TraceID?) { service.note(trace) }

    func subject(
        of call: CallContext, request: UnsafeRawBufferPointer, isAnswered: Bool
    ) -> CallSubject { service.subject(of: call, request: request, isAnswered: isAnswered) }

    func takeTicket() -> UInt64 { service.takeTicket() }

    func answersLeave() { service.answersLeave() }

    var durableTicket: UInt64 { service.durableTicket }

    func onDurable(_ notify: @escaping @Sendable () -> Void) { service.onDurable(notify) }

    func roomMayBe() { service.roomMayBe() }

    var hasRoom: Bool { service.hasRoom }

    func awaitRoom() { service.awaitRoom() }

    func withdraw(_ undo: UnsafeRawBufferPointer) { service.withdraw(undo) }
}
