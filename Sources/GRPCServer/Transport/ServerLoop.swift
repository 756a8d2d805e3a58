internal import HTTP2
package import NIOCore

/// What became of an answer that came later.
package enum Delivery: Sendable {
    /// It is on its way.
    case delivered
    /// The caller's deadline had passed: DEADLINE_EXCEEDED was sent in its place.
    case expired
    /// The call was over: nobody was told anything.
    case gone
}

/// What became of a message pushed on a server stream.
package enum PushResult: Sendable {
    case sent
    /// Too much waits already; nothing was encoded, `streamWritable` follows when there is room.
    case congested
    /// The call is over.
    case gone
}

/// One event loop of the server: its service, its connections, and the way for answers that come
/// later.
///
/// Thread safety: every member belongs to the event loop's thread.
package final class ServerLoop: @unchecked Sendable {
    // SAFETY: handed to other threads only as a whole; all members are used on `eventLoop` alone.

    private struct Slot {
        var handler: ConnectionHandler?
        var generation: UInt32 = 0
    }

    /// What the hot path needs of a method.
    struct MethodLimits {
        let kind: MethodKind
        let maximumRequestBytes: Int
    }

    package let index: Int
    package let eventLoop: any EventLoop
    let configuration: ServerConfiguration
    let limits: [MethodLimits]
    let routes: RouteTable
    let memory = SessionMemory()
    let okHeaders: HeaderView
    let okTrailers: HeaderView
    /// Filled for each request; see `CallContext`.
    let call = CallContext(
        token: CallToken(
            connection: 0, connectionGeneration: 0, stream: .none, sequence: 0))
    /// Bytes on their way into a channel; empty between uses, nil while in use.
    var outbound: ByteBuffer?
    /// Fields of a failed status; reused.
    var fields = HeaderFields()
    /// For answers that must wait for their turn.
    let scratch: UnsafeMutablePointer<ByteQueue>
    private(set) var service: (any GRPCService)?
    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var dirty: [ConnectionHandler] = []
    private var ticks: UInt64 = 0
    private var timer: RepeatedTask?
    private(set) var isDraining = false
    /// Called when the last connection of a draining loop is gone.
    private var onDrained: (() -> Void)?

    init(
        index: Int, eventLoop: any EventLoop, configuration: ServerConfiguration,
        methods: [MethodDescriptor], routes: RouteTable
    ) {
        self.index = index
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.routes = routes
        limits = methods.map {
            MethodLimits(kind: $0.kind, maximumRequestBytes: $0.maximumRequestBytes)
        }
        okHeaders = ReplyHeaders.ok.view
        okTrailers = ReplyHeaders.okTrailers.view
        outbound = ByteBufferAllocator().buffer(capacity: 64 * 1024)
        scratch = .allocate(capacity: 1)
        scratch.initialize(to: ByteQueue())
    }

    deinit {
        scratch.deinitialize(count: 1)
        scratch.deallocate()
    }

    /// Starts the loop's timer and takes its service. On the loop.
    func start(_ service: any GRPCService) {
        self.service = service
        timer = eventLoop.scheduleRepeatedTask(
            initialDelay: .milliseconds(100), delay: .milliseconds(100)
        ) { [weak self] _ in self?.tick() }
    }

    // MARK: For the service

    /// Answers a request that was `.pending`. `flush` must follow, once for many of them.
    ///
    /// - Parameter encode: writes the answer, or says why there is none; not called unless the answer
    ///   can still be sent in time.
    /// - Returns: whether the caller gets it; if not, what was done for it is the service's to undo.
    @discardableResult
    package func complete(
        _ token: CallToken, _ encode: (inout ResponseBuffer) -> GRPCFailure?
    ) -> Delivery {
        guard let handler = handler(token) else { return .gone }
        let delivery = handler.complete(token, encode)
        if delivery != .gone { markDirty(handler) }
        return delivery
    }

    /// Sends one message on a server stream. `flush` must follow, once for many of them.
    package func push(_ token: CallToken, _ encode: (inout ResponseBuffer) -> Void) -> PushResult {
        guard let handler = handler(token) else { return .gone }
        let result = handler.push(token, encode)
        if result != .gone { markDirty(handler) }
        return result
    }

    /// Ends a server stream. `flush` must follow.
    ///
    /// - Parameter failure: nil: status OK.
    package func end(_ token: CallToken, _ failure: GRPCFailure?) {
        guard let handler = handler(token) else { return }
        handler.end(token, failure)
        markDirty(handler)
    }

    /// Whether a call is still open towards its caller.
    package func isOpen(_ token: CallToken) -> Bool {
        handler(token)?.session.isOpen(token.stream) ?? false
    }

    /// Writes out what `complete`, `push` and `end` have produced.
    package func flush() {
        while let handler = dirty.popLast() {
            handler.isDirty = false
            handler.run()
        }
    }

    private func markDirty(_ handler: ConnectionHandler) {
        // A connection that is just being worked on writes by itself at the end.
        guard !handler.isDirty, !handler.isRunning else { return }
        handler.isDirty = true
        dirty.append(handler)
    }

    private func handler(_ token: CallToken) -> ConnectionHandler? {
        let index = Int(token.connection)
        guard index < slots.count, slots[index].generation == token.connectionGeneration else {
            return nil
        }
        return slots[index].handler
    }

    // MARK: For connections

    /// - Returns: the place of the connection in this loop, and its generation.
    func add(_ handler: ConnectionHandler) -> (index: UInt32, generation: UInt32) {
        let index: Int
        if let free = freeSlots.popLast() {
            index = free
        } else {
            index = slots.count
            slots.append(Slot())
        }
        slots[index].handler = handler
        return (UInt32(index), slots[index].generation)
    }

    func remove(_ index: UInt32) {
        slots[Int(index)].handler = nil
        slots[Int(index)].generation &+= 1
        freeSlots.append(Int(index))
        if isDraining, freeSlots.count == slots.count { finishDrain() }
    }

    private func tick() {
        ticks += 1
        let now = NIODeadline.now().uptimeNanoseconds
        for index in slots.indices {
            guard let handler = slots[index].handler else { continue }
            if handler.activeCalls > 0 { handler.expireCalls(nowNanoseconds: now) }
            if ticks % 10 == 0 { handler.checkTimers(nowNanoseconds: now) }
        }
    }

    // MARK: Drain

    /// Announces the end on every connection. On the loop.
    ///
    /// - Parameter drained: called once, when the last connection is gone.
    func drain(_ drained: @escaping () -> Void) {
        isDraining = true
        onDrained = drained
        if freeSlots.count == slots.count { return finishDrain() }
        for index in slots.indices { slots[index].handler?.beginDrain() }
    }

    /// Closes whatever is left. On the loop.
    func closeAll() {
        for index in slots.indices { slots[index].handler?.close() }
    }

    private func finishDrain() {
        timer?.cancel()
        timer = nil
        service?.stopped()
        let drained = onDrained
        onDrained = nil
        drained?()
    }
}
