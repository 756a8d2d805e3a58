import CNGHTTP2

/// What happened to a session as a whole since it was last asked.
package struct SessionEvents: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package func contains(_ other: SessionEvents) -> Bool {
        rawValue & other.rawValue == other.rawValue
    }

    /// The peer's (first or changed) SETTINGS are in force.
    package static var settings: SessionEvents { SessionEvents(rawValue: 1) }
    /// The peer acknowledged our PING.
    package static var pingAcknowledged: SessionEvents { SessionEvents(rawValue: 2) }
    /// The peer sent GOAWAY.
    package static var goAway: SessionEvents { SessionEvents(rawValue: 4) }
}

/// HTTP/2 error codes (RFC 9113 §7) in use here.
package enum HTTP2ErrorCode {
    package static let noError: UInt32 = 0x0
    package static let protocolError: UInt32 = 0x1
    package static let flowControlError: UInt32 = 0x3
    package static let refusedStream: UInt32 = 0x7
    package static let streamClosed: UInt32 = 0x5
    package static let cancel: UInt32 = 0x8
    package static let enhanceYourCalm: UInt32 = 0xb
}

/// The memory of one session: nghttp2's handle and what our callbacks need. It lies outside any Swift
/// object so that a callback touches no reference count.
struct SessionState: ~Copyable {
    var handle: OpaquePointer?
    let isServer: Bool
    let configuration: SessionConfiguration
    let routes: RouteTable.View?
    /// nil: answers carry nothing back.
    let echoes: RouteTable.Echoes?
    /// Keeps nghttp2's allocator alive.
    let memory: SessionMemory
    /// Keeps `routes` and `echoes` alive.
    let routeTable: RouteTable?
    var streams: StreamTable
    var meter: FrameMeter
    var controlFrames: TokenBucket
    var ownResets: TokenBucket
    var peerResets: TokenBucket
    var strayFrames: TokenBucket
    /// HEADERS, and DATA frames with content, that were scanned, that nghttp2 has taken, and the difference that is paid
    /// for.
    var scannedFrames = 0
    var takenFrames = 0
    var paidStrayFrames = 0
    /// The first GOAWAY of a drain is about to be sent. A PING follows; submitted with it, it would go ahead of it, and
    /// its answer would say nothing.
    var announcesEnd = false
    /// No stream is taken any more: what comes for such is no offence.
    var refusesNewStreams = false
    /// The clock of the read that is being worked on.
    var nowNanoseconds: UInt64 = 0
    var events: SessionEvents = []
    /// Set once nghttp2 reported a fatal error (its negative code); the session is unusable then.
    var failure: Int32?
    /// Whether we have already decided to tear the connection down, and whether the peer has used up a budget.
    var isTerminating = false
    var hasOffended = false
    /// Nothing is taken in any more; what waits leaves, and then the connection is torn down.
    var endsAfterOutput = false

    /// The stream of the last frame; may be stale, see `SessionCallbacks.stream`.
    var currentStream: StreamPointer?
    /// The size of the header block so far.
    var headerFields = 0
    var headerBytes = 0
    var headerIsInitial = false
    /// It holds a name or value that no message may have.
    var headerIsInvalid = false
    /// Bytes of header fields that the present turn has taken in, and whether it stopped for them.
    var turnHeaderBytes = 0
    var turnLimit: Int
    var isPaused = false
    /// The peer has shown who it is.
    var isTrusted = false

    /// Bytes that `bufferedInput` may reach.
    var inputLimit: Int
    /// Bytes of header values that are kept for open streams.
    var keptMetadata = 0
    /// Bytes in all `input` queues, and in all `output` queues.
    var bufferedInput = 0
    var queuedOutput = 0
    var sentBody: UInt64 = 0
    /// Streams whose response ends before their request has.
    var earlyEnds = 0
    var openStreams = 0
    var finishedStreams: UInt64 = 0

