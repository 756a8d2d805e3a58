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

    private static let cap = LimitSubject.profileLimit.cap

    /// What a messaging profile has besides, and words that no other field may use: a limit with a slip in its name must
    /// not pass for one that was set.
    private static let known = Resemblance(
        table.map(\.name) + [
            "record_type", "id", "tenant_id", "name", cap.name, cap.toggleName, "webhook_url",
            "webhook_failover_url", "created_at", "updated_at", "v1_secret",
        ], words: ["daily", "spend", "spending", "limit", "cap", "budget"],
        meant: cap.name)

    /// The kept fields with those of the body in their places, as they are kept. To be called when all other fields have
    /// been asked for: what is left and resembles none that is known is the vendor's of a later day, and kept too.
    ///
    /// - Parameter unknown: gets the names of these.
    static func read(_ body: BodyReader, over kept: String, unknown: inout [String]) -> String {
        let present = parse(kept)
        var members: [JSON.Member] = []
        for row in table {
            if let value = value(of: row, body) ?? present[row.name], value != row.standard {
                members.append(JSON.Member(name: row.name, value: value))
            }
        }
        var others = Self.others(kept)
        for name in body.unasked {
            if let meant = known.name(like: name) {
                if meant != name {
                    _ = body.raw(name)
                    body.note(.badField, name, "There is no such field; is \(meant) meant?")
                }
                continue
            }
            guard let value = body.raw(name) else { continue }
            unknown.append(name)
            others.removeAll { $0.name.hasSameBytes(as: name) }
            others.append(JSON.Member(name: name, value: value))
        }
        members += others
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

    /// The fields that are not known, as they came.
    static func others(_ kept: String) -> [JSON.Member] {
        guard case .object(let members) = parse(kept) else { return [] }
        return members.filter { member in !table.contains { $0.name == member.name } }
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
