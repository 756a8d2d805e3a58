import HTTPTypes
import NIOCore
import NIOHTTP1

/// What a request's head binds both sides to.
struct RequestTerms: Equatable {
    enum Body: Equatable {
        case none
        /// Bytes; more than 0.
        case length(Int)
        case chunked
    }

    var body = Body.none
    /// The connection may carry another request after this one.
    var keepsAlive = true
    /// The peer sends the body only when it is asked for it (`Expect: 100-continue`).
    var waitsForContinue = false
}

/// The duties of a server that the parser leaves open (RFC 9110, RFC 9112).
enum HeadRules {
    /// Fields whose values say who or what is meant: bytes that are no text would become another one's.
    static let identities = ["idempotency-key": "Idempotency-Key"]

    /// The terms of a request, or why it is refused.
    ///
    /// - Parameter head: as parsed; brought into the form that handlers expect.
    static func terms(of head: inout HTTPRequestHead) throws(APIError) -> RequestTerms {
        var terms = RequestTerms()
        let isOld = head.version == .http1_0
        let connection = tokens(head, "connection")
        // An old client, or one that asks for another protocol behind this request, which there is not.
        terms.keepsAlive =
            !isOld && !connection.contains("close") && !head.headers.contains(name: "upgrade")
        guard head.method != .CONNECT else { throw APIError(.notImplemented) }
        try checkHost(&head, isOld: isOld)
        terms.body = try body(of: head, isOld: isOld)
        let expected = tokens(head, "expect")
        if !expected.isEmpty, !isOld {
            guard expected == ["100-continue"] else { throw APIError(.expectationFailed) }
            terms.waitsForContinue = terms.body != .none
        }
        return terms
    }

    // MARK: Parts

    private static func tokens(_ head: HTTPRequestHead, _ name: String) -> [String] {
        head.headers[canonicalForm: name].map { $0.lowercased() }.filter { !$0.isEmpty }
    }

    /// Exactly one, and what it says can be a host. In the absolute form the target says it (RFC 9112 §3.2.2).
    private static func checkHost(
        _ head: inout HTTPRequestHead, isOld: Bool
    ) throws(APIError) {
        let hosts = head.headers["host"]
        guard hosts.count == 1 || (isOld && hosts.isEmpty) else {
            throw APIError(
                .badRequest,
                hosts.isEmpty ? "The Host header is missing" : "There is more than one Host header")
        }
        if let named = absoluteHost(head.uri) {
            head.headers.replaceOrAdd(name: "host", value: named)
        }
        let allowed = head.headers["host"].allSatisfy { $0.utf8.allSatisfy(isHostByte) }
        guard allowed else { throw APIError(.badRequest, "The Host header is invalid") }
    }

    private static func absoluteHost(_ target: String) -> String? {
        let lower = target.prefix(8).lowercased()
        guard let scheme = ["http://", "https://"].first(where: lower.hasPrefix) else { return nil }
        let rest = target.utf8.dropFirst(scheme.utf8.count)
        return String(rest.prefix { !"/?#".utf8.contains($0) })
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~%!$&'()*+;=:[]".utf8.contains(byte)
        }
    }

    private static func body(
        of head: HTTPRequestHead, isOld: Bool
    ) throws(APIError) -> RequestTerms.Body {
        let codings = tokens(head, "transfer-encoding")
        if head.headers.contains(name: "transfer-encoding") {
            guard codings.allSatisfy({ $0 == "chunked" }) else {
                throw APIError(.notImplemented, "The only supported transfer coding is chunked")
            }
            // An old server before this one may have seen another end of the body.
            guard codings.count == 1, !isOld, !head.headers.contains(name: "content-length") else {
                throw APIError(.badRequest, "The body length is invalid or ambiguous")
            }
            return .chunked
        }
        guard let text = head.headers.first(name: "content-length") else { return .none }
        guard let length = Int(text), length >= 0 else {
            throw APIError(.badRequest, "The body length is invalid or ambiguous")
        }
        return length == 0 ? .none : .length(length)
    }

    /// Why the bytes of a head name somebody or something without being text; nil: they do not.
    static func textFault(_ raw: ByteBufferView) -> APIError? {
        if raw.allSatisfy({ $0 < 0x80 }) { return nil }
        var lines = raw.split(separator: UInt8(ascii: "\n")).drop { $0.first == UInt8(ascii: "\r") }
        if let first = lines.popFirst(), !isText(first) {
            return APIError(.badField, "The path and the query must be valid UTF-8")
        }
        for line in lines where !isText(line) {
            let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            guard let identity = identities[name.lowercased()] else { continue }
            return APIError(.badField, "The value must be UTF-8", at: .parameter(identity))
        }
        return nil
    }

    private static func isText(_ bytes: ByteBufferView) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }
}
