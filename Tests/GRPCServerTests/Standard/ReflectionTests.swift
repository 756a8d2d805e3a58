import GRPCStandard
import HTTP2
import NIOCore
import Testing
import Wire

@testable import GRPCServer

@Suite struct ReflectionTests {
    static let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    static let alpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    static let services = Proto.text(7, "*")

    @Test(arguments: [path, alpha]) func questionsAreAnsweredInOrder(path: String) async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let stream = try client.begin(
            path,
            body: TestClient.framed(Self.services)
                + TestClient.framed(Proto.text(4, "no.Such"))
                + TestClient.framed(Proto.text(3, "tollgate/v1/tollgate.proto")), finished: false)
        try await client.pump { client.reply(stream).messages.count == 3 }
        // A question that cannot be answered ends nothing.
        client.send(stream, TestClient.framed([]), finished: true)
        let reply = try await client.finish(stream)
        #expect(reply.status == 0 && reply.messages.count == 4)
        #expect(
            String(decoding: reply.messages[0], as: UTF8.self).contains("grpc.health.v1.Health"))
        let unknown = Proto.number(1, 5) + Proto.text(2, "no such symbol")
        #expect(reply.messages[1].suffix(unknown.count).elementsEqual(unknown))
        #expect(reply.messages[2].count > 5_000)
        await test.stop()
    }

    @Test func whatIsNoRequestEndsTheStream() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        for body in [[0x1a, 9], [0x1a, 1, 0xff]] as [[UInt8]] {
            let reply = try await client.call(Self.path, body)
            #expect(reply.status == Int32(GRPCCode.internal.rawValue))
        }
        let long = try await client.call(Self.path, [UInt8](repeating: 0, count: 4_097))
        #expect(long.status == Int32(GRPCCode.resourceExhausted.rawValue))
        #expect(try await client.call(Self.path, Self.services).messages.count == 1)
        await test.stop()
    }

    /// Descriptors are for whoever may call anything.
    @Test func aStrangerIsToldNothing() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let reply = try await client.call(
            Self.path, Self.services, extra: [("authorization", "nobody")])
        #expect(reply.status == Int32(GRPCCode.unauthenticated.rawValue) && reply.messages.isEmpty)
        #expect(try await client.call(Self.path, Self.services).status == 0)
        await test.stop()
    }

    @Test func itCanBeSwitchedOff() async throws {
        let test = try await StandardServer(reflection: false)
        let client = try TestClient(port: test.server.port)
        for path in [Self.path, Self.alpha] {
            let reply = try await client.call(path, Self.services)
            #expect(reply.status == Int32(GRPCCode.unimplemented.rawValue))
        }
        #expect(try await client.call("/t.T/Echo", text("x")).messages == [text("x")])
        await test.stop()
    }

    /// Services beside the main one neither wait for its disk nor stand in its way.
    @Test func theMainServiceIsTheSameBesideOthers() async throws {
        let test = try await StandardServer()
        let client = try TestClient(port: test.server.port)
        let held = try client.begin("/t.T/Hold", body: TestClient.framed(text("h")))
        let sum = try client.begin("/t.T/Sum", body: TestClient.framed(text("abc")))
        let chat = try client.begin("/t.T/Chat", body: TestClient.framed(text("i")))
        #expect(try await client.finish(sum).messages == [text("3")])
        #expect(try await client.finish(chat).messages == [text("i")])
        #expect(try await client.call(Self.path, Self.services).messages.count == 1)
        #expect(client.reply(held).isEnded == false)
        try await test.settle()
        let notify = test.journal.change { state in
            state.durableTicket = state.ticket
            return state.notify
        }
        notify?()
        #expect(try await client.finish(held).messages == [text("h")])
        #expect(test.journal.now.opened == 2 && test.journal.now.closed >= 2)
        await test.stop()
    }
}
