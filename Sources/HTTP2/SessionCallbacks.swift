import CNGHTTP2

/// The C functions that nghttp2 calls. Each finds its session and stream, notes what happened and
/// returns; none calls nghttp2's send or receive.
enum SessionCallbacks {
    /// The frame header, with which every member of the union `nghttp2_frame` begins.
    @inline(__always)
    private static func header(
        _ frame: UnsafePointer<nghttp2_frame>
    ) -> UnsafePointer<nghttp2_frame_hd> {
        UnsafeRawPointer(frame).assumingMemoryBound(to: nghttp2_frame_hd.self)
    }

    @inline(__always)
    private static func category(
        _ frame: UnsafePointer<nghttp2_frame>
    ) -> nghttp2_headers_category {
        UnsafeRawPointer(frame).assumingMemoryBound(to: nghttp2_headers.self).pointee.cat
    }

    /// The record of a stream. The last one asked for is remembered: the frames of a stream come in
    /// a row. A remembered record is right as long as it bears the id, whoever it belongs to by now.
    @inline(__always)
    private static func stream(
        _ session: OpaquePointer?, _ id: Int32, _ core: SessionCore
    ) -> StreamPointer? {
        if let current = core.state.pointee.currentStream, current.pointee.id == id {
            return current
        }
        let record = nghttp2_session_get_stream_user_data(session, id)?
            .assumingMemoryBound(to: StreamRecord.self)
        core.state.pointee.currentStream = record
        return record
    }

