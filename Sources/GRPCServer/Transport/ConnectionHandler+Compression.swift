internal import Gzip
internal import HTTP2

/// Compressed messages: requests that are unpacked for the time of their decision, answers that leave packed.
extension ConnectionHandler {
    /// The front of a stream's body.
    enum StreamMessage {
        case incomplete
        case complete(UnsafeRawBufferPointer, consumed: Int)
        /// It is complete, and others are to be unpacked before it.
        case waits
        case failed(GRPCFailure)
    }

    // MARK: Requests

    /// Reads the message at the front of a stream's body, unpacked.
    func parse(
        _ stream: StreamHandle, _ body: UnsafeRawBufferPointer, maximumBytes: Int
    ) -> StreamMessage {
        switch GRPCFraming.parse(body, maximumBytes: maximumBytes) {
        case .incomplete:
            return .incomplete
        case .complete(let message, let consumed):
            return .complete(message, consumed: consumed)
        case .compressed(let packed, let consumed):
            guard saysGzip(stream) else { return .failed(Self.compressed) }
            guard loop.unpacking.take() else { return .waits }
            switch unpack(packed, maximumBytes: maximumBytes) {
            case .success(let message): return .complete(message, consumed: consumed)
            case .failure(let refusal): return .failed(refusal.failure)
            }
        case .malformed:
            return .failed(Self.wrongFlag)
        case .tooLarge:
            return .failed(Self.tooLarge)
        }
    }

    /// The one message of a request, unpacked; nil: it waits for its turn, or the call has been failed.
    func unpackSingle(
        _ stream: StreamHandle, _ packed: UnsafeRawBufferPointer, method: Int, maximumBytes: Int
    ) -> UnsafeRawBufferPointer? {
        // Nobody's messages are worked on who may not call.
        if let failure = service.admit(loop.call) {
            fail(stream, failure)
            return nil
        }
        guard saysGzip(stream) else {
            fail(stream, Self.compressed)
            return nil
        }
        guard mayUnpack || loop.unpacking.take() else {
            awaitUnpacking(stream, method: method)
            return nil
        }
        switch unpack(packed, maximumBytes: maximumBytes) {
        case .success(let message):
            return message
        case .failure(let refusal):
            fail(stream, refusal.failure)
            return nil
        }
    }

    private func saysGzip(_ stream: StreamHandle) -> Bool {
        guard let head = session.request(stream), case .gzip = head.pointee.encoding else {
            return false
        }
        return true
    }

    /// Keeps a request of one message until it may be unpacked.
    private func awaitUnpacking(_ stream: StreamHandle, method: Int) {
        putOffCall = PutOffCall(
            stream: stream, progress: 0, isParked: false, undo: [],
            receivedNanoseconds: nowNanoseconds)
        calls.add(
            ActiveCall(
                stream: stream, method: method,
                deadlineNanoseconds: loop.call.deadlineNanoseconds,
                life: .putOff(loop.limits[method].kind)))
        awaitUnpacking()
    }

    private struct Refusal: Error {
        let failure: GRPCFailure
    }

    /// Unpacks a message. Valid until the next one of the loop.
    private func unpack(
        _ packed: UnsafeRawBufferPointer, maximumBytes: Int
    ) -> Result<UnsafeRawBufferPointer, Refusal> {
        let decoded = loop.gunzip.decode(packed, maximumBytes: maximumBytes)
        loop.unpacking.note(packed.count + loop.gunzip.unfoldedBytes)
        switch decoded {
        case .complete(let message): return .success(message)
        case .tooLarge: return .failure(Refusal(failure: Self.tooLarge))
        case .damaged: return .failure(Refusal(failure: Self.damaged))
        case .noMemory: return .failure(Refusal(failure: Self.noMemory))
        }
    }

    // MARK: Answers

    /// Whether answers to a request may leave compressed, its peer accepting it.
    func compresses(_ head: UnsafePointer<RequestHead>) -> Bool {
        switch loop.configuration.compression {
        case .off: return false
        case .accepted: return true
        case .asked:
            if case .gzip = head.pointee.encoding { return true }
            return false
        }
    }

    /// Compresses a closed answer where that pays. False: it is left as it is.
    @discardableResult
    func pack(_ response: ResponseBuffer) -> Bool {
        let bounds = loop.configuration
        guard response.count >= bounds.compressedBytes,
            response.count <= bounds.maximumCompressedBytes,
            let packed = loop.gzip.encode(response.message)
        else { return false }
        response.replace(with: packed)
        return true
    }

    // MARK: Refusals

    private static let compressed = GRPCFailure(
        .internal, "a compressed message without grpc-encoding: gzip")
    private static let damaged = GRPCFailure(
        .internal, "the message is not valid gzip")
    private static let noMemory = GRPCFailure(
        .resourceExhausted, "out of memory while decompressing the message")
}
