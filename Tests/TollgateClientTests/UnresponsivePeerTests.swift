import NIOCore
import NIOPosix
import Testing

@testable import TollgateClient

/// Peers that do not answer, or not in HTTP/2: every call ends, in time and with a sentence.
@Suite("A peer that is no service", .timeLimit(.minutes(5)))
struct UnresponsivePeerTests {
    /// What a fake peer does with what it reads.
    enum Manner: Sendable { case silent, garbage, hangsUp }

    private final class Peer: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let manner: Manner
        init(_ manner: Manner) { self.manner = manner }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch manner {
            case .silent: break
            case .garbage:
                let answer = ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n")
                context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            case .hangsUp: context.close(promise: nil)
            }
        }
    }

    private func withPeer<Result>(
        _ manner: Manner, timeout: Duration,
        _ body: (TollgateClient) async throws -> Result
    ) async throws -> Result {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Peer(manner))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        var configuration = TollgateClient.Configuration(
            host: "127.0.0.1", port: port, timeout: timeout, connectTimeout: .seconds(300),
            connections: 2)
        configuration.circuitBreaker = nil
        let client = TollgateClient(configuration)
        defer {
            client.shutdown()
            listener.close(promise: nil)
        }
        return try await body(client)
    }

    private let request = CheckRequest(
        tenantID: "a", action: .charge, quantities: [Quantity(.spend, 1)])

    @Test func silenceEndsWithTheDeadline() async throws {
        try await withPeer(.silent, timeout: .milliseconds(100)) { client in
            let began = ContinuousClock.now
            let error = await #expect(throws: TollgateError.self) {
                _ = try await client.check(request)
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(ContinuousClock.now - began >= .milliseconds(100))
        }
    }

    @Test func manyDeadlinesEachEnd() async throws {
        try await withPeer(.silent, timeout: .seconds(300)) { client in
            await withTaskGroup(of: TollgateError.Code?.self) { group in
                for index in 0..<3_000 {
                    group.addTask {
                        do throws(TollgateError) {
                            _ = try await client.check(
                                request, timeout: .milliseconds(1 + index % 50))
                            return nil
                        } catch {
                            return error.code
                        }
                    }
                }
                for await code in group { #expect(code == .deadlineExceeded) }
            }
        }
    }

    @Test func cancellationEndsAtOnce() async throws {
        try await withPeer(.silent, timeout: .seconds(300)) { client in
            let task = Task { try await client.check(request) }
            task.cancel()
            let error = await #expect(throws: TollgateError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test func shutdownEndsEveryCall() async throws {
        try await withPeer(.silent, timeout: .seconds(300)) { client in
            let task = Task { try await client.check(request) }
            client.shutdown()
            let error = await #expect(throws: TollgateError.self) { try await task.value }
            #expect(error?.code == .unavailable)
        }
    }

    @Test(arguments: [Manner.garbage, .hangsUp])
    func aBrokenConnectionIsUnavailable(_ manner: Manner) async throws {
        try await withPeer(manner, timeout: .seconds(300)) { client in
            let error = await #expect(throws: TollgateError.self) {
                _ = try await client.check(request)
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("answered with HTTP/1.1") == (manner == .garbage))
        }
    }

    @Test func aStreamEndsToo() async throws {
        try await withPeer(.hangsUp, timeout: .seconds(300)) { client in
            let stream = client.checkStream()
            let responses = stream.responses
            let error = await #expect(throws: TollgateError.self) { try await responses.next() }
            #expect(error?.code == .unavailable)
            await #expect(throws: TollgateError.self) { try await stream.send(request) }
        }
    }

    @Test func nobodyThereIsNamed() async throws {
        // A port that was just free.
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await listener.close().get()
        let client = TollgateClient(
            .init(
                host: "127.0.0.1", port: port, timeout: .seconds(300),
                connectTimeout: .seconds(300)))
        let error = await #expect(throws: TollgateError.self) {
            _ = try await client.check(request)
        }
        #expect(error?.code == .unavailable && error?.wasNotProcessed == true)
        #expect(error?.message.contains("127.0.0.1:\(port)") == true)
    }
}
