import Testing

@testable import HTTP2

@Suite struct FrameMeterTests {
    @Test func countsTheSameHoweverTheBytesAreSplit() {
        var wire = Wire.opened  // SETTINGS: 1
        wire.frame(type: 1, flags: 4, stream: 1, [UInt8](repeating: 1, count: 300))
        wire.frame(type: 0, flags: 0, stream: 1, [1, 2, 3])
        wire.frame(type: 0, flags: 0, stream: 1, [])  // 2
        wire.frame(type: 0, flags: 8, stream: 1, [2, 0, 0])  // 3: padding alone
        wire.frame(type: 0, flags: 1, stream: 1, [])
        wire.frame(type: 0x77, flags: 0, stream: 1, [1])  // 4
        wire.frame(type: 6, flags: 0, stream: 0, [UInt8](repeating: 0, count: 8))  // 5
        for step in 1...wire.bytes.count {
            var meter = FrameMeter(prefaceLength: Wire.preface.count)
            var charged = 0
            var endsWithPing = false
            for start in stride(from: 0, to: wire.bytes.count, by: step) {
                let part = Array(wire.bytes[start..<min(wire.bytes.count, start + step)])
                let count = part.withUnsafeBytes { meter.scan($0) }
                charged += count.charged
                if count.charged > 0 { endsWithPing = count.endsWithPing }
            }
            #expect(charged == 5 && endsWithPing, "step \(step)")
        }
    }
}

@Suite struct TokenBucketTests {
    @Test func givesItsBurstThenItsRate() {
        var bucket = TokenBucket(.init(burst: 3, perSecond: 2))
        var granted = (0..<5).filter { _ in bucket.take(nowNanoseconds: 10) }.count
        #expect(granted == 3)
        granted = (0..<5).filter { _ in bucket.take(nowNanoseconds: 1_000_000_010) }.count
        #expect(granted == 2)
        granted = (0..<9).filter { _ in bucket.take(nowNanoseconds: .max) }.count
        #expect(granted == 3)
        bucket.earn(2)
        granted = (0..<9).filter { _ in bucket.take(nowNanoseconds: 0) }.count
        #expect(granted == 2)
    }

    @Test func fractionsOfATokenAreNotLost() {
        var bucket = TokenBucket(.init(burst: 1, perSecond: 1))
        var clock: UInt64 = 0
        var granted = 0
        for _ in 0..<100 {
            clock += 300_000_000
            if bucket.take(nowNanoseconds: clock) { granted += 1 }
        }
        #expect(granted >= 30 && granted <= 31)
    }
}

@Suite struct ByteQueueTests {
    /// What a queue keeps is within a bound of what it holds, whatever it held before.
    @Test func keepsLittleMoreThanItHolds() {
        var queue = ByteQueue()
        let large = [UInt8](repeating: 7, count: 100_000)
        for left in [99_999, 50_000, 9_000, 3, 0] {
            large.withUnsafeBytes { queue.append($0) }
            #expect(queue.capacity >= 100_000)
            queue.consume(queue.count - left, retaining: 4_096)
            #expect(queue.capacity <= max(4_096, 4 * left), "\(left)")
            #expect(queue.readable.elementsEqual(large.suffix(left)))
            queue.consume(left, retaining: 4_096)
            #expect(queue.isEmpty && queue.capacity <= 4_096)
        }
    }

    @Test func behavesAsAnArray() {
        var random = SeededGenerator(state: 42)
        var queue = ByteQueue()
        var model: [UInt8] = []
        for _ in 0..<5_000 {
            if Bool.random(using: &random) {
                let bytes = (0..<Int.random(in: 0...600, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                bytes.withUnsafeBytes { queue.append($0) }
                model += bytes
            } else {
                let count = Int.random(in: 0...model.count, using: &random)
                if Bool.random(using: &random) {
                    queue.consume(count)
                } else {
                    queue.consume(count, retaining: 1_000)
                }
                model.removeFirst(count)
            }
            if Int.random(in: 0..<200, using: &random) == 0 {
                queue.reset(retaining: 1_000)
                model = []
            }
            let equal = Array(queue.readable) == model
            #expect(equal)
        }
    }
}

@Suite struct FieldTextTests {
    private func timeout(_ text: String) -> Int64? {
        Array(text.utf8).withUnsafeBytes { FieldText.timeout($0) }
    }

    @Test func timeouts() {
        #expect(timeout("1n") == 1)
        #expect(timeout("2u") == 2_000)
        #expect(timeout("3m") == 3_000_000)
        #expect(timeout("4S") == 4_000_000_000)
        #expect(timeout("5M") == 300_000_000_000)
        #expect(timeout("6H") == 21_600_000_000_000)
        #expect(timeout("0S") == 0)
        #expect(timeout("99999999H") == .max)
        for bad in ["", "S", "1", "1s", "-1S", "1 S", "123456789n", "1.5S"] {
            #expect(timeout(bad) == nil, "\(bad)")
        }
    }

    @Test func contentTypes() {
        func type(_ text: String) -> ContentType {
            Array(text.utf8).withUnsafeBytes { FieldText.contentType($0) }
        }
        #expect(type("application/grpc") == .grpc)
        #expect(type("application/grpc+proto") == .grpc)
        #expect(type("application/grpc;charset=x") == .grpc)
        #expect(type("application/grpc-web") == .other)
        #expect(type("application/json") == .other)
        #expect(type("") == .other)
    }
}

@Suite struct RouteTableTests {
    @Test func findsExactPathsOnly() {
        let view = Pair.routes.view
        func find(_ path: String) -> Int { Array(path.utf8).withUnsafeBytes { view.find($0) } }
        #expect(find(Pair.path) == 0)
        #expect(find(Pair.streamPath) == 1)
        #expect(find("/test.Service/Large") == 2)
        #expect(find("/test.Service/Unarx") == -1)
        #expect(find("/test.Service/Unary/") == -1)
        #expect(find("") == -1)
    }
}
