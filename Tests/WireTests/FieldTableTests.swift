import Limits
import Testing
import Wire

/// A message with one wrong field, and what the decoder must say about it.
struct BadInput: CustomStringConvertible {
    var what: String
    var message: [UInt8]
    var code: ErrorCode
    var location: String

    var description: String { what }
}

/// A field of a request and its bad inputs; none where every value of the field's type is fine.
struct FieldRow: CustomStringConvertible, Sendable {
    var request: RequestKind
    /// The message that the field belongs to: the request, or Quantity.
    var message: String
    var field: String
    var inputs: @Sendable () -> [BadInput]

    var description: String { "\(message).\(field) in \(request.rawValue)" }

    init(
        _ request: RequestKind, _ field: String, message: String? = nil,
        inputs: @escaping @Sendable () -> [BadInput]
    ) {
        self.request = request
        self.message = message ?? request.rawValue
        self.field = field
        self.inputs = inputs
    }
}

extension FieldRow {
    /// `voice_profile_id`: alone as any other id; beside `messaging_profile_id` (2) never right.
    static func voiceProfile(_ request: RequestKind, _ number: Int) -> FieldRow {
        FieldRow(request, "voice_profile_id") {
            [
                BadInput(
                    what: "over-long",
                    message: request.replacing(2, [])
                        + ProtoBytes.text(
                            number, String(repeating: "a", count: 65)),
                    code: .badField, location: "/voice_profile_id"),
                BadInput(
                    what: "both profiles",
                    message: request.replacing(2, ProtoBytes.text(2, "p"))
                        + ProtoBytes.text(number, "v"),
                    code: .badField, location: "/voice_profile_id"),
            ]
        }
    }

    /// A text of at most `maximum` bytes.
    static func text(
        _ request: RequestKind, _ field: String, _ number: Int, maximum: Int,
        isRequired: Bool = false
    ) -> FieldRow {
        FieldRow(request, field) {
            let faults: [(String, [UInt8])] = [
                ("over-long", Array(repeating: 0x61, count: maximum + 1)),
                ("64 KiB long", Array(repeating: 0x61, count: 65_000)),
                ("embedded NUL", [0x61, 0x00, 0x62]),
                ("embedded NUL in the second word", Array("abcdefgh\0j".utf8)),
                ("line feed", [0x61, 0x0A]), ("delete", [0x7F, 0x61]),
                ("C1 control", [0xC2, 0x85]),
                ("stray continuation byte", [0x61, 0x80]), ("overlong NUL", [0xC0, 0x80]),
                ("surrogate", [0xED, 0xA0, 0x80]), ("beyond U+10FFFF", [0xF4, 0x90, 0x80, 0x80]),
                ("cut sequence", [0x61, 0xE2, 0x82]), ("0xFF", [0xFF]),
            ]
            var inputs = faults.map { what, value in
                BadInput(
                    what: what, message: request.replacing(number, ProtoBytes.bytes(number, value)),
                    code: .badField, location: "/\(field)")
            }
            if isRequired {
                inputs += [[], ProtoBytes.text(number, "")].map {
                    BadInput(
                        what: "missing", message: request.replacing(number, $0),
                        code: .missingField, location: "/\(field)")
                }
            }
            return inputs
        }
    }

    /// An enum whose known numbers are 0 ... `last`.
    static func choice(
        _ request: RequestKind, _ field: String, _ number: Int, last: Int64,
        refused: [Int64] = [], isRequired: Bool = false
    ) -> FieldRow {
        FieldRow(request, field) {
            let numbers = [last + 1, 255, 256, 257, 65_537, -1, Int64(Int32.max)] + refused
            var inputs = numbers.map {
                BadInput(
                    what: "\($0)",
                    message: request.replacing(number, ProtoBytes.number(number, $0)),
                    code: .badField, location: "/\(field)")
            }
            if isRequired {
                inputs.append(
                    BadInput(
                        what: "missing", message: request.replacing(number, []),
                        code: .missingField, location: "/\(field)"))
            }
            return inputs
        }
    }