    static func install(in callbacks: OpaquePointer?) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, beginHeaders)
        nghttp2_session_callbacks_set_on_header_callback(callbacks, header)
        nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, invalidHeader)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frameReceived)
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, frameRefused)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, dataChunk)
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frameSent)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, streamClosed)
    }

    private static let temporal = NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue

    private static let beginHeaders: nghttp2_on_begin_headers_callback = { session, frame, data in
        guard let frame, let data else { return 0 }
        let core = SessionCore(userData: data)
        let id = header(frame).pointee.stream_id
        core.state.pointee.takenFrames += 1
        core.state.pointee.headerFields = 0
        core.state.pointee.headerBytes = 0
        core.state.pointee.headerIsInvalid = false
        guard core.state.pointee.isServer, category(frame) == NGHTTP2_HCAT_REQUEST else {
            core.state.pointee.currentStream = stream(session, id, core)
            core.state.pointee.headerIsInitial = category(frame) == NGHTTP2_HCAT_RESPONSE
            return 0
        }
        core.state.pointee.headerIsInitial = true
        guard let record = core.state.pointee.streams.take() else {
            // Every place is taken by work that still runs for streams the peer has reset.
            core.state.pointee.currentStream = nil
            core.submitReset(id, HTTP2ErrorCode.refusedStream)
            return temporal
        }
        record.pointee.id = id
        record.pointee.flags = .open
        record.pointee.request.receivedNanoseconds = core.state.pointee.nowNanoseconds
        core.state.pointee.openStreams += 1
        core.state.pointee.currentStream = record
        // 0, or NGHTTP2_ERR_INVALID_ARGUMENT for a stream that does not exist: this one does.
        nghttp2_session_set_stream_user_data(session, id, record)
        return 0
    }

    private static let header: nghttp2_on_header_callback = {
        session, frame, name, nameLength, value, valueLength, _, data in
        guard let frame, let data else { return 0 }
        let core = SessionCore(userData: data)
        let id = header(frame).pointee.stream_id
        let isAdmitted = core.admitField(nameLength, valueLength)
        guard isAdmitted || core.bearsExcess(stream(session, id, core), id) else { return temporal }
        guard isAdmitted, let record = stream(session, id, core) else { return core.turnResult }
        let name = UnsafeRawBufferPointer(start: name, count: nameLength)
        let value = UnsafeRawBufferPointer(start: value, count: valueLength)
        if !core.state.pointee.isServer {
            record.pointee.response.take(
                name: name, value: value, metadata: &record.pointee.metadata)
        } else if core.state.pointee.headerIsInitial {
            record.pointee.request.take(
                name: name, value: value, routes: core.state.pointee.routes,
                metadata: &record.pointee.metadata)
            if let echoes = core.state.pointee.echoes {
                StreamEcho.take(name: name, value: value, echoes, for: record)
            }
        }
        return core.turnResult
    }

    /// A name or value with bytes that may not be there: nghttp2 would pass over the field, and a message that has one
    /// is malformed (RFC 9113 §8.2.1). It is refused once its block has been read and counted.
    private static let invalidHeader: nghttp2_on_invalid_header_callback = {
        session, frame, _, nameLength, _, valueLength, _, data in
        guard let frame, let data else { return 0 }
        let core = SessionCore(userData: data)
        let id = header(frame).pointee.stream_id
        core.state.pointee.headerIsInvalid = true
        guard
            core.admitField(nameLength, valueLength)
                || core.bearsExcess(stream(session, id, core), id)
        else { return temporal }
        return core.turnResult
    }

    private static let frameReceived: nghttp2_on_frame_recv_callback = { session, frame, data in
        guard let frame, let data else { return 0 }
        let core = SessionCore(userData: data)
        let head = header(frame)
        switch UInt32(head.pointee.type) {
        case NGHTTP2_HEADERS.rawValue:
            guard let record = stream(session, head.pointee.stream_id, core) else { return 0 }
            core.headersComplete(record, endsStream: head.pointee.flags & 0x1 != 0)
        case NGHTTP2_DATA.rawValue:
            // As `FrameMeter` counts.
            if head.pointee.length > 0, head.pointee.flags & 0x8 == 0 {
                core.state.pointee.takenFrames += 1
            }
            guard head.pointee.flags & 0x1 != 0,
                let record = stream(session, head.pointee.stream_id, core)
            else { return 0 }
            record.pointee.flags.insert(.remoteEnded)
            core.raise(.end, on: record)
        case NGHTTP2_SETTINGS.rawValue:
            if head.pointee.flags & 0x1 == 0 { core.state.pointee.events.insert(.settings) }
        case NGHTTP2_PING.rawValue:
            if head.pointee.flags & 0x1 != 0 { core.state.pointee.events.insert(.pingAcknowledged) }
        case NGHTTP2_GOAWAY.rawValue:
            core.state.pointee.events.insert(.goAway)
        case NGHTTP2_RST_STREAM.rawValue:
            core.state.pointee.memory.counts.addResetReceived(errorCode(ofReset: frame))
            core.resetReceived(stream(session, head.pointee.stream_id, core))
        default:
            break
        }
        return 0
    }

    private static let frameRefused: nghttp2_on_invalid_frame_recv_callback = {
        _, frame, reason, data in
        guard let frame, let data else { return 0 }
        // A request beyond the streams that there may be, which its peer may not know yet: no callback says that its fields
        // begin. It is reset, and charged as such.
        if UInt32(header(frame).pointee.type) == NGHTTP2_HEADERS.rawValue,
            reason == NGHTTP2_ERR_REFUSED_STREAM.rawValue
        {
            SessionCore(userData: data).state.pointee.takenFrames += 1
        }
        return 0
    }

    private static let dataChunk: nghttp2_on_data_chunk_recv_callback = {
        session, _, id, bytes, count, data in
        guard let data else { return 0 }
        let core = SessionCore(userData: data)
        // The connection's window is given back at once: what a stream may hold is bounded by its
        // own window and by the session's total. 0 or NGHTTP2_ERR_NOMEM.
        let result = nghttp2_session_consume_connection(session, count)
        if result != 0 { core.fail(result) }
        guard let record = stream(session, id, core) else { return 0 }
        core.takeBody(record, UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
    }

    private static func errorCode(ofReset frame: UnsafePointer<nghttp2_frame>) -> UInt32 {
        UnsafeRawPointer(frame).assumingMemoryBound(to: nghttp2_rst_stream.self).pointee.error_code
    }

    private static let frameSent: nghttp2_on_frame_send_callback = { session, frame, data in
        guard let frame, let data else { return 0 }
        let core = SessionCore(userData: data)
        let head = header(frame)
        let type = UInt32(head.pointee.type)
        if type == NGHTTP2_RST_STREAM.rawValue {
            let code = errorCode(ofReset: frame)
            core.state.pointee.memory.counts.addResetSent(code)
            if code == HTTP2ErrorCode.flowControlError {
                // Who miscounts one window miscounts them all; and of SETTINGS that make a window too large nghttp2 tells
                // one stream (RFC 9113 §6.9.2, §5.4).
                core.terminate(code)
            } else if code != HTTP2ErrorCode.noError, !core.payForRefusal() {
                // An answer that came early (RFC 9113 §8.1) leaves no work behind, and is not paid for.
                core.terminate(HTTP2ErrorCode.enhanceYourCalm, for: .refusals)
            }
            core.expectStrayFrames()
        } else if core.state.pointee.earlyEnds > 0, head.pointee.flags & 0x1 != 0,
            type == NGHTTP2_HEADERS.rawValue || type == NGHTTP2_DATA.rawValue,
            let record = stream(session, head.pointee.stream_id, core),
            record.pointee.flags.contains(.endsEarly)
        {
            core.submitReset(record.pointee.id, HTTP2ErrorCode.noError)
        } else if type == NGHTTP2_GOAWAY.rawValue {
            let code = UnsafeRawPointer(frame).assumingMemoryBound(to: nghttp2_goaway.self)
                .pointee.error_code
            if code != HTTP2ErrorCode.noError { core.state.pointee.memory.counts.addEnd(code) }
            if core.state.pointee.announcesEnd {
                core.state.pointee.announcesEnd = false
                core.ping()
            }
        }
        return 0
    }

    private static let streamClosed: nghttp2_on_stream_close_callback = {
        session, id, code, data in
        guard let data else { return 0 }
        let core = SessionCore(userData: data)
        guard let record = stream(session, id, core) else { return 0 }
        if code == HTTP2ErrorCode.noError { core.streamEndedWell(record) }
        core.state.pointee.currentStream = nil
        core.closed(record, code: code)
        return 0
    }

    static let read:
        @convention(c) (
            OpaquePointer?, Int32, UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<UInt32>?,
            UnsafeMutablePointer<nghttp2_data_source>?, UnsafeMutableRawPointer?
        ) -> Int = { _, _, target, capacity, flags, source, data in
            guard let target, let flags, let data, let record = source?.pointee.ptr else {
                return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
            }
            return SessionCore(userData: data).read(
                record.assumingMemoryBound(to: StreamRecord.self), into: target,
                capacity: capacity, flags: flags)
        }
}

