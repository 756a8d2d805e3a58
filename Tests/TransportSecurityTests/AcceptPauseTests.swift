import Glibc
import NIOCore
import NIOEmbedded
import Testing

@testable import TransportSecurity

@Suite struct AcceptPauseTests {
    private let listener = NIOAsyncTestingChannel()

    /// nil: nobody has said.
    private var accepts: Bool? {
        listener.options.last { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool
    }

    /// The system has no descriptor left.
    private func fail() async throws {
        try await listener.testingEventLoop.submit { [listener] in
            try listener.pipeline.syncOperations.addHandler(AcceptPause())
        }.get()
        listener.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
        await listener.testingEventLoop.run()
        #expect(accepts == false)
    }

    @Test func itAcceptsAgainAfterAPause() async throws {
        try await fail()
        await listener.testingEventLoop.advanceTime(by: AcceptPause.pause)
        #expect(accepts == true)
        _ = try await listener.finish()
    }

    /// A pause that ends while the listener is being closed lets nobody in, who would be lost on the way.
    @Test func nobodyIsAcceptedAfterTheEnd() async throws {
        try await fail()
        await AcceptPause.end(listener)
        await listener.testingEventLoop.advanceTime(by: AcceptPause.pause)
        #expect(accepts == false)
        listener.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
        await listener.testingEventLoop.advanceTime(by: AcceptPause.pause)
        #expect(accepts == false)
        _ = try await listener.finish()
    }
}
