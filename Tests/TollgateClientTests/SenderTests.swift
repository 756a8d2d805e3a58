import NIOCore
import Testing
import Wire

@testable import TollgateClient

/// The service gives no window back, and nobody reads the answers.
@Suite("A sender that waits", .timeLimit(.minutes(5)))
struct SenderTests {
    private static func request(_ tenantID: String) -> CheckRequest {
        CheckRequest(tenantID: tenantID, action: .charge, quantities: [Quantity(.spend, 1)])
    }

    /// Passes the window of 65 535 bytes and what a stream queues, both at once.
    private static let large = request(String(repeating: "a", count: 200_000))

    /// Takes up the window and the queue of a new stream.
    private func fill(
        _ client: TollgateClient, _ peer: FramePeer
    ) async throws -> (stream: CheckStream, head: FramePeer.Frame, taken: [UInt8]) {
        let stream = client.checkStream()
        try await stream.send(Self.large)
        let head = try await peer.next(.headers)
        return (stream, head, try await peer.data(65_535))
    }

    private func startSender(
        _ stream: CheckStream, _ tenantID: String, waitsAs number: Int
    ) async throws -> Task<TollgateError?, Never> {
        let sender = Task { () -> TollgateError? in
            do throws(TollgateError) {
                try await stream.send(Self.request(tenantID))
                return nil
            } catch {
                return error
            }
        }
        let loop = stream.connection.loop
        while try await loop.submit({ stream.call.waitingSenders }).get() < number {
            await Task.yield()
        }
        return sender
    }

    @Test func cancellationEndsTheStream() async throws {
        try await FramePeer.with { peer, client in
            let (stream, head, _) = try await fill(client, peer)
            let sender = try await startSender(stream, "b", waitsAs: 1)
            sender.cancel()
            let error = await sender.value
            #expect(error?.code == .cancelled && error?.wasNotProcessed == true)
            #expect(try await peer.next(.reset).stream == head.stream)
            let later = await #expect(throws: TollgateError.self) {
                try await stream.send(Self.request("c"))
            }
            #expect(later?.code == .cancelled)
        }
    }

    @Test func aCancelledTaskSendsNothing() async throws {
        try await FramePeer.with { _, client in
            let stream = client.checkStream()
            let sender = Task {
                while Task.isCancelled == false { await Task.yield() }
                try await stream.send(Self.request("a"))
            }
            sender.cancel()
            let error = await #expect(throws: TollgateError.self) { try await sender.value }
            #expect(error?.code == .cancelled)
        }
    }

    /// How the service ends a stream.
    enum End: CaseIterable, Sendable {
        case closesTheSocket, resets, fails, succeeds

        var code: TollgateError.Code {
            switch self {
            case .closesTheSocket, .resets: .unavailable
            case .fails: .permissionDenied
            case .succeeds: .failedPrecondition
            }
        }
    }

    @Test(arguments: End.allCases)
    func theEndOfTheStreamEndsIt(_ end: End) async throws {
        try await FramePeer.with { peer, client in
            let (stream, head, _) = try await fill(client, peer)
            let sender = try await startSender(stream, "b", waitsAs: 1)
            switch end {
            case .closesTheSocket: try await head.channel.close().get()
            case .resets: try await head.reply(FramePeer.reset(head.stream))
            case .fails:
                try await head.reply(FramePeer.trailers(head.stream, status: 7, isAlone: true))
            case .succeeds:
                try await head.reply(FramePeer.trailers(head.stream, status: 0, isAlone: true))
            }
            let error = await sender.value
            #expect(error?.code == end.code && error?.wasNotProcessed == true)
            let later = await #expect(throws: TollgateError.self) {
                try await stream.send(Self.request("c"))
            }
            #expect(later?.code == end.code)
            do throws(TollgateError) {
                let answer = try await stream.responses.next()
                #expect(answer == nil && end == .succeeds)
            } catch {
                #expect(error.code == end.code && error.wasNotProcessed == false)
            }
        }
    }

    @Test func sendersAreServedInTurn() async throws {
        try await FramePeer.with { peer, client in
            let (stream, head, taken) = try await fill(client, peer)
            let senders = [
                try await startSender(stream, "b", waitsAs: 1),
                try await startSender(stream, "c", waitsAs: 2),
            ]
            stream.finish()
            let late = await #expect(throws: TollgateError.self) {
                try await stream.send(Self.request("d"))
            }
            #expect(late?.code == .failedPrecondition)
            // The last word of the service.
            try await head.reply(FramePeer.window(head.stream, 1 << 20))
            for sender in senders {
                let error = await sender.value
                #expect(error == nil)
            }
            let sent = taken + (try await peer.data())
            let expected = [Self.large, Self.request("b"), Self.request("c")].flatMap { request in
                let message = request.encoded()
                return [0] + FramePeer.bytes(UInt32(message.count)) + message
            }
            #expect(sent.elementsEqual(expected))
        }
    }
}
