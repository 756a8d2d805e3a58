import Wire

/// The fields of tollgate.v1, read from the embedded descriptor set with a reader of our own.
enum ContractFields {
    /// message name → field name → number.
    static func all() throws -> [String: [String: Int]] {
        var fields: [String: [String: Int]] = [:]
        let set = Array(ContractDescriptor.fileDescriptorSet)
        // FileDescriptorSet.file = 1, FileDescriptorProto.message_type = 4, DescriptorProto.name =
        // 1 and field = 2, FieldDescriptorProto.name = 1 and number = 3.
        for file in try entries(set) where file.field == 1 {
            // FileDescriptorProto.package = 2.
            let declared = try entries(file.bytes)
            guard declared.contains(where: { $0.field == 2 && text($0.bytes) == "tollgate.v1" })
            else { continue }
            for message in declared where message.field == 4 {
                let parts = try entries(message.bytes)
                let name = parts.first { $0.field == 1 }.map { text($0.bytes) } ?? ""
                fields[name] = [:]
                for part in parts where part.field == 2 {
                    let members = try entries(part.bytes)
                    let field = members.first { $0.field == 1 }.map { text($0.bytes) } ?? ""
                    fields[name]?[field] = members.first { $0.field == 3 }.map { Int($0.number) }
                }
            }
        }
        return fields
    }

    private struct Entry {
        var field: Int
        var number: UInt64 = 0
        var bytes: [UInt8] = []
    }

    private struct Malformed: Error {}

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func entries(_ message: [UInt8]) throws -> [Entry] {
        var rest = message[...]
        var entries: [Entry] = []
        while !rest.isEmpty {
            let tag = try varint(&rest)
            var entry = Entry(field: Int(tag >> 3))
            switch tag & 7 {
            case 0: entry.number = try varint(&rest)
            case 2:
                let count = Int(try varint(&rest))
                guard count <= rest.count else { throw Malformed() }
                entry.bytes = Array(rest.prefix(count))
                rest = rest.dropFirst(count)
            default: throw Malformed()
            }
            entries.append(entry)
        }
        return entries
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw Malformed() }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        throw Malformed()
    }
}
