import Foundation
import HTTPTypes
import JSON
import NIOCore
import NIOHTTP1
import Notation

/// A refusal as it is written.
struct RefusalReply {
    var head: HTTPResponseHead
    var body: ByteBuffer

    private static var date: String {
        Instant.http(Int64(Date.now.timeIntervalSince1970 * 1_000))
    }

    init(_ error: APIError, version: HTTPVersion) {
        let json = error.json.encoded
        body = ByteBuffer(bytes: json)
        head = HTTPResponseHead(
            version: version,
            status: .init(statusCode: error.status))
        for field in error.headers {
            head.headers.add(name: field.name.rawName, value: field.value)
        }
        for (name, value) in [
            ("content-type", "application/json"), ("content-length", String(json.count)),
            ("connection", "close"), ("cache-control", "no-store"), ("date", Self.date),
            ("x-content-type-options", "nosniff"), (HeaderName.requestID, Responder.requestID(nil)),
        ] {
            head.headers.add(name: name, value: value)
        }
    }
}

extension APIError {
    /// What a parser made of bytes that are no request.
    init(_ error: HTTPParserError) {
        switch error {
        case .invalidVersion, .paused: self.init(.versionNotSupported)
        case .headerOverflow: self.init(.fieldsTooLong)
        default: self.init(.badRequest, "Malformed HTTP request")
        }
    }
}
