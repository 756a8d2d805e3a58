/// Walks the frame headers of an inbound byte stream and counts the frames that cost work without
/// asking for any.
///
/// nghttp2 reports neither unknown frames nor those it ignores, so the count is taken from the bytes
/// themselves: nine bytes a frame, wherever the reads happen to split them. The meter
/// judges no syntax but where nghttp2 does not.
struct FrameMeter {
    /// What the bytes of one read held.
    struct Count: Equatable {
        /// PRIORITY of no stream: nghttp2 passes over it, since it keeps no priorities (RFC 9113 §6.3).
        var isOffence = false
        /// Frames that are charged against the budget.
        var charged = 0
        /// Whether the last of them was a PING.
        var endsWithPing = false
        /// DATA frames that carry something: they are what control frames are there for.
        var carrying = 0
        /// HEADERS frames; CONTINUATION belongs to them and is charged besides.
        var headers = 0
    }

    private enum FrameType {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let resetStream: UInt8 = 3
        static let ping: UInt8 = 6
    }

    private static let headerLength = 9
    private static let endStream: UInt8 = 0x1
    private static let padded: UInt8 = 0x8

    /// Bytes to pass over before the next frame header: the preface at first, payloads later.
    private var skip: Int
    /// The first eight bytes of a header that the reads have split.
    private var header: UInt64 = 0
    private var headerCount = 0

    /// - Parameter prefaceLength: bytes ahead of the first frame: 24 on a server, 0 on a client.
    init(prefaceLength: Int) {
        skip = prefaceLength
    }

    /// Passes over the bytes of one read.
    ///
    /// - Complexity: O(frames), not O(bytes).
    mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Count {
        var count = Count()
        guard let base = bytes.baseAddress else { return count }
        var offset = 0
        while true {
            if skip > 0 {
                let step = min(skip, bytes.count - offset)
                skip -= step
                offset += step
            }
            guard offset < bytes.count else { return count }
            if headerCount == 0, bytes.count - offset >= Self.headerLength {
                let word = base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                take(UInt64(bigEndian: word), last: bytes[offset + 8], &count)
                offset += Self.headerLength
            } else {
                let byte = bytes[offset]
                if headerCount < 8 { header = header << 8 | UInt64(byte) }
                headerCount += 1
                offset += 1
                if headerCount == Self.headerLength {
                    headerCount = 0
                    take(header, last: byte, &count)
                }
            }
        }
    }

    /// Judges one frame by the first eight bytes of its header: length (24 bits), type, flags, stream; and by the last.
    private mutating func take(_ word: UInt64, last: UInt8, _ count: inout Count) {
        let length = Int(word >> 40)
        let type = UInt8(truncatingIfNeeded: word >> 32)
        let flags = UInt8(truncatingIfNeeded: word >> 24)
        skip = length
        switch type {
        case FrameType.headers:
            count.headers += 1  // requests are bounded by concurrency
        case FrameType.resetStream:
            return  // has a limiter of its own
        case FrameType.data where length > 0 && flags & Self.padded == 0:
            count.carrying += 1
        case FrameType.data where flags & Self.endStream != 0:
            return
        default:
            count.charged += 1
            count.endsWithPing = type == FrameType.ping
            if type == FrameType.priority, word & 0x7f_ffff == 0, last == 0 {
                count.isOffence = true
            }
        }
    }
}