    init(
        isServer: Bool, configuration: SessionConfiguration, memory: SessionMemory,
        routeTable: RouteTable?
    ) {
        self.memory = memory
        self.isServer = isServer
        self.configuration = configuration
        self.routeTable = routeTable
        routes = routeTable?.view
        echoes = routeTable.flatMap { $0.echoesView.count > 0 ? $0.echoesView : nil }
        streams = StreamTable(capacity: configuration.maximumConcurrentStreams)
        meter = FrameMeter(prefaceLength: isServer ? Int(NGHTTP2_CLIENT_MAGIC_LEN) : 0)
        controlFrames = TokenBucket(configuration.controlFrames)
        ownResets = TokenBucket(configuration.ownResets)
        peerResets = TokenBucket(configuration.peerResets)
        strayFrames = TokenBucket(configuration.strayFrames)
        turnLimit = configuration.turnHeaderBytes / 4
        inputLimit = configuration.maximumBufferedInputBytes
    }
}

/// The operations that server and client sessions share, on a pointer to the state.
///
/// A method here never holds access to the state across a call into nghttp2, since the callbacks
/// access it too: every `state.pointee.x` is an instant of its own.
struct SessionCore {
    let state: UnsafeMutablePointer<SessionState>

    /// - Throws: nothing; a session that could not be made is one that has failed.
    init(
        isServer: Bool, configuration: SessionConfiguration, memory: SessionMemory,
        routes: RouteTable?
    ) {
        state = .allocate(capacity: 1)
        state.initialize(
            to: SessionState(
                isServer: isServer, configuration: configuration, memory: memory, routeTable: routes
            ))
        open()
    }

    init(userData: UnsafeMutableRawPointer) {
        state = userData.assumingMemoryBound(to: SessionState.self)
    }

    /// Frees everything. No method may be called afterwards.
    func destroy() {
        // nghttp2_session_del calls no callback.
        nghttp2_session_del(state.pointee.handle)
        state.deinitialize(count: 1)
        state.deallocate()
    }

    // MARK: Opening

    private func open() {
        let configuration = state.pointee.configuration
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        // Both return 0 or NGHTTP2_ERR_NOMEM.
        guard nghttp2_session_callbacks_new(&callbacks) == 0, nghttp2_option_new(&options) == 0
        else {
            nghttp2_session_callbacks_del(callbacks)
            return fail(NGHTTP2_ERR_NOMEM.rawValue)
        }
        defer {
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(options)
        }
        SessionCallbacks.install(in: callbacks)
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        nghttp2_option_set_max_settings(options, configuration.maximumSettings)
        nghttp2_option_set_max_outbound_ack(
            options, configuration.maximumOutboundAcknowledgements)
        nghttp2_option_set_max_continuations(options, configuration.maximumContinuations)
        nghttp2_option_set_max_reserved_remote_streams(options, 0)
        // Resets are counted here, where finished work counts for them: `resetReceived`.
        nghttp2_option_set_stream_reset_rate_limit(options, UInt64(Int32.max), UInt64(Int32.max))
        var handle: OpaquePointer?
        // 0 or NGHTTP2_ERR_NOMEM.
        let result =
            state.pointee.isServer
            ? nghttp2_session_server_new3(
                &handle, callbacks, state, options, state.pointee.memory.nghttp2)
            : nghttp2_session_client_new3(
                &handle, callbacks, state, options, state.pointee.memory.nghttp2)
        guard result == 0 else { return fail(result) }
        state.pointee.handle = handle
        submitSettings(configuration)
    }

