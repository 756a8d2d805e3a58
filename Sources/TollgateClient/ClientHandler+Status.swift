internal import HTTP2
internal import Wire

extension ClientHandler {
    /// A gRPC service has answered on a stream: with a status, or with (part of) a message. The end
    /// of a connection, a refused stream and an HTML page are not answers.
    func isAnswered(_ stream: StreamHandle) -> Bool {
        guard let head = session.response(stream) else { return false }
        return head.grpcStatus >= 0
            || head.contentType == .grpc && session.input(stream).isEmpty == false
    }

    /// Why a stream that has ended failed; nil: it ended with OK.
    func error(of stream: StreamHandle, _ events: StreamEvents) -> TollgateError? {
        let head = session.response(stream)
        if let head, head.grpcStatus > 0 { return statusError(stream, head.grpcStatus) }
        if events.contains(.overflow) { return .answerTooLarge }
        if let head, head.grpcStatus == 0 { return nil }
        let reset = session.errorCode(stream)
        if reset == HTTP2ErrorCode.refusedStream {
            return TollgateError(
                .unavailable, failure ?? "The service takes no new calls on this connection",
                wasNotProcessed: true)
        }
        if let head, events.contains(.end), head.httpStatus != 0 {
            let status = head.httpStatus
            return TollgateError(
                Self.code(ofHTTPStatus: status),
                "The peer answered with HTTP status \(status) instead of gRPC"
            )
        }
        if reset == HTTP2ErrorCode.enhanceYourCalm {
            return TollgateError(
                .unavailable, "The service closed the connection: too many requests")
        }
        return TollgateError(
            .unavailable,
            end == .silent
                ? "The service stopped responding"
                : failure ?? "The connection was lost before an answer arrived")
    }

    private func statusError(_ stream: StreamHandle, _ status: Int32) -> TollgateError {
        let details = FieldCoding.base64Decoded(session.details(stream)).flatMap { bytes in
            bytes.isEmpty ? nil : bytes.withUnsafeBytes { try? StatusDetails(decoding: $0) }
        }
        let message = FieldCoding.percentDecoded(session.message(stream))
        return TollgateError(TollgateError.Code(status), message, details: details)
    }

    /// The mapping of the gRPC specification, for peers that do not speak gRPC.
    private static func code(ofHTTPStatus status: Int32) -> TollgateError.Code {
        switch status {
        case 400: .internal
        case 401: .unauthenticated
        case 403: .permissionDenied
        case 404: .unimplemented
        case 429, 502, 503, 504: .unavailable
        default: .unknown
        }
    }

    /// The first whole message at the front of a stream's input; nil: none yet.
    func frame(_ stream: StreamHandle) throws(TollgateError) -> MessageCodec.Frame? {
        try MessageCodec.frame(in: session.input(stream))
    }

    /// The message of a frame of a stream, decompressed; valid until the next frame.
    func message(
        _ frame: MessageCodec.Frame, _ stream: StreamHandle
    ) throws(TollgateError) -> UnsafeRawBufferPointer {
        try codec.message(frame, session.response(stream)?.encoding ?? .absent)
    }
}
