import CProtobufC
import Limits
import Testing

@testable import Wire

/// protobuf-c's nth allocation fails, for every n that a message needs.
@Suite struct AllocationFailureTests {
    /// Stands between protobuf-c and the arena.
    private struct Failing {
        var next: ProtobufCAllocator
        /// Allocations that still succeed.
        var left: Int
        var failures = 0
    }

    /// Runs `body` while the arena's allocator gives up after `count` allocations; whether it had to.
    private func failing<R>(
        after count: Int, _ decoder: RequestDecoder, _ body: () -> R
    ) -> (result: R, failed: Bool) {
        let allocator = decoder.arena.allocator
        let original = allocator.pointee
        defer { allocator.pointee = original }
        return withUnsafeTemporaryAllocation(of: Failing.self, capacity: 1) { buffer in
            buffer.initialize(repeating: Failing(next: original, left: count))
            allocator.pointee.allocator_data = buffer.baseAddress.map {
                UnsafeMutableRawPointer($0)
            }
            allocator.pointee.alloc = { data, size in
                guard let state = data?.assumingMemoryBound(to: Failing.self) else { return nil }
                guard state.pointee.left > 0 else {
                    state.pointee.failures += 1
                    return nil
                }
                state.pointee.left -= 1
                return state.pointee.next.alloc(state.pointee.next.allocator_data, size)
            }
            let result = body()
            return (result, buffer[0].failures > 0)
        }
    }

    @Test(arguments: RequestKind.allCases)
    func anyAllocation(_ kind: RequestKind) throws {
        let decoder = RequestDecoder()
        let message = kind == .check ? GoldenBytes.checkRequest : ProtoBytes.message(kind.valid)
        #expect(kind.failure(message, decoder) == nil)
        var allocations = 0
        while true {
            let (failure, failed) = failing(after: allocations, decoder) {
                kind.failure(message, decoder)
            }
            #expect((failure?.code == .malformed) == failed, "allocation \(allocations)")
            // The same decoder serves the next request.
            #expect(kind.failure(message, decoder) == nil)
            if !failed { break }
            allocations += 1
        }
        #expect(allocations >= 1)
    }

    @Test func unknownFieldsToo() {
        let decoder = RequestDecoder()
        var message = ProtoBytes.message(RequestKind.check.valid)
        for field in 100..<120 { message += ProtoBytes.text(field, "unknown") }
        var allocations = 0
        while true {
            let (failure, failed) = failing(after: allocations, decoder) {
                RequestKind.check.failure(message, decoder)
            }
            #expect((failure?.code == .malformed) == failed, "allocation \(allocations)")
            if !failed { break }
            allocations += 1
        }
        #expect(allocations > 20)
    }
}
