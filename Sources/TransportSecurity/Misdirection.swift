package import NIOCore

/// Answers for peers that speak plaintext where TLS is spoken, or the other way round, so that they can tell what is
/// wrong.
package enum Misdirection {
    private static let handshakeRecord: UInt8 = 22

    /// Whether a connection's first bytes are those of a TLS handshake: a record of type 22 and of a version 3.x.
    package static func isTLS(_ bytes: ByteBuffer) -> Bool {
        bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) == handshakeRecord
            && bytes.getInteger(at: bytes.readerIndex + 1, as: UInt8.self) == 3
    }

    /// Whether a first byte begins a line of HTTP: a capital letter, with which no record of TLS begins.
    static func isText(_ bytes: ByteBuffer) -> Bool {
        bytes.getInteger(at: bytes.readerIndex, as: UInt8.self).map {
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
        } ?? false
    }

    /// To a client that speaks TLS to a port that does not: a fatal alert `handshake_failure` (RFC 8446 §6).
    package static let alert = ByteBuffer(bytes: [21, 3, 1, 0, 2, 2, 40])

    /// To a client that speaks HTTP to a port of TLS. Also to one of HTTP/2, whose library says what it got: after
    /// SETTINGS and GOAWAY it would come again at once, and for ever.
    static let badRequest: ByteBuffer = {
        let body = """
            {"errors":[{"code":"10015","title":"Bad Request",\
            "detail":"This port requires TLS"}]}
            """
        let head = """
            HTTP/1.1 400 Bad Request\r
            content-type: application/json\r
            content-length: \(body.utf8.count)\r
            connection: close\r
            cache-control: no-store\r
            \r

            """
        return ByteBuffer(string: head + body)
    }()
}
