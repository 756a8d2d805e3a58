import JSON
import Limits

/// The fields of the vendor's profiles that steer sending and calling, which Tollgate does not do: they are checked in
/// shape, kept, and shown again, so that the vendor's SDKs feel at home.
struct VendorFields: Sendable {
    enum Shape: Sendable {
        case flag
        case text
        case integer(ClosedRange<Int64>)
        case number
        /// Each of at most so many bytes.
        case texts(Int)
        case object
    }

    struct Row: Sendable {
        var name: String
        var shape: Shape
        var isNullable = false
        /// What is shown where it was never set.
        var standard: JSON
    }

    /// Those of a kind of profile.
    let table: [Row]
    /// The names of all fields, Tollgate's own among them, in the order of the vendor's object.
    let order: [String]

    static func of(_ kind: ProfileKind) -> VendorFields {
        switch kind {
        case .messaging: messaging
        case .voice: voice
        }
    }

    private static let messaging = VendorFields(
        kind: .messaging, messagingTable,
        order: [
            "record_type", "id", "tenant_id", "name", "webhook_url", "webhook_failover_url",
            "enabled", "webhook_api_version", "whitelisted_destinations", "created_at",
            "updated_at", "number_pool_settings", "url_shortener_settings", "health_webhook_url",
            "mms_fall_back_to_sms", "mms_transcoding", "daily_spend_limit",
            "daily_spend_limit_enabled", "redaction_enabled", "redaction_level", "mobile_only",
            "smart_encoding", "alpha_sender", "ai_assistant_id", "organization_id",
            "resource_group_id",
        ])

    private static let voice = VendorFields(
        kind: .voice, voiceTable,
        order: [
            "record_type", "id", "tenant_id", "name", "webhook_url", "webhook_failover_url",
            "connections_count", "traffic_type", "service_plan", "concurrent_call_limit",
            "enabled", "tags", "usage_payment_method", "whitelisted_destinations",
            "max_destination_rate", "daily_spend_limit", "daily_spend_limit_enabled",
            "call_recording", "billing_group_id", "calling_window", "created_at", "updated_at",
        ])

    private static let voiceTable: [Row] = [
        Row(name: "connections_count", shape: .integer(0...1_000_000_000), standard: 0),
        Row(name: "traffic_type", shape: .text, standard: "conversational"),
        Row(name: "service_plan", shape: .text, standard: "global"),
        Row(
            name: "concurrent_call_limit", shape: .integer(0...1_000_000_000), isNullable: true,
            standard: .null),
        Row(name: "enabled", shape: .flag, standard: true),
        Row(name: "tags", shape: .texts(64), standard: []),
        Row(name: "usage_payment_method", shape: .text, standard: "rate-deck"),
        Row(name: "whitelisted_destinations", shape: .texts(16), standard: ["US", "CA"]),
        Row(name: "max_destination_rate", shape: .number, isNullable: true, standard: .null),
        Row(name: "call_recording", shape: .object, isNullable: true, standard: .null),
        Row(name: "billing_group_id", shape: .text, isNullable: true, standard: .null),
        Row(name: "calling_window", shape: .object, isNullable: true, standard: .null),
    ]

    private static let messagingTable: [Row] = [
        Row(name: "enabled", shape: .flag, standard: true),
        Row(name: "webhook_api_version", shape: .text, standard: "2"),
        Row(name: "whitelisted_destinations", shape: .texts(16), standard: []),
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

    /// What a profile has besides, and words that no other field may use: a limit with a slip in its name must
    /// not pass for one that was set.
    private let known: Resemblance

    private init(kind: ProfileKind, _ table: [Row], order: [String]) {
        self.table = table
        self.order = order
        known = Resemblance(
            order + ["v1_secret"], words: ["daily", "spend", "spending", "limit", "cap", "budget"],
            meant: kind.limit.cap.name)
    }

    /// The kept fields with those of the body in their places, as they are kept. To be called when all other fields have
    /// been asked for: what is left and resembles none that is known is the vendor's of a later day, and kept too.
    ///
    /// - Parameter unknown: gets the names of these.
    func read(_ body: BodyReader, over kept: String, unknown: inout [String]) -> String {
        let present = Self.parse(kept)
        var members: [JSON.Member] = []
        for row in table {
            if let value = Self.value(of: row, body) ?? present[row.name], value != row.standard {
                members.append((name: row.name, value: value))
            }
        }
        var others = others(kept)
        for name in body.unasked {
            if let meant = known.name(like: name) {
                if meant != name {
                    _ = body.raw(name)
                    body.note(.badField, name, "Unknown field; did you mean \(meant)?")
                }
                continue
            }
            guard let value = body.raw(name) else { continue }
            unknown.append(name)
            others.removeAll { $0.name.hasSameBytes(as: name) }
            others.append((name: name, value: value))
        }
        members += others
        if members.isEmpty { return "" }
        let text = JSON.object(members).text
        if text.utf8.count > Self.maximumBytes {
            body.findings.note(
                .unprocessable, .pointer(""),
                "The stored vendor fields exceed \(Self.maximumBytes) bytes in total")
            return kept
        }
        return text
    }

    /// All fields as they are shown.
    func json(_ kept: String) -> [String: JSON] {
        let present = Self.parse(kept)
        return Dictionary(
            table.map { ($0.name, present[$0.name] ?? $0.standard) }
        ) { first, _ in first }
    }

    /// The fields that are not known, as they came.
    func others(_ kept: String) -> [JSON.Member] {
        guard case .object(let members) = Self.parse(kept) else { return [] }
        return members.filter { member in !table.contains { $0.name == member.name } }
    }

    private static func parse(_ kept: String) -> JSON {
        kept.isEmpty ? [:] : (try? JSONParser.parse(kept)) ?? [:]
    }

    /// nil: absent, or wrong and noted.
    private static func value(of row: Row, _ body: BodyReader) -> JSON? {
        guard let value = body.raw(row.name) else { return nil }
        if value == .null {
            if row.isNullable { return .null }
            body.note(.wrongType, row.name, "Must not be null")
            return nil
        }
        switch row.shape {
        case .flag: return body.flag(row.name).value.map { .bool($0) }
        case .text: return body.text(row.name, bytes: 0...256).value.map { .string($0) }
        case .integer(let range):
            return body.integer(row.name, range).value.map { .integer($0) }
        case .number:
            if case .number = value { return value }
            body.note(.wrongType, row.name, "Must be a number")
            return nil
        case .texts(let most):
            return body.list(row.name, atMost: 300, "a string of at most \(most) bytes") {
                BodyReader.fault(of: $0, bytes: 1...most) == nil ? $0 : nil
            }.value.map { .array($0.map { .string($0) }) }
        case .object:
            if case .object = value { return value }
            body.note(.wrongType, row.name, "Must be an object or null")
            return nil
        }
    }
}