    static func ttl(_ request: RequestKind, _ number: Int) -> FieldRow {
        FieldRow(request, "ttl_ms") {
            [1, 999, 86_400_001, Int64(UInt32.max)].map {
                BadInput(
                    what: "\($0)",
                    message: request.replacing(number, ProtoBytes.number(number, $0)),
                    code: .badField, location: "/ttl_ms")
            }
        }
    }

    static func reservation(_ request: RequestKind) -> FieldRow {
        FieldRow(request, "reservation_id") {
            [
                BadInput(
                    what: "missing", message: request.replacing(1, []), code: .missingField,
                    location: "/reservation_id"),
                BadInput(
                    what: "2^63", message: request.replacing(1, ProtoBytes.fixed64(1, 1 << 63)),
                    code: .badField, location: "/reservation_id"),
            ]
        }
    }

    static func quantities(
        _ request: RequestKind, _ field: String, _ number: Int, isRequired: Bool = false
    ) -> FieldRow {
        FieldRow(request, field) {
            let one = ProtoBytes.bytes(number, ProtoBytes.quantity(1, 1))
            var inputs = [
                BadInput(
                    what: "five",
                    message: request.replacing(
                        number,
                        (1...5).flatMap { ProtoBytes.bytes(number, ProtoBytes.quantity($0, 1)) }),
                    code: .badField, location: "/\(field)"),
                BadInput(
                    what: "a resource twice", message: request.replacing(number, one + one),
                    code: .badField, location: "/\(field)/1/resource"),
            ]
            if isRequired {
                inputs.append(
                    BadInput(
                        what: "none", message: request.replacing(number, []), code: .missingField,
                        location: "/\(field)"))
            }
            return inputs
        }
    }

    /// A field of Quantity, in the second place of a request's list.
    static func quantity(
        _ request: RequestKind, list: String, _ number: Int, _ field: String,
        _ faults: [(what: String, quantity: [UInt8], code: ErrorCode)]
    ) -> FieldRow {
        FieldRow(request, field, message: "Quantity") {
            faults.map { fault in
                BadInput(
                    what: fault.what,
                    message: request.replacing(
                        number,
                        ProtoBytes.bytes(number, ProtoBytes.quantity(2, 1))
                            + ProtoBytes.bytes(number, fault.quantity)),
                    code: fault.code, location: "/\(list)/1/\(field)")
            }
        }
    }
}

