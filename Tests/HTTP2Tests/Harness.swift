@testable import HTTP2

/// A server and a client session that exchange bytes in memory.
final class Pair {
    static let path = "/test.Service/Unary"
    static let streamPath = "/test.Service/Stream"
    static let routes = RouteTable([
        MethodRoute(path: path, maximumBodyBytes: 64 * 1024 + 5, streamsRequests: false),
        MethodRoute(path: streamPath, maximumBodyBytes: 64 * 1024 + 5, streamsRequests: true),
        MethodRoute(
            path: "/test.Service/Large", maximumBodyBytes: 1024 * 1024, streamsRequests: false),
    ])

    static func requestHeaders(_ path: String, _ extra: [(String, String)] = []) -> HeaderBlock {
        HeaderBlock(
            [
                (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
                ("content-type", "application/grpc+proto"), ("te", "trailers"),
            ] + extra)
    }

    static let unary = requestHeaders(path)
    static let streaming = requestHeaders(streamPath)
    static let large = requestHeaders("/test.Service/Large")
    static let response = HeaderBlock([(":status", "200"), ("content-type", "application/grpc")])
    static let ok = HeaderBlock([("grpc-status", "0")])

    let server: ServerSession
    let client: ClientSession
    var now: UInt64 = 1_000_000_000
    /// Header blocks must outlive the sessions that send them.
    private var kept: [HeaderBlock] = []
    /// Bytes the server has sent, ever.
    private(set) var serverBytes = 0

    init(
        server serverConfiguration: SessionConfiguration = SessionConfiguration(),
        client clientConfiguration: SessionConfiguration = SessionConfiguration()
    ) {
        let memory = SessionMemory()
        server = ServerSession(
            configuration: serverConfiguration, memory: memory, routes: Self.routes)
        client = ClientSession(configuration: clientConfiguration, memory: memory)
    }

    func toServer() -> Int {
        var moved = 0
        while true {
            let bytes = client.nextOutput()
            guard !bytes.isEmpty else { return moved }
            moved += bytes.count
            server.take(bytes, nowNanoseconds: now)
        }
    }

    func toClient() -> Int {
        var moved = 0
        while true {
            let bytes = server.nextOutput()
            guard !bytes.isEmpty else { return moved }
            moved += bytes.count
            serverBytes += bytes.count
            client.receive(bytes, nowNanoseconds: now)
        }
    }

    /// Moves bytes both ways until neither side has any.
    func exchange() {
        while toServer() + toClient() > 0 {}
    }

    /// Begins a call whose body is `body`.
    func call(
        _ headers: HeaderBlock, body: [UInt8], finished: Bool = true,
        fields: borrowing HeaderFields = HeaderFields()
    ) -> StreamHandle? {
        kept.append(headers)
        guard let stream = client.begin() else { return nil }
        body.withUnsafeBytes { client.output(stream)?.pointee.append($0) }
        guard client.submit(stream, headers: headers.view, fields: fields, finished: finished)
        else {
            client.release(stream)
            return nil
        }
        return stream
    }

    func nextOnServer() -> (stream: StreamHandle, events: StreamEvents)? { server.nextReady() }

    /// Answers every complete request with its own body.
    @discardableResult
    func echo() -> Int {
        var answered = 0
        while let (stream, events) = server.nextReady() {
            if events.contains(.closed) {
                server.release(stream)
            } else if events.contains(.end) {
                server.output(stream)?.pointee.append(server.input(stream))
                server.respond(stream, headers: Self.response.view, trailers: Self.ok.view)
                answered += 1
            }
        }
        return answered
    }

    /// All that is reported on the client, by stream.
    func clientEvents() -> [StreamHandle: StreamEvents] {
        var all: [StreamHandle: StreamEvents] = [:]
        while let (stream, events) = client.nextReady() {
            all[stream, default: []].formUnion(events)
        }
        return all
    }
}

/// Frames as bytes, for what a well-behaved client session would never send.
struct Wire {
    var bytes: [UInt8] = []

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// A connection's opening: preface and empty SETTINGS.
    static var opened: Wire {
        var wire = Wire(bytes: preface)
        wire.frame(type: 4, flags: 0, stream: 0, [])
        return wire
    }

    mutating func frame(type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) {
        let length = UInt32(payload.count)
        bytes += [UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff)]
        bytes += [type, flags]
        bytes += [
            UInt8(stream >> 24 & 0xff), UInt8(stream >> 16 & 0xff), UInt8(stream >> 8 & 0xff),
            UInt8(stream & 0xff),
        ]
        bytes += payload
    }

    /// A literal field without indexing or Huffman coding.
    static func field(_ name: String, _ value: String) -> [UInt8] {
        precondition(name.utf8.count < 127 && value.utf8.count < 127)
        return [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)]
            + Array(value.utf8)
    }

    static func head(_ path: String = Pair.path, extra: [UInt8] = []) -> [UInt8] {
        field(":method", "POST") + field(":scheme", "http") + field(":path", path)
            + field(":authority", "test") + field("content-type", "application/grpc") + extra
    }
}

extension ServerSession {
    /// Feeds `wire` and returns everything the server says to it.
    func answer(_ wire: Wire, nowNanoseconds: UInt64 = 1) -> [UInt8] {
        wire.bytes.withUnsafeBytes { take($0, nowNanoseconds: nowNanoseconds) }
        return drain()
    }

    /// Feeds bytes, in as many turns as they need.
    func take(_ bytes: UnsafeRawBufferPointer, nowNanoseconds: UInt64) {
        var taken = receive(bytes, nowNanoseconds: nowNanoseconds)
        while isPaused {
            taken += resume(
                UnsafeRawBufferPointer(rebasing: bytes[taken...]), nowNanoseconds: nowNanoseconds)
        }
    }

    func drain() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            let bytes = nextOutput()
            guard !bytes.isEmpty else { return output }
            output += Array(bytes)
        }
    }
}

/// The frames in a byte stream: type, flags, stream, payload.
func frames(_ bytes: [UInt8]) -> [(type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8])] {
    var result: [(type: UInt8, flags: UInt8, stream: UInt32, payload: [UInt8])] = []
    var offset = 0
    while offset + 9 <= bytes.count {
        let length = Int(bytes[offset]) << 16 | Int(bytes[offset + 1]) << 8 | Int(bytes[offset + 2])
        guard offset + 9 + length <= bytes.count else { break }
        let stream = bytes[(offset + 5)..<(offset + 9)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        result.append(
            (
                bytes[offset + 3], bytes[offset + 4], stream,
                Array(bytes[(offset + 9)..<(offset + 9 + length)])
            ))
        offset += 9 + length
    }
    return result
}

/// The error code of the last GOAWAY in a byte stream; nil: there is none.
func goAwayCode(_ bytes: [UInt8]) -> UInt32? {
    frames(bytes).last { $0.type == 7 }.map { frame in
        frame.payload[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
}

/// SplitMix64: small, seeded, good enough to shuffle test inputs.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Its argument. `#expect` cannot take a member access on a noncopyable value apart; a function's
/// argument it leaves alone.
func same<T>(_ value: T) -> T { value }

/// A session of its own, without a peer.
func server(_ change: (inout SessionConfiguration) -> Void = { _ in }) -> ServerSession {
    var configuration = SessionConfiguration()
    change(&configuration)
    return ServerSession(
        configuration: configuration, memory: SessionMemory(), routes: Pair.routes)
}
