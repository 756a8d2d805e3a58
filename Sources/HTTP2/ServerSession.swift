import CNGHTTP2

/// The server's side of one HTTP/2 connection, without I/O: the owner feeds what it has read
/// (`receive`), works off what happened (`nextReady`), answers, and sends what comes out
/// (`nextOutput`).
///
/// Each stream that `nextReady` hands out must be ended exactly once: by `finish` or `reject` (unless told
/// to keep it), `reset` or `release`. Until then it keeps its place among `maximumConcurrentStreams`, even if the peer has
/// reset it. Calls with the handle of a stream that is over do nothing.
///
/// In the steady state no call allocates memory of ours; nghttp2 allocates its frames.
///
/// Thread safety: one thread at a time.
package struct ServerSession: ~Copyable {
    private let core: SessionCore

    /// - Parameters:
    ///   - memory: the pool of the thread on which the session lives.
    ///   - routes: the methods it knows.
    package init(
        configuration: SessionConfiguration, memory: SessionMemory, routes: RouteTable
    ) {
        core = SessionCore(
            isServer: true, configuration: configuration, memory: memory, routes: routes)
    }

    deinit {
        core.destroy()
    }

    // MARK: Bytes

    /// Feeds bytes that the transport has read; an offence of the peer shows as a GOAWAY in
    /// `nextOutput` or as `isFinished`.
    ///
    /// - Parameter nowNanoseconds: a monotonic clock, for the rate limits.
    /// - Returns: the bytes taken; the others are for `resume` while `isPaused`.
    @discardableResult
    package func receive(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) -> Int {
        core.receive(bytes, nowNanoseconds: nowNanoseconds)
    }

    /// The peer has shown who it is: its turns may be longer, and what it is refused counts as finished.
    package func trust() {
        core.state.pointee.isTrusted = true
        core.state.pointee.turnLimit = core.state.pointee.configuration.turnHeaderBytes
    }

    /// The peer comes from where others have used up their budgets: it begins with a sixteenth of them, and earns the rest.
    package func limitCredit() { core.limitCredit() }

    /// Whether the connection is ended since the peer has used up a budget.
    package var hasOffended: Bool { core.state.pointee.hasOffended }

    /// Whether `receive` has stopped since the bytes' header fields are enough work for one turn: until `resume` has
    /// taken the rest, it takes none.
    package var isPaused: Bool { core.state.pointee.isPaused }

    /// Goes on with the bytes that were left; there may be none.
    ///
    /// - Returns: as `receive`.
    package func resume(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) -> Int {
        core.resume(bytes, nowNanoseconds: nowNanoseconds)
    }

    /// The next bytes for the transport, usually one frame; empty: none for now. They must be
    /// copied before the next call on this session.
    package func nextOutput() -> UnsafeRawBufferPointer { core.nextOutput() }

    /// Writes output for the transport, as much as there is and as surely fits: a frame more.
    ///
    /// - Parameter buffer: at least `largestPiece` bytes.
    /// - Returns: the bytes written; fewer than `buffer.count - largestPiece` when nothing is left.
    package func writeOutput(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        core.writeOutput(into: buffer)
    }

    /// The most that `nextOutput` ever hands out: a frame and its header, with some to spare.
    package static var largestPiece: Int { SessionCore.largestPiece }

    /// Whether the connection should be closed once all output is sent.
    package var isFinished: Bool { core.isFinished }

    /// Body bytes that wait for the peer's windows or for `nextOutput`.
    package var queuedOutputBytes: Int { core.state.pointee.queuedOutput }

    /// Body bytes that have gone to the transport, ever.
    package var sentBodyBytes: UInt64 { core.state.pointee.sentBody }

    /// Body bytes that have come in and were not yet consumed.
    package var bufferedInputBytes: Int { core.state.pointee.bufferedInput }

    /// Bytes that wait here, in both directions, with what is kept of header fields.
    package var waitingBytes: Int {
        core.state.pointee.bufferedInput + core.state.pointee.queuedOutput
            + core.state.pointee.keptMetadata
    }

    /// Bounds the body bytes that are kept from here on; nil: as configured. A stream that would pass it is cut off
    /// (`StreamEvents.overflow`).
    package func limitInput(to bytes: Int?) {
        let configured = core.state.pointee.configuration.maximumBufferedInputBytes
        core.state.pointee.inputLimit = min(bytes ?? configured, configured)
    }

    /// Gives back memory that is kept for streams to come, but for a few.
    package func trim() { core.state.pointee.streams.trim(keeping: 4) }

    /// Streams that are open in the protocol's sense.
    package var openStreamCount: Int { core.state.pointee.openStreams }

    /// Streams that ended without an error.
    package var finishedStreamCount: UInt64 { core.state.pointee.finishedStreams }

    // MARK: Requests

    /// The next stream on which something happened since it was last reported.
    package func nextReady() -> (stream: StreamHandle, events: StreamEvents)? { core.nextReady() }

    /// Whether something may be there to be reported. `nextOutput` too brings it about (`.writable`, `.closed`).
    package var hasReady: Bool { core.state.pointee.streams.hasReady }

    /// The request's header fields, valid until the stream is ended; nil when it is over.
    package func request(_ stream: StreamHandle) -> UnsafePointer<RequestHead>? {
        guard let record = core.state.pointee.streams.find(stream) else { return nil }
        // SAFETY: a stored property of a record that never moves.
        return withUnsafePointer(to: &record.pointee.request) { $0 }
    }

    /// The value of `authorization`; empty: none. Valid until the stream is ended.
    package func authorization(_ stream: StreamHandle) -> UnsafeRawBufferPointer {
        guard let record = core.state.pointee.streams.find(stream) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return record.pointee.metadata.readable
    }

    /// The value of a field that the routes keep; nil: it was not sent. Of several the values stand behind each other, with
    /// commas between.
    ///
    /// - Complexity: O(length)
    package func kept(_ field: KeptField, _ stream: StreamHandle) -> String? {
        let record = core.state.pointee.streams.find(stream)
        return record?.pointee.echo?.kept[field].map { String(decoding: $0, as: UTF8.self) }
    }

    /// Body bytes that have come and were not consumed. Valid until the next call on this session.
    package func input(_ stream: StreamHandle) -> UnsafeRawBufferPointer { core.input(stream) }

    /// Drops body bytes at the front, and lets the peer send as many again.
    package func consume(_ stream: StreamHandle, byteCount: Int) { core.consume(stream, byteCount) }

    /// Whether the stream is still open towards the peer.
    package func isOpen(_ stream: StreamHandle) -> Bool {
        core.state.pointee.streams.find(stream)?.pointee.flags.contains(.open) ?? false
    }

    // MARK: Responses

    /// The queue into which the response body is written, before `respond`, or before `push`; nil
    /// when the stream is over.
    package func output(_ stream: StreamHandle) -> UnsafeMutablePointer<ByteQueue>? {
        core.output(stream)
    }

    /// Sends the response's head, followed by what is and will be in `output`.
    package func respond(_ stream: StreamHandle, headers: HeaderView) {
        guard let record = core.state.pointee.streams.find(stream), core.canStart(record) else {
            return
        }
        core.start(record, headers)
    }

    /// Makes bytes that were added to `output` after `respond` count.
    ///
    /// - Parameter notify: raise `.writable` once all of them have gone to the transport.
    package func push(_ stream: StreamHandle, notify: Bool = false) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        if notify { record.pointee.flags.insert(.wantsWritable) }
        core.bodyChanged(record)
    }

    /// Ends the stream: trailers follow the last byte of `output`. Releases it.
    ///
    /// - Parameter keep: work for the stream goes on: it keeps its place until `release`.
    package func finish(_ stream: StreamHandle, trailers: HeaderView, keep: Bool = false) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        record.pointee.trailers = trailers
        core.finishBody(record, keep: keep)
    }

    /// As above, with trailers made for this call.
    package func finish(
        _ stream: StreamHandle, trailers: borrowing HeaderFields, keep: Bool = false
    ) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        record.pointee.trailerFields.replace(with: trailers)
        core.finishBody(record, keep: keep)
    }

    /// The unary answer in one call: head, the body in `output`, trailers. Releases the stream.
    package func respond(_ stream: StreamHandle, headers: HeaderView, trailers: HeaderView) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        record.pointee.trailers = trailers
        if core.canStart(record) { core.start(record, headers) }
        core.finishBody(record)
    }

    /// Answers with a head alone (a gRPC Trailers-Only response, or plain HTTP). Releases the stream.
    ///
    /// - Parameters:
    ///   - fields: fields that follow those of `headers`.
    ///   - isStrangers: nobody knows whose request it is, whatever came before on the connection; so are all before
    ///     `trust`. It counts against `SessionConfiguration.ownResets`.
    ///   - keep: work for the stream goes on: it keeps its place until `release`.
    package func reject(
        _ stream: StreamHandle, headers: HeaderView, fields: borrowing HeaderFields,
        isStrangers: Bool = false, keep: Bool = false
    ) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        if core.canStart(record) {
            let isStrangers = isStrangers || !core.state.pointee.isTrusted
            let isCharged = record.pointee.flags.contains(.rejected)
            record.pointee.flags.insert(isStrangers ? [.started, .rejected] : .started)
            let handle = core.state.pointee.handle
            let id = record.pointee.id
            // 0, NGHTTP2_ERR_NOMEM, or cases that `canStart` rules out.
            let result = fields.withFields(after: headers) {
                nghttp2_submit_response(handle, id, $0, $1, nil)
            }
            if nghttp2_is_fatal(result) != 0 { core.fail(result) }
            core.noteEarlyEnd(record)
            // What is too large has been charged as its block was read.
            if isStrangers, !isCharged, !record.pointee.request.isTooLarge, !core.payForRefusal() {
                core.endAfterOutput()
            }
        }
        if !keep { core.release(record) }
    }

    /// The request is a stranger's, and will be served all the same: it counts against
    /// `SessionConfiguration.ownResets`, as if it were refused.
    package func chargeStranger(_ stream: StreamHandle) {
        guard let record = core.state.pointee.streams.find(stream),
            record.pointee.flags.insert(.rejected).inserted
        else { return }
        if !core.payForRefusal() { core.endAfterOutput() }
    }

    /// Ends the stream with RST_STREAM. Releases it.
    package func reset(_ stream: StreamHandle, code: UInt32) { core.reset(stream, code) }

    /// Lets go of a stream that was reported as closed.
    package func release(_ stream: StreamHandle) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        core.release(record)
    }

    // MARK: The connection

    /// What happened to the session as a whole since the last call.
    package func takeEvents() -> SessionEvents { core.takeEvents() }

    /// First step of a drain: says that no new streams are wanted soon (GOAWAY with the highest id)
    /// and sends a PING whose acknowledgement (`pingAcknowledged`) proves that it was read.
    package func announceShutdown() { core.announceShutdown() }

    /// Asks the peer for a sign of life (PING); it shows as `pingAcknowledged`.
    package func ping() { core.ping() }

    /// Last step of a drain: a GOAWAY with the last stream that is served. Streams that run go on;
    /// `isFinished` turns true after the last of them.
    package func refuseNewStreams() { core.refuseNewStreams() }

    /// Resets every stream whose request began before `limitNanoseconds` and is not complete yet.
    /// Streamed requests count only until their head is complete.
    ///
    /// - Complexity: O(streams that were ever open at once).
    package func resetIncompleteRequests(openedBefore limitNanoseconds: UInt64) {
        core.resetIncompleteRequests(openedBefore: limitNanoseconds)
    }

    /// Tears the connection down with a GOAWAY.
    package func terminate(code: UInt32) { core.terminate(code) }

    /// The transport is gone: `nextReady` now reports every stream that is still held as closed.
    package func abandon() { core.abandon() }
}

