/// Settings by id, and ids by their bytes, as the table has them: to `String` two spellings of a letter are equal
/// (Unicode canonical equivalence).
package struct SettingsByID<Settings: Sendable>: Sendable {
    private struct ID: Hashable {
        let text: String

        static func == (one: ID, other: ID) -> Bool { one.text.utf8.elementsEqual(other.text.utf8) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private var settings: [ID: Settings] = [:]

    package init() {}

    package subscript(id: String) -> Settings? {
        get { settings[ID(text: id)] }
        set { settings[ID(text: id)] = newValue }
    }
}
