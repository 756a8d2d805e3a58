package import Limits

/// Several services behind one server. The first is the main one: its methods come first, the disk that answers wait for
/// is its own, and it says who may call; the others keep nothing, and answer at once.
///
/// Thread safety: belongs to its event loop.
package final class ServiceSet: GRPCService {
    private let main: any GRPCService
    /// Methods below this are the main service's.
    private let mainCount: Int
    /// By method, from `mainCount` on.
    private let owners: [any GRPCService]
    private let isOpen: [Bool]
    private let others: [any GRPCService]

    /// - Parameters:
    ///   - methods: the main service's.
    ///   - others: services with their methods, in the order in which the server has them behind those of `main`.
    package init(
        _ main: any GRPCService, methods: [MethodDescriptor],
        others: [(service: any GRPCService, methods: [MethodDescriptor])]
    ) {
        self.main = main
        mainCount = methods.count
        owners = others.flatMap { other in other.methods.map { _ in other.service } }
        isOpen = others.flatMap { $0.methods.map(\.isOpen) }
        self.others = others.map(\.service)
    }

    @inline(__always)
    private func owner(_ call: CallContext) -> any GRPCService {
        call.method < mainCount ? main : owners[call.method - mainCount]
    }

    /// Why the caller may not call another service than the main one; nil: it may.
    private func refusal(_ call: CallContext) -> GRPCFailure? {
        isOpen[call.method - mainCount] ? nil : main.admit(call)
    }

    // MARK: Calls

    package func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        if call.method < mainCount {
            return main.unary(call, request: request, response: &response)
        }
        return unaryBeside(call, request, &response)
    }

    /// Apart, so that calls of the main service pay for nothing else.
    @inline(never)
    private func unaryBeside(
        _ call: CallContext, _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        if let failure = refusal(call) { return .failed(failure) }
        return owner(call).unary(call, request: request, response: &response)
    }

    package func admit(_ call: CallContext) -> GRPCFailure? {
        call.method < mainCount ? main.admit(call) : refusal(call)
    }

    package func streamOpened(_ call: CallContext) -> GRPCFailure? {
        if call.method >= mainCount, let failure = refusal(call) { return failure }
        return owner(call).streamOpened(call)
    }

    package func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        // Tokens end while streams go on.
        if call.method >= mainCount, let failure = refusal(call) { return .failed(failure) }
        return owner(call).message(call, request: request, response: &response)
    }

    package func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome {
        owner(call).halfClosed(call, response: &response)
    }

    package func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        if call.method >= mainCount, let failure = refusal(call) { return failure }
        return owner(call).watch(call, request: request)
    }

    package func streamWritable(_ token: CallToken) {
        main.streamWritable(token)
        for other in others { other.streamWritable(token) }
    }

    package func streamClosed(_ token: CallToken) {
        main.streamClosed(token)
        for other in others { other.streamClosed(token) }
    }

    package func stopped() {
        for other in others { other.stopped() }
        main.stopped()
    }

    package func note(_ trace: TraceID?) { main.note(trace) }

    package func subject(
        of call: CallContext, request: UnsafeRawBufferPointer, isAnswered: Bool
    ) -> CallSubject { owner(call).subject(of: call, request: request, isAnswered: isAnswered) }

    // MARK: Durability

    package func takeTicket() -> UInt64 { main.takeTicket() }

    package func answersLeave() { main.answersLeave() }

    package var durableTicket: UInt64 { main.durableTicket }

    package func onDurable(_ notify: @escaping @Sendable () -> Void) { main.onDurable(notify) }

    package func roomMayBe() { main.roomMayBe() }

    package var hasRoom: Bool { main.hasRoom }

    package func awaitRoom() { main.awaitRoom() }

    package func withdraw(_ undo: UnsafeRawBufferPointer) { main.withdraw(undo) }
}
