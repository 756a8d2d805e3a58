import CTollgate
import Limits

/// Groups, the oldest way to nest messages in protobuf (wire types 3 and 4). The contract has none, and a field that it does
/// not know is passed over, whatever its wire type; but protobuf-c refuses a message with a group. Here they are cut out.
///
/// Done only for messages that protobuf-c has refused: it costs a copy.
struct UnknownGroups {
    /// Groups in groups; protobuf's own libraries bear as many.
    private static let deepest = 100

    private var found = false

    /// The message without its groups, in itself and in the messages that it holds.
    ///
    /// - Returns: nil: there are none, or the bytes are no message at all.
    static func removed(
        from bytes: BorrowedBytes, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) -> [UInt8]? {
        var groups = UnknownGroups()
        var input = GroupReader(bytes)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        guard groups.copy(&input, descriptor, to: &output), groups.found else { return nil }
        return output
    }

    /// - Returns: false: malformed.
    private mutating func copy(
        _ input: inout GroupReader, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        to output: inout [UInt8]
    ) -> Bool {
        while !input.isAtEnd {
            let start = input.position
            guard let tag = input.tag() else { return false }
            switch tag.wire {
            case 3:
                found = true
                // As with any other wire type that is not the field's.
                guard Self.field(descriptor, tag.number) == nil else { return false }
                guard Self.skipGroup(&input, tag.number, depth: 1) else { return false }
                continue
            case 2:
                let tagEnd = input.position
                guard let body = input.delimited() else { return false }
                if let field = Self.field(descriptor, tag.number),
                    field.pointee.type == PROTOBUF_C_TYPE_MESSAGE,
                    let nested = field.pointee.descriptor?.assumingMemoryBound(
                        to: ProtobufCMessageDescriptor.self)
                {
                    var inner = GroupReader(body)
                    var copied: [UInt8] = []
                    guard copy(&inner, nested, to: &copied) else { return false }
                    output += input.bytes[start..<tagEnd]
                    Self.append(UInt64(copied.count), to: &output)
                    output += copied
                    continue
                }
            default:
                guard input.skipPlain(tag.wire) else { return false }
            }
            output += input.bytes[start..<input.position]
        }
        return true
    }

    private static func skipGroup(
        _ input: inout GroupReader, _ number: UInt64, depth: Int
    ) -> Bool {
        guard depth <= deepest else { return false }
        while let tag = input.tag() {
            switch tag.wire {
            case 4: return tag.number == number
            case 3: guard skipGroup(&input, tag.number, depth: depth + 1) else { return false }
            case 2: guard input.delimited() != nil else { return false }
            default: guard input.skipPlain(tag.wire) else { return false }
            }
        }
        return false
    }

    /// A field of a message by its number; nil: it is not known.
    private static func field(
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, _ number: UInt64
    ) -> UnsafePointer<ProtobufCFieldDescriptor>? {
        guard let fields = descriptor.pointee.fields else { return nil }
        for index in 0..<Int(descriptor.pointee.n_fields) where UInt64(fields[index].id) == number {
            return fields + index
        }
        return nil
    }

    private static func append(_ value: UInt64, to output: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }
}

/// Reads protobuf's wire format.
private struct GroupReader {
    let bytes: BorrowedBytes
    private(set) var position = 0

    init(_ bytes: BorrowedBytes) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// A field's number and wire type; nil: malformed, or the end.
    mutating func tag() -> (number: UInt64, wire: UInt8)? {
        guard let value = varint(), value >> 3 > 0, value >> 3 < 1 << 29 else { return nil }
        return (value >> 3, UInt8(value & 7))
    }

    mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for index in 0..<10 {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte < 0x80 { return value }
        }
        return nil
    }

    /// The content of a length-delimited field.
    mutating func delimited() -> BorrowedBytes? {
        guard let count = varint(), count <= UInt64(bytes.count - position) else { return nil }
        let content = BorrowedBytes(rebasing: bytes[position..<(position + Int(count))])
        position += Int(count)
        return content
    }

    /// Passes over a number.
    mutating func skipPlain(_ wire: UInt8) -> Bool {
        switch wire {
        case 0: return varint() != nil
        case 1: return skip(8)
        case 5: return skip(4)
        default: return false
        }
    }

    private mutating func skip(_ count: Int) -> Bool {
        guard bytes.count - position >= count else { return false }
        position += count
        return true
    }
}