extension SessionCore {
    fileprivate func start(_ record: StreamPointer, _ headers: HeaderView) {
        record.pointee.flags.insert(.started)
        var provider = makeProvider(record)
        let (handle, id) = (state.pointee.handle, record.pointee.id)
        // 0, NGHTTP2_ERR_NOMEM, or cases that `canStart` rules out.
        let result: Int32
        if record.pointee.flags.contains(.echoes), let echo = record.pointee.echo {
            result = echo.head.withFields(after: headers) {
                nghttp2_submit_response(handle, id, $0, $1, &provider)
            }
        } else {
            result = nghttp2_submit_response(
                handle, id, headers.fields.assumingMemoryBound(to: nghttp2_nv.self), headers.count,
                &provider)
        }
        if nghttp2_is_fatal(result) != 0 { fail(result) }
    }

    fileprivate func resetIncompleteRequests(openedBefore limitNanoseconds: UInt64) {
        guard state.pointee.failure == nil else { return }
        for index in 0..<state.pointee.streams.count {
            let record = state.pointee.streams.record(at: index)
            let flags = record.pointee.flags
            guard flags.contains(.open), !flags.contains(.remoteEnded),
                !flags.contains(.released),
                // The reader of a streamed request decides how long that may take.
                !flags.contains(.streaming) || !flags.contains(.held),
                record.pointee.request.receivedNanoseconds < limitNanoseconds
            else { continue }
            submitReset(record.pointee.id, HTTP2ErrorCode.cancel)
        }
    }

    fileprivate func finishBody(_ record: StreamPointer, keep: Bool = false) {
        record.pointee.flags.insert(.finished)
        if record.pointee.flags.contains(.open) {
            bodyChanged(record)
            noteEarlyEnd(record)
        }
        if !keep { release(record) }
    }

    /// A response that ends before its request: the rest of the request is then asked to stop by
    /// RST_STREAM(NO_ERROR) (RFC 9113 §8.1).
    fileprivate func noteEarlyEnd(_ record: StreamPointer) {
        guard !record.pointee.flags.contains(.remoteEnded) else { return }
        record.pointee.flags.insert(.endsEarly)
        state.pointee.earlyEnds += 1
        expectStrayFrames()
    }
}
