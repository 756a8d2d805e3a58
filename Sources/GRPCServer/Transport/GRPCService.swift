internal import Admission
internal import HTTP2
package import Limits

/// What the transport knows about a request. One object serves all requests of a loop: it is valid
/// during the service's call only, and so are the bytes that it shows.
package final class CallContext {
    /// All of it in one piece, so that filling it is one store.
    struct Values {
        var method = 0
        var token: CallToken
        var nowNanoseconds: UInt64 = 0
        var deadlineNanoseconds = UInt64.max
        var authorization = UnsafeRawBufferPointer(start: nil, count: 0)
        var denyAsStatus = false
        /// The answer may leave compressed.
        var compresses = false
        /// The answer must wait for the disk.
        var isParked = false
        /// How much of the request was decided when it was put off.
        var progress = 0
        /// Unretained, for the hot path's sake: the connection calls, so it is there.
        unowned(unsafe) var connection: ConnectionHandler?
    }

    /// Outside the object, so that no access pays for an exclusivity check.
    let values: UnsafeMutablePointer<Values>
    /// What would take back the answers of the loop that have not left; the present one's at the end.
    let undo: UnsafeMutablePointer<ByteQueue>

    init(token: CallToken) {
        values = .allocate(capacity: 1)
        values.initialize(to: Values(token: token))
        undo = .allocate(capacity: 1)
        undo.initialize(to: ByteQueue())
    }

    deinit {
        values.deinitialize(count: 1)
        values.deallocate()
        undo.deinitialize(count: 1)
        undo.deallocate()
    }

    /// The method's index in the server's list.
    package var method: Int { values.pointee.method }

    /// Names this request for `ServerLoop`.
    package var token: CallToken { values.pointee.token }

    /// When the read that completed this request returned, on the monotonic clock.
    package var nowNanoseconds: UInt64 { values.pointee.nowNanoseconds }

    /// The caller's deadline on the monotonic clock; `UInt64.max`: none.
    package var deadlineNanoseconds: UInt64 { values.pointee.deadlineNanoseconds }

    /// The value of `authorization`; empty: none.
    package var authorization: UnsafeRawBufferPointer { values.pointee.authorization }

    /// `tollgate-deny: status` was sent.
    package var denyAsStatus: Bool { values.pointee.denyAsStatus }

    /// Whether the request's message came compressed.
    package var isCompressed: Bool {
        // It is still there, with its flag.
        values.pointee.connection?.session.input(token.stream).first == 1
    }

    /// How much of a unary request was decided before it was put off, in the service's own count; 0 at first.
    package var progress: Int {
        get { values.pointee.progress }
        set { values.pointee.progress = newValue }
    }

    /// The caller's address, for logs and audits: "127.0.0.1:50123".
    package var peer: String { values.pointee.connection?.peer ?? "" }

    /// Whom that belongs to: without the port, and of IPv6 the network.
    package var peerAddress: String {
        let peer = peer
        return PeerAddress.group(of: peer.lastIndex(of: ":").map { String(peer[..<$0]) } ?? peer)
    }

    /// Whom the connection's certificate names; nil: it has none.
    var certified: CertifiedPeer? { values.pointee.connection?.certified }

    // MARK: What becomes of the answer

    /// The answer or failure that the service is about to give reflects what is not on disk yet: it
    /// leaves when the next ticket of the service is durable, and not before an earlier one of the
    /// same call.
    package func park() { values.pointee.isParked = true }

    /// Whether the answer may turn out to come too late: the service must say then, by `undo`, what
    /// it did on the strength of it.
    package var mayBeLate: Bool { values.pointee.isParked || deadlineNanoseconds != .max }

    /// Adds bytes that are given to the service's `withdraw` should the answer not leave: its
    /// caller's deadline passed, or the call was cancelled, or the connection broke, or the request
    /// failed after a part of it was done.
    package func undo(_ bytes: UnsafeRawBufferPointer) { undo.pointee.append(bytes) }
}

/// Whom a request is from and about.
package struct CallSubject: Sendable {
    /// `Caller.number`; nil: nobody was asked.
    package var caller: UInt64?
    package var tenant: String?
    /// What was decided, where the status does not say it.
    package var answer: String?

    package init(caller: UInt64? = nil, tenant: String? = nil, answer: String? = nil) {
        self.caller = caller
        self.tenant = tenant
        self.answer = answer
    }
}

