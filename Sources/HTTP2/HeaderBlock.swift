import CNGHTTP2

/// A list of header fields that is built once and sent many times.
///
/// nghttp2 reads names and values in place, without a copy. The block therefore must outlive every
/// session that was given its `view`; blocks are made once per event loop or client.
package final class HeaderBlock: @unchecked Sendable {
    // SAFETY: the memory is written in `init` and never again until `deinit`.

    private let fields: UnsafeMutablePointer<nghttp2_nv>
    private let storage: UnsafeMutablePointer<UInt8>
    private let count: Int

    /// - Parameter list: names in lower case and values, pseudo fields first.
    package init(_ list: [(name: String, value: String)]) {
        let total = list.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        storage = .allocate(capacity: max(1, total))
        fields = .allocate(capacity: max(1, list.count))
        count = list.count
        let flags = UInt8(
            NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
        var next = storage
        func place(_ text: String) -> UnsafeMutablePointer<UInt8> {
            let start = next
            for byte in text.utf8 {
                next.initialize(to: byte)
                next += 1
            }
            return start
        }
        for (index, field) in list.enumerated() {
            (fields + index).initialize(
                to: nghttp2_nv(
                    name: place(field.name), value: place(field.value),
                    namelen: field.name.utf8.count, valuelen: field.value.utf8.count, flags: flags))
        }
    }

    deinit {
        fields.deallocate()
        storage.deallocate()
    }

    /// The form in which sessions take it; no reference counting.
    package var view: HeaderView { HeaderView(fields: UnsafeRawPointer(fields), count: count) }
}

/// An unowned view of a `HeaderBlock`.
package struct HeaderView: @unchecked Sendable {
    // SAFETY: nothing is ever written through this pointer.

    /// Points at `nghttp2_nv`s; raw so that no C type leaves this target.
    let fields: UnsafeRawPointer
    let count: Int
}

/// Header fields whose values are made per call: status messages, deadlines, tokens. Reusable.
package struct HeaderFields: ~Copyable {
    /// Name and value length (two `Int32`) and their bytes, one field after the other.
    private var bytes = ByteQueue()
    private(set) var count = 0

    package init() {}

    package mutating func removeAll() {
        bytes.reset(retaining: 4_096)
        count = 0
    }

    /// - Parameters:
    ///   - name: in lower case.
    ///   - value: at most 64 KiB; must be a legal field value.
    package mutating func append(name: StaticString, value: UnsafeRawBufferPointer) {
        append(
            name: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount),
            value: value)
    }

    package mutating func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        precondition(value.count <= 65_536 && name.count <= 256, "a field this long is a mistake")
        var lengths = (Int32(name.count), Int32(value.count))
        withUnsafeBytes(of: &lengths) { bytes.append($0) }
        bytes.append(name)
        bytes.append(value)
        count += 1
    }

    mutating func replace(with other: borrowing HeaderFields) {
        bytes.reset(retaining: 4_096)
        bytes.append(other.bytes.readable)
        count = other.count
    }

    /// Calls `body` with the fields of `view` followed by these, as one array for nghttp2, which
    /// copies what is not constant before the call ends.
    func withFields<R>(
        after view: HeaderView?, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> R
    ) -> R {
        let leading = view?.count ?? 0
        return withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: leading + count + 1) {
            fields in
            if let view, let base = fields.baseAddress {
                base.initialize(
                    from: view.fields.assumingMemoryBound(to: nghttp2_nv.self), count: leading)
            }
            let source = bytes.readable
            var offset = 0
            for index in leading..<(leading + count) {
                guard let base = source.baseAddress else { break }
                let name = Int(base.loadUnaligned(fromByteOffset: offset, as: Int32.self))
                let value = Int(base.loadUnaligned(fromByteOffset: offset + 4, as: Int32.self))
                // SAFETY: nghttp2 takes mutable pointers but only reads through them.
                let start = UnsafeMutableRawPointer(mutating: base + offset + 8)
                    .assumingMemoryBound(to: UInt8.self)
                fields[index] = nghttp2_nv(
                    name: start, value: start + name, namelen: name, valuelen: value, flags: 0)
                offset += 8 + name + value
            }
            return body(fields.baseAddress.map { UnsafePointer($0) }, leading + count)
        }
    }
}
