import HTTPTypes
import Hummingbird
import JSON

/// What a route means, for the OpenAPI document. What follows from the route itself (path parameters, who may, which
/// failures there can be) is not repeated here.
struct Operation: Sendable {
    enum Answer: Sendable {
        /// `{"data": ...}` with a schema of the components.
        case one(String)
        /// The same, and `meta.over_by`.
        case changed(String)
        /// A part of a list.
        case page(String)
        /// The answer as a whole.
        case plain(JSON)
        /// Text of one of some media types.
        case text([String])
    }

    struct Parameter: Sendable {
        var name: String
        var description: String
        var schema: JSON

        init(_ name: String, _ description: String, _ schema: JSON) {
            self.name = name
            self.description = description
            self.schema = schema
        }
    }

    struct Body: Sendable {
        /// Of the components.
        var schema: String
        var isRequired = true
        var example: JSON
    }

    /// operationId
    var id: String
    var summary: String
    var tag: String
    var description = ""
    var parameters: [Parameter] = []
    var body: Body?
    var answer: Answer
    /// It answers with an `ETag`.
    var hasTag = false
    /// It takes `If-Match`.
    var takesTag = false
    /// It takes `Idempotency-Key`.
    var takesKey = false
    /// A limit can deny it: 429 or 403.
    var denies = false
    /// It answers with CSV too, where that is preferred.
    var isTable = false
    /// Statuses of failures that do not follow from the rest.
    var failures: [Int] = []

    init(_ id: String, _ summary: String, _ tag: String, _ answer: Answer) {
        self.id = id
        self.summary = summary
        self.tag = tag
        self.answer = answer
    }

    /// The same under another id: for a second path.
    func named(_ suffix: String) -> Operation { with { $0.id += suffix } }

    func with(_ change: (inout Operation) -> Void) -> Operation {
        var result = self
        change(&result)
        return result
    }

    func taking(_ schema: String, required: Bool = true, _ example: JSON) -> Operation {
        with { $0.body = Body(schema: schema, isRequired: required, example: example) }
    }

    /// A list with its filters.
    func filtered(_ parameters: Parameter...) -> Operation {
        with { $0.parameters = parameters + Self.paging }
    }

    static let paging = [
        Parameter("page[number]", "Page number, from 1", Schema.integer(1...1_000_000_000, 1)),
        Parameter("page[size]", "Entries per page", Schema.integer(1...250, 20)),
    ]
}

/// JSON Schemas, 2020-12.
enum Schema {
    static func ref(_ name: String) -> JSON { ["$ref": "#/components/schemas/\(name)"] }

    static func integer(_ range: ClosedRange<Int64>, _ standard: Int64? = nil) -> JSON {
        let schema: JSON = [
            "type": "integer", "minimum": .integer(range.lowerBound),
            "maximum": .integer(range.upperBound),
        ]
        return standard.map { schema + ["default": .integer($0)] } ?? schema
    }

    static func text(_ length: ClosedRange<Int>, _ description: String = "") -> JSON {
        let schema: JSON = [
            "type": "string", "minLength": .integer(length.lowerBound),
            "maxLength": .integer(length.upperBound),
        ]
        return description.isEmpty ? schema : schema + ["description": .string(description)]
    }

    static func words(_ words: [String], _ standard: String? = nil) -> JSON {
        let schema: JSON = ["type": "string", "enum": .array(words.map { .string($0) })]
        return standard.map { schema + ["default": .string($0)] } ?? schema
    }

    static func words<Value>(
        _ words: KeyValuePairs<String, Value>, _ standard: String? = nil
    ) -> JSON { Schema.words(words.map(\.key), standard) }

    static let flag: JSON = ["type": "boolean"]
    static let string: JSON = ["type": "string"]
    static let count = integer(0...Int64.max)
    static let instant: JSON = ["type": "string", "format": "date-time"]
    static let date: JSON = ["type": "string", "format": "date"]
    static let money: JSON = [
        "type": "string", "pattern": "^(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?$",
        "description": "USD as a decimal number", "examples": ["12.50"],
    ]
    /// Money in answers: overage and corrections may be negative.
    static let amount: JSON = ["type": "string", "pattern": "^-?[0-9]+\\.[0-9]{2,9}$"]

    static func orNull(_ schema: JSON) -> JSON { ["anyOf": [schema, ["type": "null"]]] }

    static func list(_ schema: JSON, atMost maximum: Int64? = nil) -> JSON {
        let list: JSON = ["type": "array", "items": schema]
        return maximum.map { list + ["maxItems": .integer($0)] } ?? list
    }

    /// An object of a request.
    ///
    /// - Parameter takesOthers: members that are not named are not refused.
    static func request(
        _ properties: JSON, required: [String] = [], takesOthers: Bool = false
    ) -> JSON {
        let schema: JSON = ["type": "object", "additionalProperties": .bool(takesOthers)]
        return schema + names(required) + ["properties": properties]
    }

    /// An object of an answer: all members are there, and there may be more in later versions.
    static func answer(
        _ properties: JSON, except optional: [String] = [], example: JSON? = nil
    ) -> JSON {
        guard case .object(let members) = properties else { return properties }
        let required = members.map(\.name).filter { !optional.contains($0) }
        let type: JSON = ["type": "object"]
        let schema = type + names(required) + ["properties": properties]
        return example.map { schema + ["examples": [$0]] } ?? schema
    }

    private static func names(_ required: [String]) -> JSON {
        required.isEmpty ? [:] : ["required": .array(required.map { .string($0) })]
    }
}