/// A row per field of every request.
let fieldTable: [FieldRow] = {
    let quantity = ProtoBytes.quantity
    let badResource = [
        ("missing", quantity(0, 1, 0), ErrorCode.missingField),
        ("unknown", quantity(Int64(Resource.count) + 1, 1, 0), .badField),
        ("-1", quantity(-1, 1, 0), .badField),
        ("257", quantity(257, 1, 0), .badField),
    ]
    let badAmount = [
        ("negative", quantity(1, -1, 0), ErrorCode.badField),
        ("least", quantity(1, .min, 0), .badField),
    ]
    let badMinimum = [
        ("negative", quantity(1, 5, -1), ErrorCode.badField),
        ("above the amount", quantity(1, 5, 6), .badField),
        ("above zero", quantity(1, 0, 1), .badField),
    ]
    var rows: [FieldRow] = [
        .text(.check, "tenant_id", 1, maximum: 64, isRequired: true),
        .text(.check, "messaging_profile_id", 2, maximum: 64),
        .choice(.check, "action", 3, last: 6, isRequired: true),
        .quantities(.check, "quantities", 4, isRequired: true),
        .text(.check, "idempotency_key", 5, maximum: 128),
        .ttl(.check, 6),
        .choice(.check, "mode", 7, last: 4),
        .choice(.check, "on_expiry", 8, last: 2),
        .choice(.check, "overage", 9, last: 3),
        FieldRow(.check, "include_limits") { [] },
        .text(.check, "reference", 11, maximum: 64),
        .voiceProfile(.check, 12),
        FieldRow(.batch, "requests") {
            let entry = RequestKind.batch.valid[1] ?? []
            return [
                BadInput(what: "none", message: [], code: .missingField, location: "/requests"),
                BadInput(
                    what: "1001", message: (0..<1_001).flatMap { _ in entry }, code: .badField,
                    location: "/requests"),
            ]
        },
        .reservation(.commit),
        .quantities(.commit, "actual", 2),
        .text(.commit, "tenant_id", 3, maximum: 64),
        .reservation(.release),
        .text(.release, "tenant_id", 2, maximum: 64),
        .reservation(.extend),
        .ttl(.extend, 2),
        .quantities(.extend, "additional", 3),
        .text(.extend, "idempotency_key", 4, maximum: 128),
        .choice(.extend, "mode", 5, last: 4, refused: [2, 3]),
        .text(.extend, "tenant_id", 6, maximum: 64),
        .text(.record, "tenant_id", 1, maximum: 64, isRequired: true),
        .text(.record, "messaging_profile_id", 2, maximum: 64),
        .choice(.record, "action", 3, last: 6),
        .quantities(.record, "quantities", 4, isRequired: true),
        .text(.record, "idempotency_key", 5, maximum: 128),
        .text(.record, "reference", 6, maximum: 64),
        .voiceProfile(.record, 7),
        .text(.usage, "tenant_id", 1, maximum: 64, isRequired: true),
        .text(.usage, "messaging_profile_id", 2, maximum: 64),
        .voiceProfile(.usage, 3),
        .text(.watch, "tenant_id", 1, maximum: 64),
    ]
    let lists: [(RequestKind, String, Int)] = [
        (.check, "quantities", 4), (.commit, "actual", 2), (.extend, "additional", 3),
    ]
    for (request, list, number) in lists + [(.record, "quantities", 4)] {
        rows.append(.quantity(request, list: list, number, "resource", badResource))
    }
    for (request, list, number) in lists {
        rows.append(.quantity(request, list: list, number, "amount", badAmount))
    }
    rows.append(
        .quantity(
            .record, list: "quantities", 4, "amount",
            [
                ("negative spend", quantity(1, -1, 0), .badField),
                ("negative seconds", quantity(4, -1, 0), .badField),
                ("least count", quantity(3, .min, 0), .badField),
            ]))
    rows.append(.quantity(.check, list: "quantities", 4, "min_amount", badMinimum))
    rows.append(.quantity(.extend, list: "additional", 3, "min_amount", badMinimum))
    return rows
}()

@Suite("Bad input, a row per field")
struct FieldTableTests {
    @Test("every field of every request has a row, and every row a field")
    func complete() throws {
        let fields = try ContractFields.all()
        let messages = RequestKind.allCases.map(\.rawValue) + ["Quantity"]
        let requests = fields.keys.filter { $0.hasSuffix("Request") }
        #expect(Set(requests) == Set(RequestKind.allCases.map(\.rawValue)))
        for message in messages {
            let expected = Set(try #require(fields[message]).keys)
            let rows = Set(fieldTable.filter { $0.message == message }.map(\.field))
            #expect(rows == expected, "\(message)")
        }
    }

    @Test("each bad input is refused with its code and pointer", arguments: fieldTable)
    func refused(row: FieldRow) {
        let decoder = RequestDecoder()
        for input in row.inputs() {
            let failure = row.request.failure(input.message, decoder)
            #expect(failure?.code == input.code, "\(input)")
            #expect(failure?.location == input.location, "\(input)")
            #expect(failure.map { $0.detail.utf8CodeUnitCount > 0 } == true, "\(input)")
            #expect(decoder.violations.count >= 1, "\(input)")
        }
        // The decoder is as good as new.
        let valid = ProtoBytes.message(row.request.valid)
        #expect(row.request.failure(valid, decoder) == nil)
        #expect(decoder.violations.isEmpty)
    }
}
