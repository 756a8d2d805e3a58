import Testing

@testable import ControlPlane

/// Where heads and bodies end, in whatever pieces they come.
@Suite struct CutterTests {
    private let bounds = RequestCutter.Bounds(line: 40, fields: 60, fieldCount: 3)

    /// What the cutter says of a head that comes in two pieces.
    private func headLength(
        _ text: String, first: Int
    ) throws -> Int? {
        var cutter = RequestCutter(bounds)
        let bytes = Array(text.utf8)
        for end in [first, bytes.count] {
            let length = try bytes[..<end].withUnsafeBytes {
                try cutter.headLength($0)
            }
            if let length { return length }
        }
        return nil
    }

    @Test func headsEndAtAnEmptyLine() throws {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nA: b\n\r\n",
        ] {
            for first in 0...head.utf8.count {
                #expect(try headLength(head + "GET /b", first: first) == head.utf8.count)
            }
        }
        #expect(try headLength("GET / HTTP/1.1\r\nHost: a\r\n", first: 3) == nil)
    }

    @Test func headsAreBounded() throws {
        let line = "GET /" + String(repeating: "a", count: 40)
        let field = "A: " + String(repeating: "b", count: 60)
        for first in [0, 20] {
            #expect(throws: RequestCutter.Fault.targetTooLong) {
                try headLength(line, first: first)
            }
            #expect(throws: RequestCutter.Fault.targetTooLong) {
                try headLength(line + "\r\n\r\n", first: first)
            }
            #expect(throws: RequestCutter.Fault.fieldsTooLong) {
                try headLength("GET / HTTP/1.1\r\n" + field, first: first)
            }
            #expect(throws: RequestCutter.Fault.fieldsTooLong) {
                try headLength("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n", first: first)
            }
        }
        #expect(throws: RequestCutter.Fault.targetTooLong) {
            try headLength(String(repeating: "\r\n", count: 30), first: 0)
        }
    }

    @Test func chunksEndWithAnEmptyOne() throws {
        for body in [
            "0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n",
            "00a;x=y\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\nT: v\r\n\r\n",
            "A\n0123456789\n0\nT: v\n\n",
        ] {
            let bytes = Array((body + "GET /").utf8)
            for first in 0...body.utf8.count {
                var cutter = ChunkCutter(maximumLine: 40)
                var taken = 0
                for end in [first, bytes.count] where !cutter.isDone {
                    taken += try bytes[taken..<end].withUnsafeBytes {
                        try cutter.take($0)
                    }
                }
                #expect(cutter.isDone && taken == body.utf8.count, "\(body) \(first)")
            }
        }
    }

    @Test func whatIsNoChunkIsRefused() {
        for body in [
            "\r\n", "x\r\n", "3\r\nabcd", "1000000000000\r\n",
            "1;" + String(repeating: "x", count: 50),
            "0\r\nT: " + String(repeating: "x", count: 50),
        ] {
            #expect(throws: RequestCutter.Fault.badChunk, "\(body)") {
                var cutter = ChunkCutter(maximumLine: 40)
                _ = try Array(body.utf8).withUnsafeBytes {
                    try cutter.take($0)
                }
            }
        }
    }
}
