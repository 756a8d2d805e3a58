internal import Gzip
internal import HTTP2
package import NIOCore
internal import Synchronization
internal import Telemetry

/// One event loop of the server: its service, its connections, and the answers that wait for the disk.
///
/// Thread safety: every member but `counts` belongs to the event loop's thread.
package final class ServerLoop: @unchecked Sendable {
    // SAFETY: handed to other threads only as a whole; all members are used on `eventLoop` alone, but for `counts`,
    // which is Sendable.

    private struct Slot {
        var handler: ConnectionHandler?
        var generation: UInt32 = 0
    }

    /// What the hot path needs of a method.
    struct MethodLimits {
        let kind: MethodKind
        let maximumRequestBytes: Int
        let isOpen: Bool
    }

    package let index: Int
    package let eventLoop: any EventLoop
    let configuration: ServerConfiguration
    /// By method id; outside the object, so that reading it touches no reference count.
    let limits: UnsafeMutablePointer<MethodLimits>
    let routes: RouteTable
    let memory = SessionMemory()
    let okHeaders: HeaderView
    let okTrailers: HeaderView
    /// The same as `okHeaders`, of an answer that is compressed.
    let gzipHeaders: HeaderView
    /// Unpacks requests and packs answers, one message at a time.
    var gunzip = GzipDecoder()
    var gzip = GzipEncoder()
    let unpacking: UnpackingQueue
    /// What is noted of calls that will be logged or traced; nil: none is.
    let notes: CallNotes?
    /// `notes` is there, asked for without touching it.
    let isObserved: Bool
    /// Filled for each request; see `CallContext`.
    let call = CallContext(
        token: CallToken(connection: 0, connectionGeneration: 0, stream: .none))
    /// Bytes on their way into a channel; empty between uses, nil while in use.
    var outbound: ByteBuffer?
    /// Fields of a failed status; reused.
    var fields = HeaderFields()
    /// The monotonic clock.
    let clock: @Sendable () -> UInt64
    /// What operators are shown.
    let counts: LoopCounts
    private var parked = ParkedAnswers()
    private var isFilingScheduled = false
    /// Made once, so that no turn of the loop allocates a closure.
    private var fileAtEndOfTurn: @Sendable () -> Void = {}
    private var durableSignal: DurableSignal?
    private(set) var service: (any GRPCService)?
    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var dirty: [ConnectionHandler] = []
    /// Connections of which a request was put off, in turn.
    private var putOff: [ConnectionHandler] = []
    private var ticks: UInt64 = 0
    /// Open streams of the connections that had their turn since the second began.
    private var streamsFound = 0
    /// The most connections at once since memory was last given back.
    private var mostConnections = 0
    private var timer: LoopTimer?
    private(set) var isDraining = false
    /// Nothing is decided any more.
    private(set) var hasDrained = false
    /// TLS handshakes that are under way, and whether a drain waits for them.
    private var handshakes = 0
    private var awaitsHandshakes = true
    /// Grows ten times a second as long as the loop turns; any thread.
    private let turned = Atomic<UInt64>(0)
    /// Called when the last connection of a draining loop is gone.
    private var onDrained: [() -> Void] = []

    init(
        index: Int, eventLoop: any EventLoop, configuration: ServerConfiguration,
        methods: [MethodDescriptor], routes: RouteTable
    ) {
        self.index = index
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.routes = routes
        limits = .allocate(capacity: max(1, methods.count))
        for (index, method) in methods.enumerated() {
            (limits + index).initialize(
                to: MethodLimits(
                    kind: method.kind, maximumRequestBytes: method.maximumRequestBytes,
                    isOpen: method.isOpen))
        }
        okHeaders = ReplyHeaders.ok.view
        okTrailers = ReplyHeaders.okTrailers.view
        gzipHeaders = ReplyHeaders.okGzip.view
        counts = LoopCounts(methods: methods.count, sessions: memory.counts)
        notes = configuration.observer.map { CallNotes($0, methods.map(\.path)) }
        isObserved = configuration.observer != nil
        unpacking = UnpackingQueue(configuration, on: eventLoop)
        outbound = ByteBufferAllocator().buffer(capacity: 128 * 1024)
        clock = configuration.clock
    }

    deinit { limits.deallocate() }

    /// Starts the loop's timer and takes its service. On the loop.
    func start(_ own: any GRPCService) {
        let service = notes.map { ObservedService(own, $0, clock: clock) } ?? own
        self.service = service
        timer = LoopTimer(on: eventLoop, every: .milliseconds(100), lateness: counts.lateness) {
            [weak self] in self?.tick()
        }
        fileAtEndOfTurn = { [weak self] in self?.fileParkedAnswers() }
        let signal = DurableSignal(eventLoop: eventLoop) { [weak self] in
            self?.durableSignal?.lower()
            self?.release()
            self?.resumeCalls()
        }
        durableSignal = signal
        service.onDurable { signal.raise() }
    }

    // MARK: For the service

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

    /// Writes out what `push` and `end` have produced.
    package func flush() {
        // What is written may bring more to write.
        var index = 0
        while index < dirty.count {
            let handler = dirty[index]
            index += 1
            handler.isDirty = false
            handler.run()
        }
        dirty.removeAll(keepingCapacity: true)
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

    // MARK: Parked answers

    /// Keeps an answer until the ticket that the service gives out at the end of this turn of the
    /// loop: everything that was read in one turn, on whatever connection, shares a ticket.
    ///
    /// - Returns: the answer's number.
    func park(_ answer: ParkedAnswer) -> UInt64 {
        if !isFilingScheduled {
            isFilingScheduled = true
            eventLoop.execute(fileAtEndOfTurn)
        }
        return parked.append(answer)
    }

    /// Lets an answer that need not wait leave together with the parked one that it stands behind.
    func extendParked(_ number: UInt64, answerBytes: Int) {
        parked.extend(number, answerBytes: answerBytes)
    }

    /// Answers that wait.
    var parkedCount: Int { parked.count }

    /// Calls that are neither answered nor being decided.
    var activeCallCount: Int { slots.reduce(0) { $0 + ($1.handler?.calls.count ?? 0) } }

    /// Connections whose channel is open.
    var openConnectionCount: Int { slots.count { $0.handler?.isOpen ?? false } }

    /// Bytes that wait in sessions.
    var waitingBytes: Int { slots.reduce(0) { $0 + ($1.handler?.session.waitingBytes ?? 0) } }

    private func fileParkedAnswers() {
        isFilingScheduled = false
        guard let service, parked.unfiled > 0 else { return }
        let now = clock()
        parked.noteUnfiled(counts.decided, nowNanoseconds: now)
        parked.file(under: service.takeTicket(), atNanoseconds: now)
        release()
    }

    /// Sends what has become durable, with one flush for each connection.
    private func release() {
        guard let service, parked.count > 0 else { return }
        let durableTicket = service.durableTicket
        let now = clock()
        while let due = parked.due(upTo: durableTicket) {
            counts.durable.record(
                nanoseconds: now &- min(due.filedNanoseconds, now), count: due.count)
            for _ in 0..<due.count {
                guard let answer = parked.take(upTo: durableTicket) else { break }
                counts.whole.record(
                    nanoseconds: now &- min(answer.receivedNanoseconds, now),
                    count: UInt64(answer.messages))
                release(answer, nowNanoseconds: now, isCut: false)
            }
        }
        flush()
    }

    private func release(_ answer: ParkedAnswer, nowNanoseconds now: UInt64, isCut: Bool) {
        let handler = answer.connection.takeUnretainedValue()
        let hasLeft = handler.release(answer, nowNanoseconds: now, isCut: isCut)
        let undoBytes = Int(answer.undoBytes)
        if undoBytes > 0 {
            if !hasLeft {
                service?.withdraw(
                    UnsafeRawBufferPointer(
                        rebasing: call.undo.pointee.readable[..<undoBytes]))
            }
            call.undo.pointee.consume(undoBytes)
        }
        markDirty(handler)
        handler.leave()
    }

    /// Counts answers that did not wait for the disk and were written: how long they took.
    func noteAnswers(
        _ count: UInt64, receivedNanoseconds received: UInt64, nowNanoseconds now: UInt64
    ) {
        let elapsed = now &- min(received, now)
        counts.decided.record(nanoseconds: elapsed, count: count)
        counts.whole.record(nanoseconds: elapsed, count: count)
    }

    // MARK: Requests that are put off

    /// A request of a connection was put off: `resume` is called when there may be room for it.
    func putOff(_ handler: ConnectionHandler) {
        putOff.append(handler)
        service?.awaitRoom()
    }

    /// Goes on with what was put off as long as there is room, the longest first. The service calls it too, since room
    /// may come without anything becoming durable.
    package func resumeCalls() {
        service?.roomMayBe()
        guard !putOff.isEmpty, let service else { return }
        let handlers = putOff
        putOff.removeAll(keepingCapacity: true)
        var next = 0
        while next < handlers.count, service.hasRoom {
            handlers[next].resume()
            next += 1
        }
        // They have waited for longer than those that were put off again.
        putOff.insert(contentsOf: handlers[next...], at: 0)
        flush()
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
        finishDrainIfEmpty()
    }

    /// How often the loop has been seen to turn; nil: it has drained, and is seen no more. Any thread.
    package var turns: UInt64? {
        // ORDERING: relaxed because it goes with no other data.
        let turns = turned.load(ordering: .relaxed)
        return turns == .max ? nil : turns
    }

    private func tick() {
        ticks += 1
        // ORDERING: relaxed, see `turns`.
        turned.store(ticks, ordering: .relaxed)
        let now = clock()
        for index in slots.indices {
            guard let handler = slots[index].handler else { continue }
            if handler.calls.count > 0 { handler.expireCalls(nowNanoseconds: now) }
        }
        checkTimers(part: Int(ticks % Self.parts), nowNanoseconds: now)
        resumeCalls()
    }

    /// Ticks in a second. Every connection has its turn once a second, a part of them at each tick.
    private static let parts: UInt64 = 10

    private func checkTimers(part: Int, nowNanoseconds now: UInt64) {
        for index in stride(from: part, to: slots.count, by: Int(Self.parts)) {
            guard let handler = slots[index].handler else { continue }
            handler.checkTimers(nowNanoseconds: now)
            streamsFound += handler.session.openStreamCount
        }
        if part == 0 {
            counts.set(streams: streamsFound, parked: parked.count, putOff: putOff.count)
            streamsFound = 0
            trimIfEmptier()
        }
    }

    /// What is done every second, at once: for tests.
    func checkTimers() {
        let now = clock()
        for part in 0..<Int(Self.parts) { checkTimers(part: part, nowNanoseconds: now) }
    }

    /// Gives back, once most connections are gone, what they have left in the pool.
    private func trimIfEmptier() {
        let connections = slots.count - freeSlots.count
        mostConnections = max(mostConnections, connections)
        guard mostConnections >= 32, connections <= mostConnections / 4 else { return }
        mostConnections = connections
        memory.trim(keeping: 256)
    }

    // MARK: Drain

    /// Announces the end on every connection. On the loop.
    ///
    /// - Parameter drained: called once, when the last connection is gone.
    func drain(_ drained: @escaping () -> Void) {
        guard !hasDrained else { return drained() }
        onDrained.append(drained)
        guard !isDraining else { return }
        isDraining = true
        finishDrainIfEmpty()
        for index in slots.indices { slots[index].handler?.beginDrain() }
        // Who is about to be let in is told properly, but not waited for as long as a handshake may take.
        let linger = configuration.lingerTime
        eventLoop.assumeIsolated().scheduleTask(in: linger) { self.awaitHandshakesNoMore() }
    }

    private func awaitHandshakesNoMore() {
        awaitsHandshakes = false
        finishDrainIfEmpty()
    }

    /// A peer's TLS handshake has begun; `handshakeEnded` must follow, after the connection was added if it came to one.
    func handshakeBegan() { handshakes += 1 }

    func handshakeEnded() {
        handshakes -= 1
        finishDrainIfEmpty()
    }

    private func finishDrainIfEmpty() {
        guard isDraining, !hasDrained, freeSlots.count == slots.count,
            handshakes == 0 || !awaitsHandshakes
        else { return }
        finishDrain()
    }

    /// Closes whatever is left; what is still parked is taken back. On the loop.
    func closeAll() {
        awaitsHandshakes = false
        for index in slots.indices { slots[index].handler?.close() }
        let now = clock()
        while let answer = parked.takeAny() { release(answer, nowNanoseconds: now, isCut: true) }
        flush()
        finishDrainIfEmpty()
    }

    private func finishDrain() {
        hasDrained = true
        // ORDERING: relaxed, see `turns`.
        turned.store(.max, ordering: .relaxed)
        durableSignal?.stop()
        timer?.cancel()
        timer = nil
        unpacking.stop()
        service?.stopped()
        let drained = onDrained
        onDrained = []
        for tell in drained { tell() }
    }
}
