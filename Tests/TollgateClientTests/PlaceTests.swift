import Testing
import Wire

@testable import TollgateClient

/// The service allows one stream at a time, and says nothing when the client gives it up.
@Suite("A place that becomes free", .timeLimit(.minutes(5)))
struct PlaceTests {
    /// How the one place becomes free without a word from the service.
    enum Way: CaseIterable, Sendable { case callCancelled, streamCancelled, lastAnswerRead }

    @Test(arguments: Way.allCases)
    func startsWhatWaits(_ way: Way) async throws {
        try await FramePeer.with(maximumStreams: 1) { peer, client in
            // After this the client knows that there is one place.
            async let first = client.usage(UsageRequest(tenantID: "a"))
            try await peer.next(.headers).succeed()
            _ = try await first

            let connection = client.connections[0]
            let call = Call(method: .getUsage, message: [], deadline: nil) { _ in }
            var stream: CheckStream?
            if way == .callCancelled {
                connection.submit(call)
            } else {
                stream = client.checkStream()
            }
            let (ends, continuation) = AsyncStream.makeStream(of: TollgateError?.self)
            let waiting = Call(method: .getUsage, message: [], deadline: nil) {
                continuation.yield($0.error)
            }
            connection.submit(waiting)

            let occupant = try await peer.next(.headers)
            switch way {
            case .callCancelled: connection.cancel(call)
            case .streamCancelled: stream?.cancel()
            case .lastAnswerRead:
                // The answer to the PING says that the client has read all of it.
                try await occupant.reply(
                    FramePeer.head(occupant.stream), FramePeer.message(occupant.stream, []),
                    FramePeer.trailers(occupant.stream, status: 0),
                    FramePeer.frame(.ping, Array(repeating: 7, count: 8)))
                _ = try await peer.next(.ping)
                let responses = try #require(stream).responses
                #expect(try await responses.next() != nil)
                #expect(try await responses.next() == nil)
            }
            #expect(try await peer.next(.reset).stream == occupant.stream)

            try await peer.next(.headers).succeed()
            var ended = ends.makeAsyncIterator()
            let error = try #require(await ended.next())
            #expect(error == nil, "\(String(describing: error))")
        }
    }
}
