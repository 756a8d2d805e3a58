package import NIOCore
internal import Synchronization

/// One of a client's connections: connects when needed, again when the connection is lost, and lets
/// calls wait for a place. `ConnectionMachine` says what to do; this does it.
///
/// Thread safety: `submit`, `cancel` and `close` from any thread; everything else on `loop`.
package final class Connection: @unchecked Sendable {
    // SAFETY: `inbox` is guarded by its lock; the other variables are touched on `loop` alone.

    /// A call or a stream to start.
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

    package let loop: any EventLoop
    private let dialer: Dialer
    private let endpoints: Endpoints
    private let counters: OutcomeCounters
    /// The endpoint that is tried first.
    private let preferred: Int
    /// Work that other threads have submitted since the loop last looked.
    private let inbox = Mutex<[Work]>([])

    private var machine: ConnectionMachine<Work, Link>
    private var sweep: Scheduled<Void>?
    private var sweepDeadline = NIODeadline.distantFuture

    /// A link and the index of its endpoint.
    struct Link: Equatable {
        let handler: ClientHandler
        let endpoint: Int

        static func == (one: Link, other: Link) -> Bool { one.handler === other.handler }
    }

    /// - Parameter preferred: The endpoint that is tried first.
    init(
        _ configuration: ClientConfiguration, endpoints: Endpoints, preferred: Int,
        counters: OutcomeCounters, loop: any EventLoop
    ) {
        dialer = Dialer(configuration, loop: loop)
        self.endpoints = endpoints
        self.preferred = preferred
        self.counters = counters
        self.loop = loop
        machine = ConnectionMachine(endpointCount: endpoints.all.count)
    }

    // MARK: From any thread

    /// Submits a call; many submitted together wake the loop once.
    package func submit(_ call: Call) { submit(.call(call)) }

    func submit(_ work: Work) {
        let isFirst = inbox.withLock { inbox in
            inbox.append(work)
            return inbox.count == 1
        }
        if isFirst { loop.execute { self.takeInbox() } }
    }

    /// Cancels a call.
    package func cancel(_ call: Call) {
        loop.execute {
            call.place?.forget()
            call.fail(.cancelled)
        }
    }

    func close() {
        loop.execute {
            let (work, links) = self.machine.shutDown()
            for work in work { work.owner.fail(.shutDown) }
            for link in links { link.handler.close() }
        }
    }

    // MARK: On the loop

    /// Starts a call at once. For callers already on `loop`; `flush` sends what was started.
    package func start(_ call: Call) { start(.call(call)) }

    /// Sends what was started.
    package func flush() { machine.current?.handler.flush() }

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
        if let expiry = work.owner.expiry {
            if expiry <= .now() { return work.owner.fail(.deadlineExceeded) }
            sweep(at: expiry)
        }
        guard machine.submit(work) else { return work.owner.fail(.shutDown) }
        goOn()
    }

    /// Does what the machine says.
    private func goOn() {
        while true {
            switch machine.next({ $0.handler.standing }) {
            case .rest: return
            case .connect(let attempt): connect(attempt)
            case .start(let work, let link):
                // A call that ends as it starts leaves room for others.
                if start(work, on: link.handler) { continue }
                if machine.putBack(work) == false { work.owner.fail(.shutDown) }
                return
            case .close(let link): link.handler.close()
            }
        }
    }

    /// - Returns: false: there is no free place now.
    private func start(_ work: Work, on handler: ClientHandler) -> Bool {
        switch work {
        case .call(let call):
            call.isDone
                || handler.start(call, method: call.method, finished: true) {
                    handler.codec.append(call.message, to: &$0)
                }
        case .stream(let stream): stream.isDone || stream.start(on: handler)
        }
    }

    // MARK: Links

    private func connect(_ attempt: Int) {
        let index = endpoints.pick(preferred: preferred, excluding: machine.tried) ?? preferred
        let (endpoint, headers) = endpoints.all[index]
        dialer.connect(endpoint, headers) { self.connected(attempt, index, $0) }
    }

    private func connected(
        _ attempt: Int, _ index: Int, _ result: Result<ClientHandler, TollgateError>
    ) {
        switch result {
        case .success(let handler):
            let link = Link(handler: handler, endpoint: index)
            guard machine.connected(attempt: attempt, link) else { return handler.close() }
            counters.count(.connectionMade)
            handler.onChange = { [weak self] handler, change in
                self?.changed(Link(handler: handler, endpoint: index), change)
            }
            handler.onMove = { [weak self] call in
                if self?.machine.submit(.call(call)) != true { call.fail(.shutDown) }
            }
            goOn()
            handler.flush()
        case .failure(let error):
            endpoints.failed(index)
            for work in machine.connectFailed(attempt: attempt, endpoint: index) {
                work.owner.fail(error)
            }
            goOn()
        }
    }

    private func changed(_ link: Link, _ change: ClientHandler.Change) {
        switch change {
        case .place: break
        case .answered: endpoints.answered(link.endpoint)
        case .avoid:
            endpoints.failed(link.endpoint)
            if machine.current == link, endpoints.hasBetter(than: link.endpoint),
                let left = machine.leave({ $0.handler.openStreams > 0 })
            {
                left.handler.close()
            }
        case .gone:
            counters.count(.connectionEnded)
            // An endpoint that accepts connections and drops them is no better than an unreachable
            // one.
            if link.handler.end == .lost, link.handler.hasAnswered == false {
                endpoints.failed(link.endpoint)
            }
            machine.lost(link)
        }
        if machine.leaving.isEmpty == false, link.handler.openStreams == 0, machine.quiet(link) {
            link.handler.close()
        }
        goOn()
    }

    // MARK: Deadlines

    /// The time at which the caller of a stream gives up has changed.
    func expiryChanged(_ owner: any StreamOwner) {
        if let expiry = owner.expiry { sweep(at: expiry) }
    }

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
        for work in machine.drop({ ($0.owner.expiry ?? .distantFuture) <= now }) {
            work.owner.fail(.deadlineExceeded)
        }
        var next = machine.waiting.reduce(NIODeadline.distantFuture) {
            min($0, $1.owner.expiry ?? .distantFuture)
        }
        for link in machine.leaving + (machine.current.map { [$0] } ?? []) {
            next = min(next, link.handler.expire(at: now) ?? .distantFuture)
            link.handler.flush()
            changed(link, .place)
        }
        goOn()
        flush()
        if next < .distantFuture { sweep(at: next) }
    }
}

extension TollgateError {
    static let shutDown = TollgateError(
        .unavailable, "The client was shut down", wasNotProcessed: true)
}
