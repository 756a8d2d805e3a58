/// Finds where a request's head and body end in a connection's bytes (RFC 9112), so that the parser is given one request
/// at a time, and what stands behind it waits as bytes. It judges lengths; the rest is the parser's.
struct RequestCutter {
    enum Fault: Error, Equatable {
        /// The request's first line.
        case targetTooLong
        /// The header fields, or there are too many.
        case fieldsTooLong
        /// What should be the length of a chunk is none.
        case badChunk
    }

    struct Bounds {
        /// Bytes of the first line.
        var line: Int
        /// Bytes of the header fields together, and how many there may be.
        var fields: Int
        var fieldCount: Int
    }

    private let bounds: Bounds
    /// How much of the head has been looked at.
    private var scanned = 0
    private var lineStart = 0
    /// Where the first line ended; nil: it has not.
    private var lineEnd: Int?
    private var fieldCount = 0

    init(_ bounds: Bounds) { self.bounds = bounds }

    /// How many bytes the head has that these begin with; nil: its end is not there yet.
    ///
    /// - Parameter bytes: of the head so far: those of the last call and what came since.
    /// - Complexity: O(bytes that came since)
    mutating func headLength(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> Int? {
        while scanned < bytes.count {
            let position = scanned
            scanned += 1
            guard bytes[position] == UInt8(ascii: "\n") else { continue }
            var length = position - lineStart
            if length > 0, bytes[position - 1] == UInt8(ascii: "\r") { length -= 1 }
            lineStart = scanned
            if lineEnd == nil {
                // Empty lines before a request are passed over (RFC 9112 §2.2).
                if length > 0 { lineEnd = scanned }
            } else if length == 0 {
                try check(scanned)
                defer { self = RequestCutter(bounds) }
                return scanned
            } else {
                fieldCount += 1
            }
        }
        try check(scanned)
        return nil
    }

    private func check(_ length: Int) throws(Fault) {
        guard (lineEnd ?? length) <= bounds.line else { throw .targetTooLong }
        guard let lineEnd else { return }
        guard length - lineEnd <= bounds.fields, fieldCount <= bounds.fieldCount else {
            throw .fieldsTooLong
        }
    }
}

/// Finds the end of a body that comes in chunks (RFC 9112 §7.1).
struct ChunkCutter {
    private enum State: Equatable {
        /// In the line that says how long the next chunk is.
        case size(digits: Int, isOver: Bool)
        case data
        case dataEnd
        /// In the fields behind the last chunk; how long this line is so far.
        case trailer(Int)
        case done
    }

    /// Of the lines that carry lengths, and of the fields behind the last chunk together.
    private let maximumLine: Int
    private var state = State.size(digits: 0, isOver: false)
    private var size = 0
    private var line = 0

    init(maximumLine: Int) { self.maximumLine = maximumLine }

    var isDone: Bool { state == .done }

    /// How many of the bytes belong to the body.
    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(RequestCutter.Fault) -> Int {
        var position = 0
        while position < bytes.count, state != .done {
            if state == .data {
                let part = min(size, bytes.count - position)
                position += part
                size -= part
                if size == 0 { state = .dataEnd }
            } else {
                try take(bytes[position])
                position += 1
            }
        }
        return position
    }

    private mutating func take(_ byte: UInt8) throws(RequestCutter.Fault) {
        line += 1
        guard line <= maximumLine else { throw .badChunk }
        let isEnd = byte == UInt8(ascii: "\n")
        switch state {
        case .size(let digits, _) where isEnd:
            guard digits > 0 else { throw .badChunk }
            state = size == 0 ? .trailer(0) : .data
            line = 0
        case .size(let digits, let isOver):
            if !isOver, let digit = Character(Unicode.Scalar(byte)).hexDigitValue {
                // No body is that long.
                guard digits < 12 else { throw .badChunk }
                size = size << 4 | digit
                state = .size(digits: digits + 1, isOver: false)
            } else {
                // An extension of the chunk, or the line's CR.
                state = .size(digits: digits, isOver: true)
            }
        case .dataEnd where isEnd:
            state = .size(digits: 0, isOver: false)
            line = 0
        case .trailer(0) where isEnd: state = .done
        case .trailer where isEnd: state = .trailer(0)
        case .trailer(let length):
            if byte != UInt8(ascii: "\r") { state = .trailer(length + 1) }
        case .dataEnd:
            guard byte == UInt8(ascii: "\r") else { throw .badChunk }
        case .data, .done: break
        }
    }
}
