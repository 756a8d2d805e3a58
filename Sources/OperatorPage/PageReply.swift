import ControlPlane
import HTTPTypes
import Hummingbird
import NIOCore

/// What a page answers.
struct PageReply: Sendable {
    typealias Stream = @Sendable (inout any ResponseBodyWriter) async throws -> Void

    var status = HTTPResponse.Status.ok
    var headers: HTTPFields = [:]
    private var bytes: [UInt8] = []
    private var stream: Stream?

    static func html(_ text: String, status: HTTPResponse.Status = .ok) -> PageReply {
        var reply = PageReply()
        reply.status = status
        reply.headers[.contentType] = "text/html; charset=utf-8"
        reply.headers[.cacheControl] = "no-store"
        reply.bytes = Array(text.utf8)
        return reply
    }

    static func redirect(_ path: String) -> PageReply {
        var reply = PageReply()
        reply.status = .seeOther
        reply.headers[.location] = path
        reply.headers[.cacheControl] = "no-store"
        return reply
    }

    static func asset(_ asset: Asset, known: String?) -> PageReply {
        var reply = PageReply()
        reply.headers[.contentType] = asset.type
        reply.headers[.eTag] = asset.tag
        // Looked after each time: a new version of the service brings its own.
        reply.headers[.cacheControl] = "no-cache"
        if known == asset.tag {
            reply.status = .notModified
        } else {
            reply.bytes = asset.bytes
        }
        return reply
    }

    /// - Parameter name: of the file.
    static func csv(_ table: CSVTable, name: String) -> PageReply {
        var reply = PageReply()
        reply.headers[.contentType] = "text/csv; charset=utf-8"
        reply.headers[.contentDisposition] = "attachment; filename=\"\(name)\""
        reply.headers[.cacheControl] = "no-store"
        reply.bytes = Array(table.text.utf8)
        return reply
    }

    static func events(_ stream: @escaping Stream) -> PageReply {
        var reply = PageReply()
        reply.headers[.contentType] = "text/event-stream"
        reply.headers[.cacheControl] = "no-store"
        reply.stream = stream
        return reply
    }

    /// What a browser may do with anything from here: load from here, and nothing else.
    static let contentSecurityPolicy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
        "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    ].joined(separator: "; ")

    /// - Parameter isHead: the body is not sent.
    func response(isHead: Bool) -> Response {
        var headers = headers
        headers[.contentSecurityPolicy] = Self.contentSecurityPolicy
        headers[.xContentTypeOptions] = "nosniff"
        for (name, value) in [
            ("referrer-policy", "no-referrer"), ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"), ("x-frame-options", "DENY"),
        ] {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        if let stream {
            return Response(
                status: status, headers: headers,
                body: isHead ? ResponseBody() : ResponseBody(contentLength: nil, stream))
        }
        if status != .notModified { headers[.contentLength] = String(bytes.count) }
        let body =
            isHead || bytes.isEmpty
            ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        return Response(status: status, headers: headers, body: body)
    }
}
