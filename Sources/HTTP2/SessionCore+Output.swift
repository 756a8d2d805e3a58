import CNGHTTP2

/// Sending: a head, a body that may come in parts, and trailers.
extension SessionCore {
    /// The queue into which the caller writes body bytes; `bodyChanged` makes them count.
    func output(_ stream: StreamHandle) -> UnsafeMutablePointer<ByteQueue>? {
        state.pointee.streams.find(stream)?.pointee.output
    }

    /// Takes note of body bytes written, and wakes the stream's data provider if it had run dry.
    func bodyChanged(_ record: StreamPointer) {
        let added = record.pointee.output.pointee.count - record.pointee.accountedOutput
        record.pointee.accountedOutput += added
        state.pointee.queuedOutput += added
        guard record.pointee.flags.contains(.deferred), record.pointee.flags.contains(.open) else {
            return
        }
        record.pointee.flags.remove(.deferred)
        // 0, NGHTTP2_ERR_INVALID_ARGUMENT (nothing deferred: the stream is closing), or
        // NGHTTP2_ERR_NOMEM.
        let result = nghttp2_session_resume_data(state.pointee.handle, record.pointee.id)
        if nghttp2_is_fatal(result) != 0 { fail(result) }
    }

    /// Whether a head can still be sent.
    func canStart(_ record: StreamPointer) -> Bool {
        record.pointee.flags.contains(.open) && !record.pointee.flags.contains(.started)
    }

    func makeProvider(_ record: StreamPointer) -> nghttp2_data_provider {
        nghttp2_data_provider(
            source: nghttp2_data_source(ptr: UnsafeMutableRawPointer(record)),
            read_callback: SessionCallbacks.read)
    }

    /// Copies queued body bytes into a DATA frame: nghttp2 asks when the windows have room.
    func read(
        _ record: StreamPointer, into target: UnsafeMutablePointer<UInt8>, capacity: Int,
        flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let count = min(capacity, record.pointee.output.pointee.count)
        if count > 0, let source = record.pointee.output.pointee.readable.baseAddress {
            UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count)
            record.pointee.output.pointee.consume(
                count, retaining: state.pointee.configuration.retainedBufferBytes)
            record.pointee.accountedOutput -= count
            state.pointee.queuedOutput -= count
            state.pointee.sentBody += UInt64(count)
        }
        guard record.pointee.output.pointee.isEmpty else { return count }
        if record.pointee.flags.contains(.finished) {
            flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if submitTrailers(record) { flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
            return count
        }
        if record.pointee.flags.contains(.wantsWritable) {
            record.pointee.flags.remove(.wantsWritable)
            raise(.writable, on: record)
        }
        if count == 0 {
            record.pointee.flags.insert(.deferred)
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        return count
    }

    /// - Returns: false when the stream ends without trailers.
    private func submitTrailers(_ record: StreamPointer) -> Bool {
        let handle = state.pointee.handle
        let id = record.pointee.id
        let result: Int32
        // 0, NGHTTP2_ERR_NOMEM, NGHTTP2_ERR_INVALID_ARGUMENT (stream 0).
        if record.pointee.flags.contains(.echoes), let view = record.pointee.trailers,
            let echo = record.pointee.echo
        {
            result = echo.trailers.withFields(after: view) {
                nghttp2_submit_trailer(handle, id, $0, $1)
            }
        } else if let view = record.pointee.trailers {
            result = nghttp2_submit_trailer(
                handle, id, view.fields.assumingMemoryBound(to: nghttp2_nv.self), view.count)
        } else if record.pointee.trailerFields.count > 0 {
            result = record.pointee.trailerFields.withFields(after: nil) {
                nghttp2_submit_trailer(handle, id, $0, $1)
            }
        } else {
            return false
        }
        if result != 0 { fail(result) }
        return result == 0
    }
}
