package import GRPCServer
internal import NIOCore
internal import Wire

/// `grpc.health.v1.Health` on one event loop, for everybody: whoever checks needs no token.
///
/// A watch is told the latest status, and none that was over before it could be told: whoever reads slowly misses some.
/// Watches are bounded as all calls are: by connections, and by the calls that a connection may have, of a stranger's
/// `ServerConfiguration.maximumStrangerCalls`.
///
/// Thread safety: belongs to its event loop.
package final class HealthService: GRPCService {
    package static let name = "grpc.health.v1.Health"

    package static let methods = [
        MethodDescriptor(
            path: "/\(name)/Check", maximumRequestBytes: HealthMessages.requestBytes, isOpen: true),
        MethodDescriptor(
            path: "/\(name)/List", maximumRequestBytes: HealthMessages.requestBytes, isOpen: true),
        MethodDescriptor(
            path: "/\(name)/Watch", kind: .serverStreaming,
            maximumRequestBytes: HealthMessages.requestBytes, isOpen: true),
    ]

    /// Watches that are told in one turn of the loop.
    private static let turn = 256

    private struct Watch {
        /// The service's; nil: there is no such service.
        let place: Int?
        /// What it was told last.
        var told: ServingStatus?
        var isCongested = false
    }

    private struct Reference {
        weak var service: HealthService?
    }

    private let board: HealthBoard
    /// What `Check` answers, and watches are told.
    private var statuses: ServingStatuses
    private let messages = HealthMessages()
    private weak var loop: ServerLoop?
    /// The id of `Check`; those of the others follow.
    private let firstMethod: Int
    private var watches: [CallToken: Watch] = [:]
    /// Watches that are still to be looked at since the last change, and who waits for the end of that.
    private var untold: [CallToken] = []
    private var waiting: [@Sendable () -> Void] = []
    private var isTelling = false

    /// - Parameters:
    ///   - firstMethod: methods of the server before this service's.
    ///   - loop: the loop that this service belongs to.
    package init(_ board: HealthBoard, firstMethod: Int, loop: ServerLoop) {
        self.board = board
        self.firstMethod = firstMethod
        self.loop = loop
        // Again below, when no change can be missed any more.
        statuses = board.statuses
        let eventLoop = loop.eventLoop
        let reference = NIOLoopBound(Reference(service: self), eventLoop: eventLoop)
        board.listen { told in
            eventLoop.execute {
                if let service = reference.value.service { service.changed(told) } else { told() }
            }
        }
        statuses = board.statuses
    }

    // MARK: Calls

    package func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome {
        switch call.method - firstMethod {
        case 0: return check(request, &response)
        case 1:
            let count = messages.write(statuses.all) { response.reserve($0) }
            response.commit(count)
            return .done
        default: return .failed(GRPCFailure(.unimplemented, "not a unary method"))
        }
    }

    private func check(
        _ request: UnsafeRawBufferPointer, _ response: inout ResponseBuffer
    ) -> ServiceOutcome {
        guard let name = messages.service(request) else { return .failed(Self.malformed) }
        guard let place = statuses.place(of: name) else {
            return .failed(GRPCFailure(.notFound, "unknown service"))
        }
        response.commit(
            messages.write(
                statuses.status(at: place), into: response.reserve(HealthMessages.statusBytes)))
        return .done
    }

    package func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        guard let name = messages.service(request) else { return Self.malformed }
        watches[call.token] = Watch(place: statuses.place(of: name))
        tell(call.token)
        return nil
    }

    package func streamWritable(_ token: CallToken) {
        guard watches[token] != nil else { return }
        watches[token]?.isCongested = false
        tell(token)
    }

    package func streamClosed(_ token: CallToken) { watches[token] = nil }

    private static let malformed = GRPCFailure(.internal, "the message could not be decoded")

    // MARK: Telling

    private func changed(_ told: @escaping @Sendable () -> Void) {
        statuses = board.statuses
        untold = Array(watches.keys)
        waiting.append(told)
        guard !isTelling else { return }
        isTelling = true
        tellSome()
    }

    /// Tells some watches what has changed, and the others in later turns.
    private func tellSome() {
        for _ in 0..<min(Self.turn, untold.count) { tell(untold.removeLast()) }
        loop?.flush()
        if !untold.isEmpty, let loop {
            return loop.eventLoop.assumeIsolated().execute { self.tellSome() }
        }
        isTelling = false
        let waiting = waiting
        self.waiting = []
        for told in waiting { told() }
    }

    /// Tells a watch how its service stands, unless it knows.
    private func tell(_ token: CallToken) {
        guard let watch = watches[token], !watch.isCongested else { return }
        let status = statuses.status(at: watch.place)
        guard watch.told != status else { return }
        let result = loop?.push(token) { response in
            response.commit(
                messages.write(status, into: response.reserve(HealthMessages.statusBytes)))
        }
        switch result {
        case .sent: watches[token]?.told = status
        case .congested: watches[token]?.isCongested = true
        case .gone, nil: break  // `streamClosed` follows, or has been
        }
    }
}