extension SessionCore {
    /// Counts one header field, known or not, valid or not.
    ///
    /// - Returns: false when the block is too large.
    fileprivate func admitField(_ nameLength: Int, _ valueLength: Int) -> Bool {
        state.pointee.headerFields += 1
        state.pointee.headerBytes += nameLength + valueLength + 32
        state.pointee.turnHeaderBytes += nameLength + valueLength + 32
        return state.pointee.headerFields <= state.pointee.configuration.maximumHeaderFields
            && state.pointee.headerBytes <= state.pointee.configuration.maximumHeaderBytes
    }

    /// What a field's callback returns: 0, or a stop when the turn has had its share.
    fileprivate var turnResult: Int32 {
        guard state.pointee.turnHeaderBytes > state.pointee.turnLimit, state.pointee.isServer
        else { return 0 }
        state.pointee.isPaused = true
        return NGHTTP2_ERR_PAUSE.rawValue
    }

    /// A block is too large: the request is refused with a status once the block is complete; trailers, responses, and
    /// what no honest peer sends, end at once.
    ///
    /// - Returns: false: the rest of the block is of no interest.
    fileprivate func bearsExcess(_ record: StreamPointer?, _ id: Int32) -> Bool {
        let configuration = state.pointee.configuration
        guard state.pointee.isServer, state.pointee.headerIsInitial, let record else {
            submitReset(id, HTTP2ErrorCode.enhanceYourCalm)
            return false
        }
        guard state.pointee.headerFields <= configuration.fatalHeaderFields,
            state.pointee.headerBytes <= configuration.fatalHeaderBytes
        else {
            terminate(HTTP2ErrorCode.enhanceYourCalm, for: .headerBytes)
            return false
        }
        guard !record.pointee.request.isTooLarge else { return true }
        record.pointee.request.isTooLarge = true
        // Bounded as what we reset: it costs as much.
        guard payForRefusal() else {
            terminate(HTTP2ErrorCode.enhanceYourCalm, for: .refusals)
            return false
        }
        return true
    }

