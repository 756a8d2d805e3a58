internal import Admission
internal import HTTP2
internal import NIOCore
internal import TransportSecurity

/// What a connection is allowed: its time, its memory, its place.
extension ConnectionHandler {
    // MARK: Timers

    /// Called every second.
    func checkTimers(nowNanoseconds now: UInt64) {
        guard context != nil else { return }
        let actions = life.tick(
            now,
            ConnectionLifecycle.Facts(
                openStreams: session.openStreamCount,
                finishedStreams: session.finishedStreamCount, sentBytes: session.sentBodyBytes,
                hasOutput: !isWritable || session.queuedOutputBytes > 0,
                isRead: isWritable && !isPutOff, isKnown: isKnown))
        notePlace()
        perform(actions)
    }

    // MARK: Memory

    /// Tells the process what of this connection waits, and obeys if that is too much.
    func noteMemory() {
        var waiting = session.waitingBytes + parkedBytes
        if !isWritable || unread != nil { waiting += waitingOutside }
        guard waiting > PeerMemoryShare.freeBytes || share.isCounting || !hasMemory else { return }
        life.keepsMemory()
        hasMemory = share.set(waiting)
        session.limitInput(to: hasMemory ? nil : PeerMemoryShare.freeBytes)
    }

    /// Bytes that the session does not know of.
    private var waitingOutside: Int {
        let written = try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)
        return (written ?? 0) + (unread?.readableBytes ?? 0)
    }

    // MARK: Place

    /// A call was taken or refused: whoever was not refused as nobody has shown who it is, unless everybody may call.
    func noteCaller(_ method: Int, _ failure: GRPCFailure?) {
        guard !isKnown, failure?.isStrangers != true, !loop.limits[method].isOpen else {
            return
        }
        becomeKnown()
    }

    /// A stranger calls a method that is open to everybody: that counts as if it were refused, and few may go on at a time.
    ///
    /// - Returns: why it is refused; nil: it is not.
    func admitStranger(
        _ stream: StreamHandle, _ method: Int, _ events: StreamEvents
    ) -> GRPCFailure? {
        let limits = loop.limits[method]
        guard limits.isOpen else { return nil }
        session.chargeStranger(stream)
        let endsWithItsRead = events.contains(.end) && limits.kind == .unary
        guard endsWithItsRead || calls.count < loop.configuration.maximumStrangerCalls else {
            return Self.tooManyStrangers
        }
        return nil
    }

    private static let tooManyStrangers = GRPCFailure(
        .resourceExhausted, "too many calls without a token on this connection")

    /// The peer has shown who it is: others are closed before it, and it may do more at once.
    func becomeKnown() {
        isKnown = true
        admission.markKnown()
        session.trust()
        // Fails on a channel that is closed.
        try? context?.channel.syncOptions?.setOption(
            .recvAllocator, value: loop.configuration.readAllocator(isKnown: true))
    }

    /// Says, now and then, what the connection's place is worth. A stranger's is worth less with every second, whatever it
    /// sends.
    private func notePlace() {
        guard isKnown else { return }
        if session.openStreamCount > 0 {
            admission.markBusy()
        } else {
            admission.markIdle(sinceNanoseconds: life.lastUse)
        }
    }

    /// The connection's place is another's.
    func makeRoom() {
        guard context != nil else { return }
        let isServed = isKnown && session.openStreamCount > 0
        perform(life.evict(loop.clock(), isServed: isServed))
        // It may not take its farewell.
        if !isServed, !isWritable { abort() }
    }
}

/// Tells a connection that its place is another's now.
struct Evicted: EndsHandshake {}
