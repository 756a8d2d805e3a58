/// Names a stream of one session. A handle whose stream is over names nothing any more, even when
/// its place has been taken by another stream.
package struct StreamHandle: Hashable, Sendable, BitwiseCopyable {
    /// The place in the session's table, 0..<maximumConcurrentStreams: a caller may keep its own
    /// state of the stream in an array under this index.
    package let index: Int32
    package let generation: UInt32

    /// Names no stream.
    package static var none: StreamHandle { StreamHandle(index: -1, generation: 0) }
}

/// What has happened on a stream since it was last reported. Several happenings are one report.
package struct StreamEvents: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// As the protocol's, but not generic: callers in other targets need no witness table.
    package func contains(_ other: StreamEvents) -> Bool {
        rawValue & other.rawValue == other.rawValue
    }

    /// The header fields are complete.
    package static var head: StreamEvents { StreamEvents(rawValue: 1) }
    /// Body bytes have arrived (server: on routes that stream requests).
    package static var data: StreamEvents { StreamEvents(rawValue: 2) }
    /// The peer has sent its last byte; on a client the trailers are complete.
    package static var end: StreamEvents { StreamEvents(rawValue: 4) }
    /// The stream was reset by either side, or the session went down.
    package static var closed: StreamEvents { StreamEvents(rawValue: 8) }
    /// The body passed the route's limit or the session's; the rest is thrown away.
    package static var overflow: StreamEvents { StreamEvents(rawValue: 16) }
    /// Queued output has been handed to the transport: there is room for more.
    package static var writable: StreamEvents { StreamEvents(rawValue: 32) }
}

/// The state of one stream. Records are never freed before their session: they go round a free list
/// with their buffers.
struct StreamRecord: ~Copyable {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// nghttp2 has this stream open.
        static let open = Flags(rawValue: 1)
        /// The caller has been shown this stream (or, on a client, made it) and owes it an end.
        static let held = Flags(rawValue: 2)
        /// In the list of streams to be reported.
        static let queued = Flags(rawValue: 4)
        /// The response or request head was submitted.
        static let started = Flags(rawValue: 8)
        /// Nothing will be added to `output`.
        static let finished = Flags(rawValue: 16)
        /// The data provider ran dry and must be woken.
        static let deferred = Flags(rawValue: 32)
        /// The peer has ended its half.
        static let remoteEnded = Flags(rawValue: 64)
        /// Body bytes are thrown away.
        static let discarding = Flags(rawValue: 128)
        /// Body bytes are reported as they come.
        static let streaming = Flags(rawValue: 256)
        /// The caller wants `.writable` when `output` runs dry.
        static let wantsWritable = Flags(rawValue: 512)
        /// The caller has let go; nothing is reported any more.
        static let released = Flags(rawValue: 1_024)
        /// The response ends before the request has.
        static let endsEarly = Flags(rawValue: 2_048)
        /// It was refused, or served, as a stranger's: it earns nothing, and counts against what strangers may have.
        static let rejected = Flags(rawValue: 4_096)
        /// The answer carries fields of the request back.
        static let echoes = Flags(rawValue: 8_192)
    }

    /// Whether the caller works on the request, or has answered it in part.
    var isUnderWay: Bool {
        flags.contains(.started) || flags.contains(.held) && flags.contains(.remoteEnded)
    }

    let index: Int32
    var generation: UInt32 = 0
    var id: Int32 = 0
    var flags: Flags = []
    var events: StreamEvents = []
    var errorCode: UInt32 = 0
    /// In the free list or in the report list; a record is never in both.
    var next: UnsafeMutablePointer<StreamRecord>?
    var inputLimit = 0
    /// Bytes of `output` that the session's total includes.
    var accountedOutput = 0
    /// Bytes of `metadata` that the session's total includes.
    var accountedMetadata = 0
    var request = RequestHead()
    var response = ResponseHead()
    var input = ByteQueue()
    /// Apart, so that the caller can be given its address.
    let output: UnsafeMutablePointer<ByteQueue>
    /// Header values that outlive their block.
    var metadata = ByteQueue()
    /// Trailers that wait for the body to be sent: a constant block, or `trailerFields`.
    var trailers: HeaderView?
    var trailerFields = HeaderFields()
    /// Fields that the answer carries back (`Flags.echoes`), and those that are kept; nil: none.
    var echo: StreamEcho?

    init(index: Int32) {
        self.index = index
        output = .allocate(capacity: 1)
        output.initialize(to: ByteQueue())
    }

    deinit {
        output.deinitialize(count: 1)
        output.deallocate()
    }
}

typealias StreamPointer = UnsafeMutablePointer<StreamRecord>

/// Fields of a request that its answer carries back, and those that are kept for who asks. Apart from the record, since most
/// have none.
final class StreamEcho {
    var head = HeaderFields()
    var trailers = HeaderFields()
    /// Of several fields of a name the values follow each other, with a comma between.
    private(set) var kept: [KeptField: [UInt8]] = [:]
    /// Bytes of names and values.
    private(set) var byteCount = 0

