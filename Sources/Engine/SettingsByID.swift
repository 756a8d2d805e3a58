internal import Limits

/// Settings by id.
package struct SettingsByID<Settings: Sendable>: Sendable {
    private var settings: [Identifier: Settings] = [:]

    package init() {}

    package subscript(id: String) -> Settings? {
        get { settings[Identifier(id)] }
        set { settings[Identifier(id)] = newValue }
    }
}
