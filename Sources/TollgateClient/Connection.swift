internal import Glibc
package import NIOCore
internal import NIOPosix
internal import Synchronization

/// One of a client's connections: makes it when it is needed, again when it is lost, and lets calls wait for a place.
///
/// Thread safety: `submit`, `cancel` and `close` from any thread; everything else on `loop`.
package final class Connection: @unchecked Sendable {
    // SAFETY: `inbox` is guarded by its lock; the other variables are touched on `loop` alone.

    /// A call or a stream that wants to start.
    enum Work {
        case call(Call)
        case stream(any StreamWork)

        var owner: any StreamOwner {
            switch self {
            case .call(let call): call
            case .stream(let stream): stream
            }
        }
    }

    private enum State {
        case idle, connecting, closed
        case connected(ClientHandler)
    }

    package let loop: any EventLoop
    private let configuration: TollgateClient.Configuration
    private let headers: RequestHeaders
    /// What other threads have handed over since the loop last looked.
    private let inbox = Mutex<[Work]>([])

    private var state = State.idle
    /// Connections that take no more calls, but still owe answers.
    private var draining: [ClientHandler] = []
    private var waiting = CircularBuffer<Work>()
    private var sweep: Scheduled<Void>?
    private var sweepDeadline = NIODeadline.distantFuture

    init(
        _ configuration: TollgateClient.Configuration, headers: RequestHeaders,
        loop: any EventLoop
    ) {
        self.configuration = configuration
        self.headers = headers
        self.loop = loop
    }

    // MARK: From any thread

    /// Hands a call over; many that come together wake the loop once.
    package func submit(_ call: Call) { submit(.call(call)) }

    func submit(_ work: Work) {
        let isFirst = inbox.withLock { inbox in
            inbox.append(work)
            return inbox.count == 1
        }
        if isFirst { loop.execute { self.takeInbox() } }
    }

    /// Ends a call whose caller no longer waits.
    package func cancel(_ call: Call) {
        loop.execute {
            call.place?.letGo()
            call.fail(.cancelled)
        }
    }

    func close() {
        loop.execute {
            let state = self.state
            self.state = .closed
            self.failWaiting(
                TollgateError(.unavailable, "The client was shut down", wasNotProcessed: true))
            if case .connected(let handler) = state { handler.close() }
            for handler in self.draining { handler.close() }
        }
    }

    // MARK: On the loop

    /// Starts a call at once. For callers that are on `loop` already; `flush` sends what was started.
    package func start(_ call: Call) { start(.call(call)) }

    /// Sends what was started.
    package func flush() {
        if case .connected(let handler) = state { handler.flush() }
    }

    private func takeInbox() {
        let arrived = inbox.withLock { inbox in
            let arrived = inbox
            inbox.removeAll(keepingCapacity: true)
            return arrived
        }
        for work in arrived { start(work) }
        flush()
    }

    private func start(_ work: Work) {
        if let deadline = work.owner.deadline {
            if deadline <= .now() { return work.owner.fail(.deadlineExceeded) }
            sweep(at: deadline)
        }
        waiting.append(work)
        startWaiting()
    }

    /// Starts what waits, in order, as far as there are places.
    private func startWaiting() {
        switch state {
        case .connecting: return
        case .closed:
            failWaiting(
                TollgateError(.unavailable, "The client was shut down", wasNotProcessed: true))
        case .idle:
            if waiting.isEmpty == false { connect() }
        case .connected(let handler):
            guard handler.isUsable else {
                state = .idle
                if handler.inFlightCount > 0 { draining.append(handler) }
                return startWaiting()
            }
            // Taken out first: a call that ends as it starts may be followed by others that start.
            while let work = waiting.popFirst() {
                guard start(work, on: handler) else { return waiting.prepend(work) }
            }
        }
    }

    /// - Returns: false: there is no place for now.
    private func start(_ work: Work, on handler: ClientHandler) -> Bool {
        switch work {
        case .call(let call):
            call.isDone
                || handler.start(call, method: call.method, finished: true) {
                    $0.appendMessage(call.message)
                }
        case .stream(let stream): stream.isDone || stream.start(on: handler)
        }
    }

    private func failWaiting(_ error: TollgateError) {
        let failed = waiting
        waiting.removeAll()
        for work in failed { work.owner.fail(error) }
    }

    // MARK: Making the connection

    private func connect() {
        state = .connecting
        let configuration = configuration
        let headers = headers
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ClientHandler(configuration, headers: headers))
                }
            }
            .connect(host: configuration.host, port: configuration.port)
            .hop(to: loop)
            .whenComplete { self.connected($0) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel):
            guard case .connecting = state,
                let handler = try? channel.pipeline.syncOperations.handler(type: ClientHandler.self)
            else { return channel.close(promise: nil) }
            state = .connected(handler)
            handler.onChange = { [weak self, weak handler] in
                guard let self, let handler else { return }
                self.changed(handler)
            }
            startWaiting()
            handler.flush()
        case .failure(let error):
            guard case .connecting = state else { return }
            state = .idle
            let endpoint = "\(configuration.host):\(configuration.port)"
            failWaiting(
                TollgateError(
                    .unavailable,
                    "There is no connection to \(endpoint): \(ConnectionText.reason(error))",
                    wasNotProcessed: true))
        }
    }

    private func changed(_ handler: ClientHandler) {
        draining.removeAll { $0.inFlightCount == 0 }
        if case .connected(let current) = state, current === handler { startWaiting() }
    }

    // MARK: Deadlines

    /// One timer for all calls: at the earliest deadline, which with equal time-outs is the oldest call's.
    private func sweep(at deadline: NIODeadline) {
        guard deadline < sweepDeadline else { return }
        sweep?.cancel()
        sweepDeadline = deadline
        sweep = loop.scheduleTask(deadline: deadline) { self.expire() }
    }

    private func expire() {
        let now = NIODeadline.now()
        sweep = nil
        sweepDeadline = .distantFuture
        var next = NIODeadline.distantFuture
        for work in waiting {
            guard let deadline = work.owner.deadline else { continue }
            if deadline <= now {
                work.owner.fail(.deadlineExceeded)
            } else {
                next = min(next, deadline)
            }
        }
        waiting.removeAll { ($0.owner.deadline ?? .distantFuture) <= now }
        var handlers = draining
        if case .connected(let handler) = state { handlers.append(handler) }
        for handler in handlers {
            let before = handler.inFlightCount
            next = min(next, handler.expire(at: now) ?? .distantFuture)
            if handler.inFlightCount < before { handler.probe(at: now) }
            handler.flush()
        }
        startWaiting()
        flush()
        if next < .distantFuture { sweep(at: next) }
    }
}