    private func keep(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let field = KeptField(String(decoding: name, as: UTF8.self))
        if kept[field] == nil {
            kept[field] = Array(value)
        } else {
            kept[field]?.append(UInt8(ascii: ","))
            kept[field]?.append(contentsOf: value)
        }
    }

    /// Takes a field if it is one of `echoes`.
    static func take(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, _ echoes: RouteTable.Echoes,
        for record: StreamPointer
    ) {
        for index in 0..<echoes.count {
            let echo = echoes.entries + index
            let expected = UnsafeRawBufferPointer(
                start: echo.pointee.name, count: echo.pointee.nameLength)
            guard expected.elementsEqual(name) else { continue }
            let own = record.pointee.echo ?? StreamEcho()
            record.pointee.echo = own
            own.byteCount += name.count + value.count
            switch echo.pointee.use {
            case .head: own.head.append(name: name, value: value)
            case .trailers: own.trailers.append(name: name, value: value)
            case .kept: own.keep(name, value)
            }
            if echo.pointee.use != .kept { record.pointee.flags.insert(.echoes) }
        }
    }
}

/// The streams of a session: records in chunks that never move, a free list (last in, first out, so
/// that warm buffers are reused) and the list of streams to be reported (first in, first out).
struct StreamTable: ~Copyable {
    private static let chunkShift = 4
    private static let chunkCount = 1 << chunkShift

    private let capacity: Int
    private let chunks: UnsafeMutablePointer<StreamPointer>
    private var made = 0
    private var free: StreamPointer?
    private var firstReady: StreamPointer?
    private var lastReady: StreamPointer?

    init(capacity: Int) {
        precondition(capacity >= 1 && capacity <= 65_536, "1...65 536 streams")
        self.capacity = capacity
        chunks = .allocate(capacity: (capacity + Self.chunkCount - 1) >> Self.chunkShift)
    }

    deinit {
        for index in 0..<made { record(at: index).deinitialize(count: 1) }
        for chunk in 0..<((made + Self.chunkCount - 1) >> Self.chunkShift) {
            chunks[chunk].deallocate()
        }
        chunks.deallocate()
    }

    /// A record for a new stream; nil when all are taken.
    mutating func take() -> StreamPointer? {
        if let record = free {
            free = record.pointee.next
            record.pointee.next = nil
            return record
        }
        guard made < capacity else { return nil }
        if made & (Self.chunkCount - 1) == 0 {
            chunks[made >> Self.chunkShift] = .allocate(capacity: Self.chunkCount)
        }
        let record = record(at: made)
        record.initialize(to: StreamRecord(index: Int32(made)))
        made += 1
        return record
    }

    /// Gives a record back. It must not be in the report list.
    mutating func give(_ record: StreamPointer, retainedBytes: Int) {
        record.pointee.generation &+= 1
        record.pointee.id = 0
        record.pointee.flags = []
        record.pointee.events = []
        record.pointee.errorCode = 0
        record.pointee.accountedOutput = 0
        record.pointee.accountedMetadata = 0
        record.pointee.request = RequestHead()
        record.pointee.response = ResponseHead()
        record.pointee.input.reset(retaining: retainedBytes)
        record.pointee.output.pointee.reset(retaining: retainedBytes)
        record.pointee.metadata.reset(retaining: retainedBytes)
        record.pointee.trailers = nil
        record.pointee.trailerFields.removeAll()
        if record.pointee.echo != nil { record.pointee.echo = nil }
        record.pointee.next = free
        free = record
    }

    /// Gives back the memory of records that wait for a stream, but for a few.
    ///
    /// - Complexity: O(free records)
    func trim(keeping count: Int) {
        var record = free
        var kept = 0
        while let pointer = record {
            kept += 1
            if kept > count {
                pointer.pointee.input.reset(retaining: 0)
                pointer.pointee.output.pointee.reset(retaining: 0)
                pointer.pointee.metadata.reset(retaining: 0)
            }
            record = pointer.pointee.next
        }
    }

    /// The record of a handle; nil when its stream is over.
    func find(_ handle: StreamHandle) -> StreamPointer? {
        guard handle.index >= 0, handle.index < made else { return nil }
        let record = record(at: Int(handle.index))
        guard record.pointee.generation == handle.generation, record.pointee.flags.contains(.held)
        else {
            return nil
        }
        return record
    }

    mutating func appendReady(_ record: StreamPointer) {
        guard !record.pointee.flags.contains(.queued) else { return }
        record.pointee.flags.insert(.queued)
        record.pointee.next = nil
        if let last = lastReady { last.pointee.next = record } else { firstReady = record }
        lastReady = record
    }

    var hasReady: Bool { firstReady != nil }

    mutating func popReady() -> StreamPointer? {
        guard let record = firstReady else { return nil }
        firstReady = record.pointee.next
        if firstReady == nil { lastReady = nil }
        record.pointee.next = nil
        record.pointee.flags.remove(.queued)
        return record
    }

    /// Records made so far; each has an index below.
    var count: Int { made }

    func record(at index: Int) -> StreamPointer {
        chunks[index >> Self.chunkShift] + (index & (Self.chunkCount - 1))
    }
}
