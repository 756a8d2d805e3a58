internal import HTTP2
internal import Kit

// A server's HTTP/2 session between a peer that sends anything and a service that does anything. The input is a list of
// steps: a byte that says what the service does and how many bytes come next.

private let routes = RouteTable([
    MethodRoute(path: SessionSeeds.unary, maximumBodyBytes: 4_096, streamsRequests: false),
    MethodRoute(path: SessionSeeds.stream, maximumBodyBytes: 4_096, streamsRequests: true),
])
private let response = HeaderBlock([(":status", "200"), ("content-type", "application/grpc")])
private let trailers = HeaderBlock([("grpc-status", "0")])

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeRawPointer, _ arguments: UnsafeRawPointer) -> Int32 {
    Seeds.writeIfAsked(SessionSeeds.all)
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func run(_ start: UnsafeRawPointer?, _ count: Int) -> Int32 {
    var conversation = Conversation()
    conversation.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// One connection.
private struct Conversation: ~Copyable {
    static let configuration = {
        var configuration = SessionConfiguration()
        configuration.maximumConcurrentStreams = 8
        configuration.maximumBufferedInputBytes = 16 * 1_024
        configuration.turnHeaderBytes = 1_024
        return configuration
    }()

    let session = ServerSession(
        configuration: configuration, memory: SessionMemory(), routes: routes)
    var now: UInt64 = 1_000_000_000
    /// Streams that the service was handed and has not ended.
    var held: Set<StreamHandle> = []

    mutating func run(_ bytes: UnsafeRawBufferPointer) {
        var input = InputReader(bytes)
        while !input.isAtEnd {
            let step = input.byte()
            now += UInt64(step & 3) * 250_000_000
            let chunk = step < 128 ? Int(input.byte()) + 1 : Int(step) * 16
            let bytes = input.take(chunk)
            var taken = session.receive(bytes, nowNanoseconds: now)
            work(step)
            while session.isPaused {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[taken...])
                taken += session.resume(rest, nowNanoseconds: now)
                work(step)
            }
            if step & 4 == 0 { drain() }
            if step & 0x78 == 0x78 { control(step) }
            checkBounds()
        }
        drain()
        session.abandon()
        work(0)
        for stream in held { session.release(stream) }
        checkBounds()
        precondition(session.bufferedInputBytes == 0, "input is kept of streams that are over")
        precondition(session.openStreamCount == 0)
    }

    mutating func work(_ step: UInt8) {
        while let (stream, events) = session.nextReady() {
            precondition((0..<8).contains(stream.index))
            if events.contains(.closed) {
                session.release(stream)
                held.remove(stream)
                continue
            }
            held.insert(stream)
            answer(stream, events, step)
        }
        if step & 0x10 != 0, let stream = held.min(by: { $0.index < $1.index }) {
            held.remove(stream)
            if step & 0x20 != 0 { session.reset(stream, code: 8) } else { session.release(stream) }
        }
    }

    mutating func answer(_ stream: StreamHandle, _ events: StreamEvents, _ step: UInt8) {
        // Every byte that is handed out is looked at; none is used after the next call.
        _ = session.input(stream).reduce(0) { $0 &+ Int($1) }
        _ = session.authorization(stream).reduce(0) { $0 &+ Int($1) }
        guard let head = session.request(stream) else { return }
        if head.pointee.route == 1 {
            session.output(stream)?.pointee.append(session.input(stream))
            session.consume(stream, byteCount: session.input(stream).count)
            if step & 8 != 0 { session.respond(stream, headers: response.view) }
            session.push(stream, notify: step & 0x40 != 0)
        }
        if events.contains(.overflow) {
            session.reject(stream, headers: trailers.view, fields: HeaderFields())
            held.remove(stream)
        } else if events.contains(.end) {
            session.output(stream)?.pointee.append(session.input(stream))
            session.respond(stream, headers: response.view, trailers: trailers.view)
            held.remove(stream)
        }
    }

    func control(_ step: UInt8) {
        switch step & 7 {
        case 0: session.announceShutdown()
        case 1: session.refuseNewStreams()
        case 2: session.resetIncompleteRequests(openedBefore: now)
        case 3: session.terminate(code: 0)
        default: _ = session.takeEvents()
        }
    }

    func drain() {
        var sent = 0
        while true {
            let output = session.nextOutput()
            if output.isEmpty { return }
            sent += output.reduce(1) { $0 &+ Int($1 & 1) }
            precondition(sent < 1 << 24, "output without an end")
        }
    }

    func checkBounds() {
        precondition(
            (0...Self.configuration.maximumBufferedInputBytes).contains(session.bufferedInputBytes))
        precondition(session.queuedOutputBytes >= 0)
        precondition((0...8).contains(session.openStreamCount))
        precondition(held.count <= 8)
    }
}