    private func submitSettings(_ configuration: SessionConfiguration) {
        func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
            nghttp2_settings_entry(
                settings_id: Int32(id.rawValue), value: UInt32(truncatingIfNeeded: value))
        }
        var entries = [
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, configuration.streamWindowBytes),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, configuration.maximumHeaderBytes),
        ]
        if state.pointee.isServer {
            entries += [
                entry(
                    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, configuration.maximumConcurrentStreams),
                // RFC 9218 queues instead of the dependency tree: cheaper, and no tree to attack.
                entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
            ]
        } else {
            entries.append(entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
        }
        // 0, NGHTTP2_ERR_INVALID_ARGUMENT (a number out of range) or NGHTTP2_ERR_NOMEM, both.
        let settings = nghttp2_submit_settings(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), entries, entries.count)
        let window = nghttp2_session_set_local_window_size(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0,
            Int32(clamping: configuration.connectionWindowBytes))
        if settings != 0 || window != 0 { fail(settings != 0 ? settings : window) }
    }

    // MARK: Bytes in, bytes out

    /// Feeds what the transport has read.
    ///
    /// - Returns: the bytes taken; the rest is to be given to `resume` while `isPaused`.
    @discardableResult
    func receive(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) -> Int {
        guard isListening else { return bytes.count }
        state.pointee.nowNanoseconds = nowNanoseconds
        let count = state.pointee.meter.scan(bytes)
        if count.carrying > 0 {
            state.pointee.controlFrames.earn(
                count.carrying * state.pointee.configuration.controlFramesPerDataFrame)
        }
        if count.charged > 0, !pay(count.charged) {
            terminate(
                HTTP2ErrorCode.enhanceYourCalm, for: .controlFrames,
                reason: count.endsWithPing ? "too_many_pings" : nil)
            return bytes.count
        }
        if count.isOffence, state.pointee.isServer {
            terminate(HTTP2ErrorCode.protocolError)
            return bytes.count
        }
        state.pointee.scannedFrames += count.carrying + count.headers
        return state.pointee.isPaused ? 0 : feed(bytes)
    }

    /// Goes on where `receive` or `resume` has stopped, with the bytes that it has left; there may be none.
    ///
    /// - Returns: as `receive`.
    func resume(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) -> Int {
        guard isListening else {
            state.pointee.isPaused = false
            return bytes.count
        }
        state.pointee.nowNanoseconds = nowNanoseconds
        return feed(bytes)
    }

    private var isListening: Bool {
        state.pointee.failure == nil && !state.pointee.endsAfterOutput
    }

    private func feed(_ bytes: UnsafeRawBufferPointer) -> Int {
        state.pointee.turnHeaderBytes = 0
        state.pointee.isPaused = false
        // The number of bytes, or NGHTTP2_ERR_NOMEM, _CALLBACK_FAILURE, _BAD_CLIENT_MAGIC, _FLOODED:
        // fatal, all of them.
        let result = nghttp2_session_mem_recv(
            state.pointee.handle, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            bytes.count)
        guard result >= 0 else {
            fail(Int32(result))
            state.pointee.isPaused = false
            return bytes.count
        }
        guard !state.pointee.isPaused else { return result }
        // At most one frame is scanned and not yet complete.
        let stray = state.pointee.scannedFrames - state.pointee.takenFrames - 1
        if stray > state.pointee.paidStrayFrames { payForStrayFrames(stray) }
        return bytes.count
    }

    /// Charges frames that nghttp2 has passed over, since their streams are closed. Of HEADERS the fields were read all the
    /// same, and no other bound counts them.
    private func payForStrayFrames(_ stray: Int) {
        let fresh = stray - state.pointee.paidStrayFrames
        state.pointee.paidStrayFrames = stray
        guard state.pointee.isServer, !state.pointee.refusesNewStreams else { return }
        for _ in 0..<fresh
        where !state.pointee.strayFrames.take(nowNanoseconds: state.pointee.nowNanoseconds) {
            return terminate(HTTP2ErrorCode.streamClosed, for: .strayFrames)
        }
    }

    func limitCredit() {
        let configuration = state.pointee.configuration
        state.pointee.controlFrames.limit(to: configuration.controlFrames.burst / 16)
        state.pointee.ownResets.limit(to: configuration.ownResets.burst / 16)
        state.pointee.peerResets.limit(to: configuration.peerResets.burst / 16)
    }

    /// A stream is reset or refused for the peer's fault. False: it is one too many.
    func payForRefusal() -> Bool {
        state.pointee.ownResets.take(nowNanoseconds: state.pointee.nowNanoseconds)
    }

    /// What was refused is told, so that an honest peer learns why; a teardown at once would drop it.
    func endAfterOutput() {
        state.pointee.hasOffended = true
        state.pointee.endsAfterOutput = true
    }

    /// A stream ends before its request has: the rest of that is under way.
    func expectStrayFrames() {
        state.pointee.strayFrames.grant(
            state.pointee.configuration.strayFramesPerEarlyEnd,
            atMost: 4 * state.pointee.configuration.strayFramesPerEarlyEnd)
    }

    /// The next bytes for the transport; empty: none for now. Valid until the next call.
    func nextOutput() -> UnsafeRawBufferPointer {
        var start: UnsafePointer<UInt8>?
        guard state.pointee.failure == nil else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        // The number of bytes, or NGHTTP2_ERR_NOMEM.
        var count = nghttp2_session_mem_send(state.pointee.handle, &start)
        if count == 0, state.pointee.endsAfterOutput {
            terminate(HTTP2ErrorCode.enhanceYourCalm, for: .refusals)
            count = nghttp2_session_mem_send(state.pointee.handle, &start)
        }
        guard count >= 0 else {
            fail(Int32(count))
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    /// nghttp2 hands out chunks of 16 394 bytes at most.
    static let largestPiece = 17 * 1024

    /// Copies pieces of output one behind the other while any surely fits.
    func writeOutput(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var count = 0
        while buffer.count - count >= Self.largestPiece {
            let piece = nextOutput()
            guard let source = piece.baseAddress, piece.count > 0 else { break }
            precondition(piece.count <= Self.largestPiece, "nghttp2 hands out frames")
            (base + count).copyMemory(from: source, byteCount: piece.count)
            count += piece.count
        }
        return count
    }

    private func pay(_ frames: Int) -> Bool {
        for _ in 0..<frames
        where !state.pointee.controlFrames.take(nowNanoseconds: state.pointee.nowNanoseconds) {
            return false
        }
        return true
    }

    /// Ends the connection with a GOAWAY; whatever comes in is ignored from here on. May be called
    /// inside a callback.
    ///
    /// - Parameter defence: whose budget the peer has used up; nil: none's.
    func terminate(
        _ code: UInt32, for defence: SessionDefence? = nil, reason: StaticString? = nil
    ) {
        guard state.pointee.failure == nil, !state.pointee.isTerminating else { return }
        if let defence { state.pointee.memory.counts.add(defence) }
        state.pointee.isTerminating = true
        state.pointee.hasOffended = code != HTTP2ErrorCode.noError
        let result: Int32
        if let reason {
            // A GOAWAY with debug data, then the teardown, which would send none of its own.
            _ = nghttp2_submit_goaway(
                state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue),
                nghttp2_session_get_last_proc_stream_id(state.pointee.handle), code,
                reason.utf8Start, reason.utf8CodeUnitCount)
        }
        // 0 or NGHTTP2_ERR_NOMEM.
        result = nghttp2_session_terminate_session(state.pointee.handle, code)
        if result != 0 { fail(result) }
    }

    func takeEvents() -> SessionEvents {
        let events = state.pointee.events
        state.pointee.events = []
        return events
    }

    func ping() {
        // 0 or NGHTTP2_ERR_NOMEM.
        let result = nghttp2_submit_ping(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
        if result != 0 { fail(result) }
    }

    func announceShutdown() {
        guard state.pointee.failure == nil else { return }
        state.pointee.announcesEnd = true
        // 0 or NGHTTP2_ERR_NOMEM.
        let result = nghttp2_submit_shutdown_notice(state.pointee.handle)
        if result != 0 { fail(result) }
    }

    func refuseNewStreams() {
        guard state.pointee.failure == nil else { return }
        state.pointee.refusesNewStreams = true
        // 0, NGHTTP2_ERR_NOMEM, NGHTTP2_ERR_INVALID_ARGUMENT (an id that grew: it cannot).
        let result = nghttp2_submit_goaway(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue),
            nghttp2_session_get_last_proc_stream_id(state.pointee.handle), HTTP2ErrorCode.noError,
            nil, 0)
        if result != 0 { fail(result) }
    }

    func fail(_ code: Int32) {
        if state.pointee.failure == nil { state.pointee.failure = code }
    }

    /// Whether nothing more can come of this connection: everything is sent and nobody listens.
    var isFinished: Bool {
        guard state.pointee.failure == nil else { return true }
        return nghttp2_session_want_read(state.pointee.handle) == 0
            && nghttp2_session_want_write(state.pointee.handle) == 0
    }

    // MARK: Streams

    /// The next stream on which something happened.
    func nextReady() -> (stream: StreamHandle, events: StreamEvents)? {
        while let record = state.pointee.streams.popReady() {
            if !record.pointee.flags.contains(.open), !record.pointee.flags.contains(.held) {
                recycle(record)  // over before anyone saw it
                continue
            }
            let events = record.pointee.events
            record.pointee.events = []
            if events == [] || record.pointee.flags.contains(.released) { continue }
            record.pointee.flags.insert(.held)
            return (handle(of: record), events)
        }
        return nil
    }

    func handle(of record: StreamPointer) -> StreamHandle {
        StreamHandle(index: record.pointee.index, generation: record.pointee.generation)
    }

    func raise(_ events: StreamEvents, on record: StreamPointer) {
        guard !record.pointee.flags.contains(.released) else { return }
        record.pointee.events.formUnion(events)
        state.pointee.streams.appendReady(record)
    }

    /// Body bytes that have come and were not consumed.
    func input(_ stream: StreamHandle) -> UnsafeRawBufferPointer {
        guard let record = state.pointee.streams.find(stream) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return record.pointee.input.readable
    }

    /// Drops body bytes at the front and lets the peer send as many again.
    func consume(_ stream: StreamHandle, _ byteCount: Int) {
        guard byteCount > 0, let record = state.pointee.streams.find(stream) else { return }
        record.pointee.input.consume(
            byteCount, retaining: state.pointee.configuration.retainedBufferBytes)
        state.pointee.bufferedInput -= byteCount
        let flags = record.pointee.flags
        guard flags.contains(.open), !flags.contains(.remoteEnded) else { return }
        // 0, NGHTTP2_ERR_NOMEM, or the invalid cases that `no_auto_window_update` rules out.
        let result = nghttp2_session_consume_stream(
            state.pointee.handle, record.pointee.id, byteCount)
        if result != 0 { fail(result) }
    }

    /// The caller is through with a stream. What nghttp2 still has to send of it goes on.
    func release(_ record: StreamPointer) {
        record.pointee.flags.remove(.held)
        record.pointee.flags.insert([.released, .discarding])
        dropInput(record)
        if !record.pointee.flags.contains(.open), !record.pointee.flags.contains(.queued) {
            recycle(record)
        }
    }

    /// Resets a stream and lets go of it.
    func reset(_ stream: StreamHandle, _ code: UInt32) {
        guard let record = state.pointee.streams.find(stream) else { return }
        if record.pointee.flags.contains(.open) { submitReset(record.pointee.id, code) }
        release(record)
    }

    func submitReset(_ id: Int32, _ code: UInt32) {
        expectStrayFrames()
        // 0, NGHTTP2_ERR_NOMEM, NGHTTP2_ERR_INVALID_ARGUMENT (stream 0).
        let result = nghttp2_submit_rst_stream(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code)
        if result != 0 { fail(result) }
    }

    /// Reports every stream that is still held as closed: the transport is gone.
    func abandon() {
        fail(NGHTTP2_ERR_EOF.rawValue)
        for index in 0..<state.pointee.streams.count {
            let record = state.pointee.streams.record(at: index)
            guard record.pointee.flags.contains(.open) || record.pointee.flags.contains(.held)
            else {
                continue
            }
            closed(record, code: HTTP2ErrorCode.cancel)
        }
    }

    /// nghttp2 has closed a stream, or the transport is gone.
    func closed(_ record: StreamPointer, code: UInt32) {
        if record.pointee.flags.contains(.open) {
            record.pointee.flags.remove(.open)
            state.pointee.openStreams -= 1
        }
        record.pointee.errorCode = code
        if record.pointee.flags.contains(.held) {
            raise(.closed, on: record)
        } else if !record.pointee.flags.contains(.queued) {
            recycle(record)
        }
    }

    private func dropInput(_ record: StreamPointer) {
        state.pointee.bufferedInput -= record.pointee.input.count
        record.pointee.input.reset(retaining: state.pointee.configuration.retainedBufferBytes)
    }

    private func recycle(_ record: StreamPointer) {
        dropInput(record)
        state.pointee.keptMetadata -= record.pointee.accountedMetadata
        state.pointee.queuedOutput -= record.pointee.accountedOutput
        if record.pointee.flags.contains(.endsEarly) { state.pointee.earlyEnds -= 1 }
        state.pointee.streams.give(
            record, retainedBytes: state.pointee.configuration.retainedBufferBytes)
    }
}