/// The methods behind the transport; one instance per event loop, called on it and never
/// concurrently. Requests and buffers are valid during the call only.
///
/// Deadlines: a request whose deadline has passed before it is decided never reaches the service; one
/// whose deadline passes before its answer leaves is told DEADLINE_EXCEEDED, and `withdraw` follows
/// if the service asked for it.
package protocol GRPCService: AnyObject {
    /// Decides one unary call in place, writing the encoded message to `response`.
    func unary(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome

    /// The head of a unary or server-streaming request has come, and its body has not: whether that may be kept until
    /// it is complete. The same is asked again when it is.
    ///
    /// - Returns: why it is refused; nil: it is not.
    func admit(_ call: CallContext) -> GRPCFailure?

    /// A client or bidirectional stream begins. `call.token` with sequence 0 names the call.
    ///
    /// - Returns: why it is refused; nil: it is not. After nil, `streamClosed` follows in the end.
    func streamOpened(_ call: CallContext) -> GRPCFailure?

    /// One request of a client or bidirectional stream. A bidirectional one is answered as a unary
    /// call is; the answers leave in the order of their requests. A client stream's one answer is
    /// parked if that to any of its requests would have been.
    func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome

    /// The client of a client stream has sent everything: the answer, as for a unary call.
    func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome

    /// A server stream begins with its one request. From now on `ServerLoop.push` may be called.
    ///
    /// - Returns: why it is refused; nil: it is not. After nil, `streamClosed` follows in the end.
    func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure?

    /// A server stream that was congested has room again.
    func streamWritable(_ token: CallToken)

    /// A streaming call is over, whoever ended it.
    func streamClosed(_ token: CallToken)

    /// The last connection of a draining loop is gone, and the loop is about to end: timers stop here.
    func stopped()

    /// The next request that `unary` decides is a part of a trace; nil: what follows is a part of none that is known. Called
    /// around the requests of calls that will be logged or traced, and for no others.
    func note(_ trace: TraceID?)

    /// Whom a request is from and about, for the access log and traces. Asked only for calls that will be logged or traced,
    /// when the service has just decided the request, or has taken or refused its stream.
    ///
    /// - Parameter isAnswered: it was answered, and not refused.
    func subject(
        of call: CallContext, request: UnsafeRawBufferPointer, isAnswered: Bool
    ) -> CallSubject

    // MARK: Durability

    /// The ticket of all answers given so far; asked for once after a batch of requests of which at
    /// least one answer was parked. Tickets never fall.
    func takeTicket() -> UInt64

    /// Answers are about to leave that were not parked. Called once for all that a read brought.
    func answersLeave()

    /// The highest ticket whose answers may leave.
    var durableTicket: UInt64 { get }

    /// Has `notify` called, on any thread, each time `durableTicket` has risen. Called once, before
    /// the first request.
    func onDurable(_ notify: @escaping @Sendable () -> Void)

    /// There may be room: what else waits for it comes before the requests that were put off.
    func roomMayBe()

    /// Whether a request that was put off is worth another try.
    var hasRoom: Bool { get }

    /// A request was put off: room is to be made at once, and `onDurable`'s `notify` called when there may be some.
    func awaitRoom()

    /// The answer for which the service noted `undo` did not leave: what it did is to be taken back.
    ///
    /// - Parameter undo: everything that was noted for one answer; valid during the call.
    func withdraw(_ undo: UnsafeRawBufferPointer)
}

extension GRPCService {
    package func admit(_ call: CallContext) -> GRPCFailure? { nil }

    package func streamOpened(_ call: CallContext) -> GRPCFailure? {
        GRPCFailure(.unimplemented, "not implemented")
    }

    package func message(
        _ call: CallContext, request: UnsafeRawBufferPointer, response: inout ResponseBuffer
    ) -> ServiceOutcome { .failed(GRPCFailure(.unimplemented, "not implemented")) }

    package func halfClosed(_ call: CallContext, response: inout ResponseBuffer) -> ServiceOutcome {
        .failed(GRPCFailure(.unimplemented, "not implemented"))
    }

    package func watch(_ call: CallContext, request: UnsafeRawBufferPointer) -> GRPCFailure? {
        GRPCFailure(.unimplemented, "not implemented")
    }

    package func streamWritable(_ token: CallToken) {}

    package func streamClosed(_ token: CallToken) {}

    package func stopped() {}

    package func note(_ trace: TraceID?) {}

    package func subject(
        of call: CallContext, request: UnsafeRawBufferPointer, isAnswered: Bool
    ) -> CallSubject { CallSubject() }

    package func takeTicket() -> UInt64 { 0 }

    package func answersLeave() {}

    package var durableTicket: UInt64 { 0 }

    package func onDurable(_ notify: @escaping @Sendable () -> Void) {}

    package func roomMayBe() {}

    package var hasRoom: Bool { true }

    package func awaitRoom() {}

    package func withdraw(_ undo: UnsafeRawBufferPointer) {}
}
