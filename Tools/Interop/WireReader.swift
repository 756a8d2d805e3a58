/// The fields of a protobuf message, one after the other, as far as `grpc.testing` uses them.
struct WireReader {
    enum Value {
        case number(UInt64)
        case bytes(UnsafeRawBufferPointer)
        /// A fixed one, which no message of ours has.
        case other
    }

    private var rest: UnsafeRawBufferPointer
    /// The bytes are no message: what was read so far is to be dropped.
    private(set) var isMalformed = false

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    /// The next field; nil: there is none, or the bytes are no message.
    mutating func next() -> (number: Int, value: Value)? {
        guard !rest.isEmpty else { return nil }
        guard let tag = varint(), tag >> 3 > 0 else { return broken() }
        let value: Value?
        switch tag & 7 {
        case 0: value = varint().map { .number($0) }
        case 1: value = take(8).map { _ in .other }
        case 2: value = varint().flatMap { take($0) }.map { .bytes($0) }
        case 5: value = take(4).map { _ in .other }
        default: value = nil
        }
        guard let value else { return broken() }
        return (Int(truncatingIfNeeded: tag >> 3), value)
    }

    private mutating func broken() -> (number: Int, value: Value)? {
        isMalformed = true
        rest = UnsafeRawBufferPointer(start: nil, count: 0)
        return nil
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for (index, byte) in rest.prefix(10).enumerated() {
            value |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte < 0x80 {
                _ = take(UInt64(index + 1))
                return value
            }
        }
        return nil
    }

    private mutating func take(_ count: UInt64) -> UnsafeRawBufferPointer? {
        guard count <= UInt64(rest.count) else { return nil }
        let front = UnsafeRawBufferPointer(rebasing: rest[..<Int(count)])
        rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...])
        return front
    }
}
