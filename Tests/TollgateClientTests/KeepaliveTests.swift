import NIOCore
import Synchronization
import Testing
import Wire

@testable import TollgateClient

@Suite("When a client asks whether its peer is still there")
struct KeepaliveTests {
    private func at(_ seconds: UInt64) -> NIODeadline {
        .uptimeNanoseconds(seconds * 1_000_000_000)
    }

    private let usual = Keepalive(interval: .seconds(30), timeout: .seconds(20))

    @Test func silenceIsAskedAndThenGivenUp() {
        var keepalive = usual
        keepalive.becameBusy(at: at(100))
        #expect(keepalive.nextLook == at(130))
        #expect(keepalive.look(at: at(129)) == .wait)
        #expect(keepalive.look(at: at(130)) == .ping)
        #expect(keepalive.nextLook == at(150))
        #expect(keepalive.look(at: at(149)) == .wait)
        #expect(keepalive.look(at: at(150)) == .giveUp)
    }

    @Test func anythingReadIsASignOfLife() {
        var keepalive = usual
        keepalive.becameBusy(at: at(100))
        keepalive.heard(at: at(120))
        #expect(keepalive.look(at: at(130)) == .wait)
        #expect(keepalive.nextLook == at(150))
        #expect(keepalive.look(at: at(150)) == .ping)
        keepalive.heard(at: at(151))
        #expect(keepalive.nextLook == at(181))
        #expect(keepalive.look(at: at(180)) == .wait)
        #expect(keepalive.look(at: at(181)) == .ping)
    }

    @Test func idleConnectionsAreLeftAlone() {
        var keepalive = usual
        #expect(keepalive.nextLook == nil)
        keepalive.becameBusy(at: at(100))
        keepalive.becameIdle()
        #expect(keepalive.nextLook == nil)
        #expect(keepalive.look(at: at(1_000)) == .wait)
        keepalive.becameBusy(at: at(1_000))
        #expect(keepalive.nextLook == at(1_030))
    }

    @Test func aDoubtIsAskedOnceAndHeldAgainstAnIdlePeerToo() {
        var keepalive = usual
        #expect(keepalive.ask(at: at(100), patience: .seconds(5)) == .ping)
        #expect(keepalive.ask(at: at(103), patience: .seconds(5)) == .wait)
        #expect(keepalive.nextLook == at(105))
        #expect(keepalive.look(at: at(105)) == .giveUp)
    }

    @Test func theShorterPatienceCounts() {
        var keepalive = usual
        keepalive.becameBusy(at: at(100))
        #expect(keepalive.look(at: at(130)) == .ping)
        #expect(keepalive.ask(at: at(131), patience: .seconds(5)) == .wait)
        #expect(keepalive.nextLook == at(136))
        var hasty = Keepalive(interval: nil, timeout: .seconds(2))
        #expect(hasty.ask(at: at(100), patience: .seconds(5)) == .ping)
        #expect(hasty.nextLook == at(102))
    }

    @Test func withoutAnIntervalOnlyDoubtsAreAsked() {
        var keepalive = Keepalive(interval: nil, timeout: .seconds(20))
        keepalive.becameBusy(at: at(100))
        #expect(keepalive.nextLook == nil)
        #expect(keepalive.look(at: at(100_000)) == .wait)
    }
}

@Suite("A peer that falls silent", .timeLimit(.minutes(5)))
struct SilentPeerTests {
    @Test(arguments: [FramePeer.Manner.ignoresPings, .mute])
    func endsAWatchThatHasNoDeadline(_ manner: FramePeer.Manner) async throws {
        try await FramePeer.with(
            manner: manner, keepaliveInterval: .milliseconds(10),
            keepaliveTimeout: .milliseconds(10)
        ) { peer, client in
            let updates = client.watchUsage().makeAsyncIterator()
            let error = await #expect(throws: TollgateError.self) { try await updates.next() }
            #expect(error?.code == .unavailable)
            #expect(error?.message == "The service stopped responding")
            _ = try await peer.next(.closed)
        }
    }

    @Test func endsASenderThatWaits() async throws {
        try await FramePeer.with(
            manner: .ignoresPings, keepaliveInterval: .milliseconds(10),
            keepaliveTimeout: .milliseconds(10)
        ) { _, client in
            let stream = client.checkStream()
            let request = CheckRequest(
                tenantID: String(repeating: "a", count: 100_000), action: .charge,
                quantities: [Quantity(.spend, 1)])
            let error = await #expect(throws: TollgateError.self) {
                while true { try await stream.send(request) }
            }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func isKeptWhileItAnswersPings() async throws {
        try await FramePeer.with(keepaliveInterval: .milliseconds(5)) { peer, client in
            let updates = client.watchUsage().makeAsyncIterator()
            let head = try await peer.next(.headers)
            for _ in 0..<3 { _ = try await peer.next(.ping) }
            // tenant_id: "a"
            try await head.reply(
                FramePeer.head(head.stream), FramePeer.message(head.stream, [0x0a, 1, 0x61]))
            #expect(try await updates.next()?.tenantID == "a")
        }
    }

    @Test func isLeftAfterADeadline() async throws {
        try await FramePeer.with(
            manner: .ignoresPings, keepaliveTimeout: .milliseconds(10)
        ) { peer, client in
            // After this the peer has said all that it will say by itself.
            async let first = client.usage(UsageRequest(tenantID: "a"))
            try await peer.next(.headers).succeed()
            _ = try await first
            // A call whose time is up before it starts says nothing about the peer; so until one has started.
            let hasStarted = Atomic<Bool>(false)
            async let calls: Void = {
                repeat {
                    _ = try? await client.usage(
                        UsageRequest(tenantID: "a"), timeout: .milliseconds(20))
                } while hasStarted.load(ordering: .relaxed) == false
            }()
            _ = try await peer.next(.headers)
            hasStarted.store(true, ordering: .relaxed)
            await calls
            // No call is open now and no other deadline will pass.
            _ = try await peer.next(.closed)
        }
    }
}
