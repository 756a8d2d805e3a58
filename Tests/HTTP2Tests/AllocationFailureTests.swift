import CNGHTTP2
import Glibc
import Testing

@testable import HTTP2

/// nghttp2's nth allocation fails, for every n of a conversation: nothing crashes, and all memory comes back.
@Suite struct AllocationFailureTests {
    /// In the place of the pool. Memory is given back at the end only, so that a block that is freed twice is counted
    /// and does no harm.
    private final class FailingMemory {
        let memory = SessionMemory()
        /// The allocation that fails, counted down; below 1: none.
        private var countdown: Int
        private(set) var failures = 0
        /// Blocks that were not freed, with their bytes.
        private(set) var live: [UnsafeMutableRawPointer: Int] = [:]
        private var freed: [UnsafeMutableRawPointer] = []
        /// Blocks that were freed and had not been allocated, or had been freed before.
        private(set) var strayFrees = 0

        init(failing nth: Int) {
            countdown = nth
            // SAFETY: the object outlives the sessions that use the memory.
            memory.nghttp2.pointee = nghttp2_mem(
                mem_user_data: Unmanaged.passUnretained(self).toOpaque(),
                malloc: { FailingMemory.of($1).allocate($0) },
                free: { FailingMemory.of($1).free($0) },
                calloc: { count, size, user in
                    let block = FailingMemory.of(user).allocate(count * size)
                    if let block { memset(block, 0, count * size) }
                    return block
                },
                realloc: { FailingMemory.of($2).reallocate($0, $1) })
        }

        deinit {
            for block in freed { Glibc.free(block) }
            for block in live.keys { Glibc.free(block) }
        }

        private static func of(_ user: UnsafeMutableRawPointer?) -> FailingMemory {
            guard let user else { preconditionFailure("nghttp2 hands back what it was given") }
            return Unmanaged<FailingMemory>.fromOpaque(user).takeUnretainedValue()
        }

        private func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
            countdown -= 1
            if countdown == 0 {
                failures += 1
                return nil
            }
            guard let block = malloc(size) else { return nil }
            live[block] = size
            return block
        }

        private func reallocate(
            _ old: UnsafeMutableRawPointer?, _ size: Int
        ) -> UnsafeMutableRawPointer? {
            guard let block = allocate(size) else { return nil }
            if let old {
                memcpy(block, old, min(size, live[old] ?? 0))
                free(old)
            }
            return block
        }

        private func free(_ block: UnsafeMutableRawPointer?) {
            guard let block else { return }
            if live.removeValue(forKey: block) == nil {
                strayFrees += 1
            } else {
                freed.append(block)
            }
        }
    }

    /// Some calls, a drain and an abandoned connection; whether the nth allocation was reached.
    private func converse(failing nth: Int, server isServer: Bool) -> Bool {
        let failing = FailingMemory(failing: nth)
        let calm = SessionMemory()
        let heads = [Pair.unary, Pair.streaming, Pair.requestHeaders("/unknown")]
        do {
            let server = ServerSession(
                configuration: SessionConfiguration(), memory: isServer ? failing.memory : calm,
                routes: Pair.routes)
            let client = ClientSession(
                configuration: SessionConfiguration(), memory: isServer ? calm : failing.memory)
            for round in 0..<3 {
                for head in heads { send(client, head, bodyBytes: 4_000 * round) }
                exchange(client, server)
                if round == 1 { server.announceShutdown() }
            }
            server.refuseNewStreams()
            exchange(client, server)
            server.abandon()
            client.abandon()
            while let (stream, _) = server.nextReady() { server.release(stream) }
            while let (stream, _) = client.nextReady() { client.release(stream) }
        }
        withExtendedLifetime(heads) {}
        #expect(failing.live.isEmpty, "allocation \(nth): \(failing.live.count) blocks are left")
        // nghttp2 1.52 frees a response's queued DATA twice when the stream's place in its queue cannot be had.
        withKnownIssue("allocation \(nth)", isIntermittent: true) {
            #expect(failing.strayFrees == 0)
        } when: {
            isServer && failing.strayFrees == 1
        }
        return failing.failures > 0
    }

    private func send(_ client: borrowing ClientSession, _ head: HeaderBlock, bodyBytes: Int) {
        guard let stream = client.begin() else { return }
        [UInt8](repeating: 0x61, count: bodyBytes).withUnsafeBytes {
            client.output(stream)?.pointee.append($0)
        }
        if !client.submit(stream, headers: head.view, fields: HeaderFields(), finished: true) {
            client.release(stream)
        }
    }

    /// Moves bytes both ways and answers, until neither side has anything to say.
    private func exchange(_ client: borrowing ClientSession, _ server: borrowing ServerSession) {
        var moved = true
        while moved {
            moved = false
            while true {
                let bytes = client.nextOutput()
                if bytes.isEmpty { break }
                moved = true
                server.receive(bytes, nowNanoseconds: 1)
            }
            while let (stream, events) = server.nextReady() {
                if events.contains(.closed) {
                    server.release(stream)
                } else if events.contains(.end) {
                    server.output(stream)?.pointee.append(server.input(stream))
                    server.respond(
                        stream, headers: Pair.response.view, trailers: Pair.ok.view)
                }
            }
            while true {
                let bytes = server.nextOutput()
                if bytes.isEmpty { break }
                moved = true
                client.receive(bytes, nowNanoseconds: 1)
            }
            while let (stream, events) = client.nextReady() {
                if events.contains(.end) || events.contains(.closed) { client.release(stream) }
            }
        }
    }

    @Test(arguments: [true, false])
    func anyAllocation(server: Bool) {
        var nth = 1
        while converse(failing: nth, server: server) { nth += 1 }
        #expect(nth > 50, "the conversation allocates \(nth - 1) times")
    }
}
