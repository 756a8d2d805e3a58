import Limits

/// The fields of the vendor's messaging profile that steer sending, which Tollgate does not do: they are checked in
/// shape, kept, and shown again, so that the vendor's SDKs feel at home.
enum VendorFields {
    enum Shape: Sendable {
        case flag
        case text
        case integer(ClosedRange<Int64>)
        case texts
        case object
    }

    struct Row: Sendable {
        var name: String
        var shape: Shape
        var isNullable = false
        /// What is shown where it was never set.
        var standard: JSON
    }

    /// In the order of the vendor's object.
    static let table: [Row] = [
        Row(name: "enabled", shape: .flag, standard: true),
        Row(name: "webhook_api_version", shape: .text, standard: "2"),
        Row(name: "whitelisted_destinations", shape: .texts, standard: []),
        Row(name: "number_pool_settings", shape: .object, isNullable: true, standard: .null),
        Row(name: "url_shortener_settings", shape: .object, isNullable: true, standard: .null),
        Row(name: "health_webhook_url", shape: .text, isNullable: true, standard: .null),
        Row(name: "mms_fall_back_to_sms", shape: .flag, standard: false),
        Row(name: "mms_transcoding", shape: .flag, standard: false),
        Row(name: "redaction_enabled", shape: .flag, standard: false),
        Row(name: "redaction_level", shape: .integer(1...2), standard: 2),
        Row(name: "mobile_only", shape: .flag, standard: false),
        Row(name: "smart_encoding", shape: .flag, standard: false),
        Row(name: "alpha_sender", shape: .text, isNullable: true, standard: .null),
        Row(name: "ai_assistant_id", shape: .text, isNullable: true, standard: .null),
        Row(name: "organization_id", shape: .text, isNullable: true, standard: .null),
        Row(name: "resource_group_id", shape: .text, isNullable: true, standard: .null),
    ]

    /// Bytes that the kept fields may have together.
    static let maximumBytes = 3_072

    /// The kept fields with those of the body in their places, as they are kept.
    static func read(_ body: BodyReader, over kept: String) -> String {
        let present = parse(kept)
        var members: [JSON.Member] = []
        for row in table {
            if let value = value(of: row, body) ?? present[row.name], value != row.standard {
                members.append(JSON.Member(name: row.name, value: value))
            }
        }
        if members.isEmpty { return "" }
        let text = JSON.object(members).text
        if text.utf8.count > maximumBytes {
            body.findings.note(
                .unprocessable, .pointer(""),
                "The fields that are only kept have more than \(maximumBytes) bytes together")
            return kept
        }
        return text
    }

    /// All fields as they are shown.
    static func json(_ kept: String) -> [String: JSON] {
        let present = parse(kept)
        return Dictionary(
            table.map { ($0.name, present[$0.name] ?? $0.standard) }
        ) { first, _ in first }
    }

    private static func parse(_ kept: String) -> JSON {
        kept.isEmpty ? [:] : (try? JSONParser.parse(Array(kept.utf8))) ?? [:]
    }

    /// nil: absent, or wrong and noted.
    private static func value(of row: Row, _ body: BodyReader) -> JSON? {
        guard let value = body.raw(row.name) else { return nil }
        if value == .null {
            if row.isNullable { return .null }
            body.note(.wrongType, row.name, "This must not be null")
            return nil
        }
        switch row.shape {
        case .flag: return body.flag(row.name).value.map { .bool($0) }
        case .text: return body.text(row.name, bytes: 0...256).value.map { .string($0) }
        case .integer(let range):
            return body.integer(row.name, range).value.map { .integer($0) }
        case .texts:
            return body.list(row.name, atMost: 300, "a text of at most 16 bytes") {
                BodyReader.fault(of: $0, bytes: 1...16) == nil ? $0 : nil
            }.value.map { .array($0.map { .string($0) }) }
        case .object:
            if case .object = value { return value }
            body.note(.wrongType, row.name, "This must be an object or null")
            return nil
        }
    }
}
