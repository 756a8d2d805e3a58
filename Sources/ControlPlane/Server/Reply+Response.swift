import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

extension Reply {
    /// What is answered to a failure.
    init(_ error: APIError) {
        self.init(error.json)
        status = error.status
        for field in error.headers { headers.append(field) }
    }

    /// A page of text.
    init(text: String, contentType: String) {
        body = ByteBuffer(string: text)
        headers[.contentType] = contentType
    }

    /// As it is sent.
    ///
    /// - Parameters:
    ///   - id: the request's.
    ///   - done: called when the answer is written, or given up.
    func response(
        to request: Request, _ id: String, done: @escaping @Sendable () -> Void = {}
    ) -> Response {
        var headers = headers
        headers[header: HeaderName.requestID] = id
        headers[.cacheControl] = "no-store"
        headers[.xContentTypeOptions] = "nosniff"
        headers[.contentLength] = String(body.readableBytes)
        let bytes = request.method == .head ? ByteBuffer() : body
        let release = OnceDone(done)
        let content = ResponseBody(contentLength: body.readableBytes) { writer in
            defer { release.call() }
            if bytes.readableBytes > 0 { try await writer.write(bytes) }
            try await writer.finish(nil)
        }
        return Response(
            status: HTTPResponse.Status(code: status), headers: headers, body: content)
    }
}

extension Response {
    /// The same, its body written in parts: no more is written before the last part was taken.
    func inParts() -> Response {
        var response = self
        response.body = ResponseBody(contentLength: body.contentLength) { [body] writer in
            try await body.write(PartWriter(writer))
        }
        return response
    }
}

/// A body's way to its peer, part by part.
private struct PartWriter: ResponseBodyWriter {
    private static let partBytes = 64 << 10

    private var writer: any ResponseBodyWriter

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    mutating func write(_ buffer: ByteBuffer) async throws {
        var rest = buffer
        while let part = rest.readSlice(length: min(rest.readableBytes, Self.partBytes)),
            part.readableBytes > 0
        {
            try await writer.write(part)
        }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        try await writer.finish(trailingHeaders)
    }
}

/// Calls once: when told to, or when nobody can tell it any more.
final class OnceDone: Sendable {
    private let isDone = Atomic<Bool>(false)
    private let action: @Sendable () -> Void

    init(_ action: @escaping @Sendable () -> Void) { self.action = action }

    // ORDERING: relaxed because the flag orders nothing but itself.
    func call() { if !isDone.exchange(true, ordering: .relaxed) { action() } }

    deinit { call() }
}
