internal import HTTP2
internal import Kit

/// What a well-behaved client sends, cut into steps.
enum SessionSeeds {
    static let unary = "/test.Service/Unary"
    static let stream = "/test.Service/Stream"

    static func all() -> [[UInt8]] {
        let fields = [("grpc-timeout", "1S"), ("authorization", "Bearer t"), ("te", "trailers")]
        return [
            steps(conversation([(unary, [], 12)])),
            steps(conversation([(unary, fields, 100), (unary, fields, 0), (stream, [], 40)])),
            steps(conversation([(stream, fields, 600), ("/unknown", [], 5), (unary, [], 5_000)])),
            steps(conversation([(unary, fields, 20)]) + frames),
            steps(preface + frames),
        ]
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// SETTINGS, PING, WINDOW_UPDATE, PRIORITY, RST_STREAM, GOAWAY, an unknown frame.
    private static var frames: [UInt8] {
        frame(4, 0, 0, [0, 4, 0, 0, 255, 255]) + frame(6, 0, 0, Array(1...8))
            + frame(8, 0, 0, [0, 0, 1, 0]) + frame(2, 0, 1, [0, 0, 0, 0, 9])
            + frame(3, 0, 1, [0, 0, 0, 8]) + frame(0xbb, 0, 1, [1, 2, 3])
            + frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0])
    }

    private static func frame(
        _ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]
    ) -> [UInt8] {
        [0, 0, UInt8(payload.count), type, flags, 0, 0, 0, stream] + payload
    }

    /// All that a client sends for some calls at once.
    private static func conversation(
        _ calls: [(path: String, fields: [(String, String)], bodyBytes: Int)]
    ) -> [UInt8] {
        let client = ClientSession(
            configuration: SessionConfiguration(), memory: SessionMemory())
        // A block must outlive the session that sends it.
        let heads = calls.map { call in
            HeaderBlock(
                [
                    (":method", "POST"), (":scheme", "http"), (":path", call.path),
                    (":authority", "test"), ("content-type", "application/grpc"),
                ] + call.fields)
        }
        var sent: [UInt8] = []
        for (call, head) in zip(calls, heads) {
            guard let stream = client.begin() else { continue }
            let body = [0, 0, 0, 0, 0] + [UInt8](repeating: 0x61, count: call.bodyBytes)
            body.withUnsafeBytes { client.output(stream)?.pointee.append($0) }
            _ = client.submit(
                stream, headers: head.view, fields: HeaderFields(), finished: true)
        }
        while true {
            let output = client.nextOutput()
            if output.isEmpty { break }
            sent += output
        }
        withExtendedLifetime(heads) {}
        return sent
    }

    /// Steps of up to 64 bytes each.
    private static func steps(_ bytes: [UInt8]) -> [UInt8] {
        var steps: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(64)
            steps += [UInt8(steps.count % 8), UInt8(chunk.count - 1)] + chunk
            rest = rest.dropFirst(64)
        }
        return steps
    }
}
