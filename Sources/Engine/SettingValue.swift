import JSON

/// What a setting of the service holds, as the journal keeps it, and back: JSON, the same for the same.
package enum SettingValue {
    package static func encode(_ value: some Encodable) throws -> String {
        try JSON(encoding: value).sorted.text
    }

    package static func decode<T: Decodable>(_ type: T.Type, _ value: String) throws -> T {
        try JSONParser.parse(value).decoded(as: type)
    }
}
