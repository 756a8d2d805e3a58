import Glibc
import Testing

@testable import CommandIO

@Suite struct BackgroundLinesTests {
    /// Nobody reads a pipe: whoever writes goes on. When somebody does, each line is there, or counted.
    @Test(.timeLimit(.minutes(1))) func aReaderThatStopsHoldsNobodyUp() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let lines = BackgroundLines(ends[1], maximum: 32 << 10)
        let count = 5_000
        for number in 0..<count { lines.write("\(number) \(String(repeating: "x", count: 90))\n") }
        // Nobody reads: it gives up.
        lines.finish(within: 5)
        lines.write("the last\n")
        #expect(!lines.isHalfEmpty)

        let reader = try #require(fdopen(ends[0], "r"))
        defer { fclose(reader) }
        var buffer = [CChar](repeating: 0, count: 256)
        func next() throws -> String {
            try #require(fgets(&buffer, Int32(buffer.count), reader) != nil)
            return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        }
        var seen = 0
        var lost = 0
        while seen + lost <= count {
            let line = try next()
            if line.contains("were dropped here") {
                lost += Int(line.split(separator: " ")[1]) ?? 0
            } else {
                seen += 1
            }
        }
        #expect(seen + lost == count + 1)
        #expect(seen >= 300 && lost > 0)
        #expect(lines.isHalfEmpty)
        lines.write("after that\n")
        #expect(try next() == "after that\n")
    }

    /// A bound is for what waits: where nothing does, a line is written however long it is.
    @Test(.timeLimit(.minutes(1))) func aLoneLineMayBeLongerThanTheBound() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        let lines = BackgroundLines(ends[1], maximum: 100)
        let text = String(repeating: "x", count: 1_000) + "\n"
        lines.write(text)
        var found: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4_096)
        while found.last != UInt8(ascii: "\n") {
            let count = read(ends[0], &piece, piece.count)
            try #require(count > 0)
            found += piece[..<count]
        }
        #expect(String(decoding: found, as: UTF8.self) == text)
    }

    @Test(.timeLimit(.minutes(1))) func aFailureIsTold() async throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(full >= 0)
        let (told, failures) = AsyncStream.makeStream(of: Int32.self)
        let lines = BackgroundLines(full) { failures.yield($0) }
        lines.write("ready\n")
        var waiting = told.makeAsyncIterator()
        #expect(await waiting.next() == ENOSPC)
    }
}
