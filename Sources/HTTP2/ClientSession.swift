import CNGHTTP2

/// The client's side of one HTTP/2 connection, without I/O; the mirror image of `ServerSession`.
///
/// A call begins with `begin`, which takes a place in the table, and ends with `release`, after
/// `.end` or `.closed` was reported or at any time before (the stream is cancelled then).
///
/// Thread safety: one thread at a time.
package struct ClientSession: ~Copyable {
    private let core: SessionCore

    /// - Parameter memory: the pool of the thread on which the session lives.
    package init(configuration: SessionConfiguration, memory: SessionMemory) {
        core = SessionCore(
            isServer: false, configuration: configuration, memory: memory, routes: nil)
    }

    deinit {
        core.destroy()
    }

    // MARK: Bytes

    /// Feeds bytes that the transport has read.
    ///
    /// - Parameter nowNanoseconds: a monotonic clock, for the rate limits.
    package func receive(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) {
        core.receive(bytes, nowNanoseconds: nowNanoseconds)
    }

    /// The next bytes for the transport; empty: none for now. They must be copied before the next
    /// call on this session.
    package func nextOutput() -> UnsafeRawBufferPointer { core.nextOutput() }

    /// Whether the connection should be closed once all output is sent.
    package var isFinished: Bool { core.isFinished }

    /// Body bytes that wait for the peer's windows or for `nextOutput`.
    package var queuedOutputBytes: Int { core.state.pointee.queuedOutput }

    // MARK: Requests

    /// Whether the peer takes new requests.
    package var acceptsRequests: Bool {
        core.state.pointee.failure == nil
            && nghttp2_session_check_request_allowed(core.state.pointee.handle) != 0
    }

    /// Streams that the peer allows at once.
    package var peerMaximumConcurrentStreams: Int {
        Int(
            nghttp2_session_get_remote_settings(
                core.state.pointee.handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Takes a place for a new call; nil when all are taken or the peer takes no more requests.
    package func begin() -> StreamHandle? {
        guard acceptsRequests, let record = core.state.pointee.streams.take() else { return nil }
        record.pointee.flags = .held
        return core.handle(of: record)
    }

    /// The queue into which the request body is written; nil when the call is over.
    package func output(_ stream: StreamHandle) -> UnsafeMutablePointer<ByteQueue>? {
        core.output(stream)
    }

    /// Sends the request's head, followed by what is and will be in `output`.
    ///
    /// - Parameters:
    ///   - headers: pseudo fields and what is the same for every call.
    ///   - fields: what is not.
    ///   - finished: `output` holds the whole body.
    /// - Returns: false when the request cannot be sent; the call must be released all the same.
    package func submit(
        _ stream: StreamHandle, headers: HeaderView, fields: borrowing HeaderFields, finished: Bool
    ) -> Bool {
        guard let record = core.state.pointee.streams.find(stream),
            !record.pointee.flags.contains(.started), core.state.pointee.failure == nil
        else { return false }
        var provider = core.makeProvider(record)
        let handle = core.state.pointee.handle
        // A stream id, or NGHTTP2_ERR_NOMEM, _STREAM_ID_NOT_AVAILABLE, _INVALID_ARGUMENT, _PROTO.
        let id = fields.withFields(after: headers) {
            nghttp2_submit_request(handle, nil, $0, $1, &provider, record)
        }
        guard id > 0 else {
            if nghttp2_is_fatal(id) != 0 { core.fail(id) }
            return false
        }
        record.pointee.id = id
        record.pointee.flags.insert([.open, .started])
        if finished { record.pointee.flags.insert(.finished) }
        core.state.pointee.openStreams += 1
        core.bodyChanged(record)
        return true
    }

    /// Makes bytes that were added to `output` after `submit` count.
    ///
    /// - Parameters:
    ///   - finished: they were the last.
    ///   - notify: raise `.writable` once all of them have gone to the transport.
    package func push(_ stream: StreamHandle, finished: Bool, notify: Bool = false) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        if finished { record.pointee.flags.insert(.finished) }
        if notify { record.pointee.flags.insert(.wantsWritable) }
        core.bodyChanged(record)
    }

    // MARK: Responses

    /// The next call on which something happened since it was last reported.
    package func nextReady() -> (stream: StreamHandle, events: StreamEvents)? { core.nextReady() }

    /// What the response's fields say so far; nil when the call is over.
    package func response(_ stream: StreamHandle) -> ResponseHead? {
        core.state.pointee.streams.find(stream)?.pointee.response
    }

    /// `grpc-message`, still percent-encoded. Valid until the call is released.
    package func message(_ stream: StreamHandle) -> UnsafeRawBufferPointer {
        core.metadata(stream) { $0.message }
    }

    /// `grpc-status-details-bin`, still in base64. Valid until the call is released.
    package func details(_ stream: StreamHandle) -> UnsafeRawBufferPointer {
        core.metadata(stream) { $0.details }
    }

    /// The HTTP/2 error code with which a `.closed` stream ended; 0: none.
    package func errorCode(_ stream: StreamHandle) -> UInt32 {
        core.state.pointee.streams.find(stream)?.pointee.errorCode ?? 0
    }

    /// Body bytes that have come and were not consumed. Valid until the next call on this session.
    package func input(_ stream: StreamHandle) -> UnsafeRawBufferPointer { core.input(stream) }

    /// Drops body bytes at the front, and lets the peer send as many again.
    package func consume(_ stream: StreamHandle, byteCount: Int) { core.consume(stream, byteCount) }

    /// Lets go of a call; one that is still under way is cancelled (RST_STREAM).
    package func release(_ stream: StreamHandle) {
        guard let record = core.state.pointee.streams.find(stream) else { return }
        let flags = record.pointee.flags
        let isComplete = flags.contains(.remoteEnded) && flags.contains(.finished)
        if flags.contains(.open), !isComplete {
            core.submitReset(record.pointee.id, HTTP2ErrorCode.cancel)
        }
        core.release(record)
    }

    // MARK: The connection

    /// What happened to the session as a whole since the last call.
    package func takeEvents() -> SessionEvents { core.takeEvents() }

    /// Sends a PING; its acknowledgement shows as `pingAcknowledged`.
    package func ping() { core.ping() }

    /// Sends GOAWAY: no more calls will come; those that run go on.
    package func refuseNewStreams() { core.refuseNewStreams() }

    /// The transport is gone: `nextReady` now reports every call that is still held as closed.
    package func abandon() { core.abandon() }
}

extension SessionCore {
    fileprivate func metadata(
        _ stream: StreamHandle, _ range: (ResponseHead) -> Range<Int32>
    ) -> UnsafeRawBufferPointer {
        guard let record = state.pointee.streams.find(stream) else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        let bytes = range(record.pointee.response)
        return UnsafeRawBufferPointer(
            rebasing: record.pointee.metadata.readable[
                Int(bytes.lowerBound)..<Int(bytes.upperBound)])
    }
}
