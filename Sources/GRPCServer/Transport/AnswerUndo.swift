internal import HTTP2

/// The right, and the duty, to say what becomes of the answer in hand: begun before the service is asked, and ended in
/// exactly one of four ways. What would take the answer back, the bytes that the service noted meanwhile, goes with it.
struct AnswerUndo: ~Copyable {
    /// Unretained, and not retained for a use either, as an `unowned(unsafe)` reference would be: it does not outlive the
    /// connection's work on one request, which the loop does.
    private let loop: Unmanaged<ServerLoop>
    /// Where the answer's bytes begin among those of the loop.
    private let start: Int

    /// - Parameter noted: bytes that were noted for the answer before its request was put off.
    @inline(__always)
    init(_ loop: ServerLoop, noted: [UInt8] = []) {
        self.loop = Unmanaged.passUnretained(loop)
        start = loop.undoneBytes
        if !noted.isEmpty { noted.withUnsafeBytes { loop.call.undo($0) } }
    }

    deinit { Self.isForgotten() }

    @inline(never)
    private static func isForgotten() {
        preconditionFailure("nobody said what becomes of an answer")
    }

    /// The answer leaves, or has nothing to take back.
    @inline(__always)
    consuming func forget() {
        loop._withUnsafeGuaranteedRef { $0.truncateUndo(to: start) }
        discard self
    }

    /// The answer does not leave: the service takes back what it did.
    consuming func withdraw() {
        loop._withUnsafeGuaranteedRef { loop in
            let noted = loop.call.undo.pointee.readable[start...]
            if !noted.isEmpty { loop.service?.withdraw(UnsafeRawBufferPointer(rebasing: noted)) }
            loop.truncateUndo(to: start)
        }
        discard self
    }

    /// The answer waits for the disk, and its bytes with it, where they are. Returns how many.
    consuming func keep() -> Int {
        let count = loop._withUnsafeGuaranteedRef { $0.undoneBytes } - start
        discard self
        return count
    }

    /// The request is put off: the bytes are to be kept with it.
    consuming func putOff() -> [UInt8] {
        let noted = loop._withUnsafeGuaranteedRef { loop in
            defer { loop.truncateUndo(to: start) }
            return Array(loop.call.undo.pointee.readable[start...])
        }
        discard self
        return noted
    }
}

extension ServerLoop {
    /// Bytes that would take back answers which have not left.
    @inline(__always)
    var undoneBytes: Int { call.undo.pointee.count }

    @inline(__always)
    fileprivate func truncateUndo(to count: Int) {
        if call.undo.pointee.count > count { call.undo.pointee.truncate(to: count) }
    }
}
