import Glibc
import Gzip
import HTTP2

@testable import GRPCServer

struct ClientError: Error, CustomStringConvertible {
    let description: String
}

/// A blocking gRPC client for one connection: a socket and a client session.
final class TestClient {
    /// What came of a call.
    struct Reply: Equatable {
        var httpStatus: Int32 = 0
        /// -1: none was sent.
        var status: Int32 = -1
        var message = ""
        var details = ""
        var messages: [[UInt8]] = []
        /// Of them, those that came compressed.
        var packed = 0
        var saysGzip = false
        var isEnded = false
        var isReset = false
    }

    let descriptor: Int32
    let session: ClientSession
    /// Header blocks must outlive the session.
    private var blocks: [HeaderBlock] = []
    private var replies: [StreamHandle: Reply] = [:]
    private(set) var isConnectionClosed = false
    /// Whether `GOAWAY` has come.
    private(set) var sawGoAway = false

    init(port: Int, configuration: SessionConfiguration = SessionConfiguration()) throws {
        descriptor = try Self.connect(port: port)
        session = ClientSession(configuration: configuration, memory: SessionMemory())
    }

    deinit { Glibc.close(descriptor) }

    static func connect(port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, result == 0 else {
            throw ClientError(description: "connect: \(errno)")
        }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        return descriptor
    }

    // MARK: Calls

    static func framed(_ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        let count = UInt32(message.count)
        let length = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> UInt32($0)) }
        return [flag] + length + message
    }

    /// Begins a call with a raw body.
    ///
    /// - Parameter flushed: false: its head leaves with what is flushed next, in one piece.
    func begin(
        _ path: String, body: [UInt8], finished: Bool = true, flushed: Bool = true,
        replacing fields: [String: String] = [:], extra: [(String, String)] = []
    ) throws -> StreamHandle {
        var list = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ]
        for index in list.indices {
            if let value = fields[list[index].0] { list[index].1 = value }
        }
        let block = HeaderBlock(list + extra)
        blocks.append(block)
        guard let stream = session.begin() else {
            throw ClientError(description: "no stream to be had")
        }
        replies[stream] = Reply()
        body.withUnsafeBytes { session.output(stream)?.pointee.append($0) }
        guard
            session.submit(stream, headers: block.view, fields: HeaderFields(), finished: finished)
        else { throw ClientError(description: "submit") }
        // A session with several calls to send begins with all of their heads, and who is decided first is then a matter
        // of where the server's reads end.
        if flushed { try flush() }
        return stream
    }

    func send(_ stream: StreamHandle, _ body: [UInt8], finished: Bool = false) {
        body.withUnsafeBytes { session.output(stream)?.pointee.append($0) }
        session.push(stream, finished: finished)
    }

    /// One unary call, from beginning to end.
    func call(
        _ path: String, _ message: [UInt8], extra: [(String, String)] = []
    ) async throws -> Reply {
        try await finish(begin(path, body: Self.framed(message), extra: extra))
    }

    /// Waits for the end of a call.
    func finish(_ stream: StreamHandle) async throws -> Reply {
        try await pump { self.reply(stream).isEnded || self.reply(stream).isReset }
        return reply(stream)
    }

    func cancel(_ stream: StreamHandle) {
        session.release(stream)
    }

    func reply(_ stream: StreamHandle) -> Reply { replies[stream] ?? Reply() }

    // MARK: Input and output

    /// Moves bytes until `done`; throws after it has waited for two minutes in vain. What it waits for its own turn among
    /// other tests does not count: that may take minutes too.
    func pump(_ done: () -> Bool) async throws {
        var waits = 0
        while true {
            try flush()
            if done() { return }
            guard !isConnectionClosed else {
                throw ClientError(description: "the connection is closed")
            }
            let events = Int16(pending.isEmpty ? POLLIN : POLLIN | POLLOUT)
            var poll = pollfd(fd: descriptor, events: events, revents: 0)
            if Glibc.poll(&poll, 1, 5) == 0 { waits += 1 }
            readAvailable()
            guard waits < 120_000 / 5 else {
                throw ClientError(
                    description: "timeout: \(replies.values), \(pending.count) to send")
            }
            await Task.yield()  // other tests share the few threads that tasks run on
        }
    }

    /// Moves what can be moved within a few milliseconds.
    func poll() throws {
        try flush()
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = Glibc.poll(&poll, 1, 5)
        readAvailable()
    }

    /// Waits until the server's machine has everything that was flushed.
    func waitForArrival() async throws {
        try await pump {
            var left: Int32 = -1
            return pending.isEmpty && ioctl(descriptor, UInt(TIOCOUTQ), &left) == 0 && left == 0
        }
    }

    /// Waits for the server to close the connection.
    func waitForClose() async throws {
        do {
            try await pump { isConnectionClosed }
        } catch  where isConnectionClosed {}
    }

    static func milliseconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
    }

    /// Writes what the session has, in one piece if that is little; false: the socket takes no more.
    @discardableResult
    func flush() throws -> Bool {
        while true {
            if pending.isEmpty { gather() }
            guard !pending.isEmpty, !isConnectionClosed else { return true }
            let count = Glibc.send(descriptor, pending, pending.count, Int32(MSG_NOSIGNAL))
            if count < 0 {
                if errno == EAGAIN { return false }
                isConnectionClosed = true
                return true
            }
            pending.removeFirst(count)
        }
    }

    /// The session hands out frame by frame.
    private func gather() {
        while pending.count < 64 * 1024 {
            let frame = session.nextOutput()
            if frame.isEmpty { return }
            pending.append(contentsOf: frame)
        }
    }

    private var pending: [UInt8] = []
    private var gunzip = GzipDecoder()

    private func readAvailable() {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while !isConnectionClosed {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count > 0 {
                buffer.withUnsafeBytes {
                    session.receive(
                        UnsafeRawBufferPointer(rebasing: $0[..<count]),
                        nowNanoseconds: UInt64(Self.milliseconds()) * 1_000_000)
                }
                collect()
            } else if count == 0 || errno != EAGAIN {
                isConnectionClosed = true
                session.abandon()
                collect()
            } else {
                return
            }
        }
    }

    private func collect() {
        if session.takeEvents().contains(.goAway) { sawGoAway = true }
        while let (stream, events) = session.nextReady() {
            var reply = replies[stream] ?? Reply()
            takeMessages(stream, &reply)
            if let head = session.response(stream) {
                reply.httpStatus = head.httpStatus
                reply.status = head.grpcStatus
                reply.saysGzip = head.encoding == .gzip
                reply.message = String(decoding: session.message(stream), as: UTF8.self)
                reply.details = String(decoding: session.details(stream), as: UTF8.self)
            }
            if events.contains(.end) { reply.isEnded = true }
            if events.contains(.closed), !reply.isEnded { reply.isReset = true }
            replies[stream] = reply
            if events.contains(.closed) { session.release(stream) }
        }
    }

    private func takeMessages(_ stream: StreamHandle, _ reply: inout Reply) {
        while true {
            switch GRPCFraming.parse(session.input(stream), maximumBytes: 1 << 24) {
            case .complete(let message, let consumed):
                reply.messages.append(Array(message))
                session.consume(stream, byteCount: consumed)
            case .compressed(let packed, let consumed):
                guard case .complete(let message) = gunzip.decode(packed, maximumBytes: 1 << 24)
                else { return }
                reply.messages.append(Array(message))
                reply.packed += 1
                session.consume(stream, byteCount: consumed)
            case .incomplete, .malformed, .tooLarge:
                return
            }
        }
    }
}