    fileprivate func headersComplete(_ record: StreamPointer, endsStream: Bool) {
        if endsStream { record.pointee.flags.insert(.remoteEnded) }
        guard !state.pointee.headerIsInvalid else {
            submitReset(record.pointee.id, HTTP2ErrorCode.protocolError)
            // Nobody has seen the request yet.
            if state.pointee.isServer, state.pointee.headerIsInitial { release(record) }
            return
        }
        guard state.pointee.isServer else {
            // An interim (1xx) head says nothing; the final one will follow.
            if !endsStream, record.pointee.response.httpStatus / 100 == 1 {
                record.pointee.response = ResponseHead()
                return
            }
            let isFirst = record.pointee.flags.insert(.streaming).inserted
            guard isFirst else { return raise(endsStream ? .end : [], on: record) }
            return raise(endsStream ? [.head, .end] : .head, on: record)
        }
        if state.pointee.headerIsInitial {
            record.pointee.accountedMetadata = record.pointee.metadata.count
            if let echo = record.pointee.echo {
                record.pointee.accountedMetadata += echo.byteCount
            }
            state.pointee.keptMetadata += record.pointee.accountedMetadata
            enterRoute(record)
            raise(endsStream ? [.head, .end] : .head, on: record)
        } else if endsStream {
            raise(.end, on: record)
        }
    }

    private func isRouted(_ record: StreamPointer) -> Bool {
        let head = record.pointee.request
        return head.route >= 0 && head.isPost && head.contentType == .grpc && !head.isMalformed
            && !head.isTooLarge
    }

    /// Applies the bounds of the request's route to its stream.
    private func enterRoute(_ record: StreamPointer) {
        guard let routes = state.pointee.routes, isRouted(record) else {
            record.pointee.flags.insert(.discarding)
            return
        }
        let route = routes.entries + Int(record.pointee.request.route)
        record.pointee.inputLimit = route.pointee.maximumBodyBytes
        if route.pointee.streamsRequests { record.pointee.flags.insert(.streaming) }
        guard route.pointee.maximumBodyBytes >= state.pointee.configuration.streamWindowBytes,
            !record.pointee.flags.contains(.remoteEnded)
        else { return }
        // A whole body must fit the window, since credit is returned only as it is consumed; and a byte more, or a
        // body that is too long would stand still at the limit and never be refused.
        // 0 or NGHTTP2_ERR_NOMEM.
        let result = nghttp2_session_set_local_window_size(
            state.pointee.handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), record.pointee.id,
            Int32(clamping: route.pointee.maximumBodyBytes + 1))
        if result != 0 { fail(result) }
    }

    fileprivate func takeBody(_ record: StreamPointer, _ bytes: UnsafeRawBufferPointer) {
        let flags = record.pointee.flags
        guard !flags.contains(.discarding) else { return }
        let total = state.pointee.bufferedInput + bytes.count
        if record.pointee.input.count + bytes.count > record.pointee.inputLimit
            && !flags.contains(.streaming)
            || total > state.pointee.inputLimit
        {
            record.pointee.flags.insert(.discarding)
            return raise(.overflow, on: record)
        }
        record.pointee.input.append(bytes)
        state.pointee.bufferedInput = total
        if flags.contains(.streaming) { raise(.data, on: record) }
    }

    fileprivate func resetReceived(_ record: StreamPointer?) {
        guard state.pointee.isServer else { return }
        // A call that was answered in part, or is being worked on, was worth its work.
        if state.pointee.isTrusted, let record, record.pointee.isUnderWay { return }
        if !state.pointee.peerResets.take(nowNanoseconds: state.pointee.nowNanoseconds) {
            terminate(HTTP2ErrorCode.enhanceYourCalm, for: .resets)
        }
    }

    fileprivate func streamEndedWell(_ record: StreamPointer) {
        state.pointee.finishedStreams += 1
        // What a stranger is refused earns nothing.
        guard !record.pointee.flags.contains(.rejected) else { return }
        state.pointee.controlFrames.earn(state.pointee.configuration.controlFramesPerStream)
        state.pointee.peerResets.earn(state.pointee.configuration.resetsPerStream)
        state.pointee.ownResets.earn(state.pointee.configuration.resetsPerStream)
    }
}
