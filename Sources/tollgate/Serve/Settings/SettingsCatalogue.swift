internal import Limits

/// Settings that belong together: a section of the help and of the reference page. Each stored property is a setting; a
/// further setting is a further property, and no list names it.
protocol SettingsGroup: OptionCatalogue, Sendable {
    init()
    static var title: String { get }
}

extension SettingsGroup {
    /// In the order of the properties.
    static var rows: [SettingRow] {
        Mirror(reflecting: Self()).children.compactMap { ($0.value as? any SettingHolder)?.row }
    }

    static var options: [CatalogueOption] {
        SettingsCatalogue.options[ObjectIdentifier(Self.self)] ?? []
    }
}

private protocol SettingHolder {
    var row: SettingRow { get }
}

extension Setting: SettingHolder {}

/// All settings of `tollgate serve`.
enum SettingsCatalogue {
    static let serving = ServingSettings()
    static let logs = LogSettings()
    static let tls = TLSSettings()
    static let callers = CallerSettings()
    static let journal = JournalSettings()
    static let reservations = ReservationSettings()
    static let grpc = GRPCSettings()
    static let http = HTTPSettings()
    static let ops = OpsSettings()
    static let alerts = AlertSettings()

    static let groups: [any SettingsGroup.Type] = [
        ServingSettings.self, LogSettings.self, TLSSettings.self, CallerSettings.self,
        JournalSettings.self, ReservationSettings.self, GRPCSettings.self, HTTPSettings.self,
        OpsSettings.self, AlertSettings.self,
    ]

    static let rows: [SettingRow] = groups.flatMap { $0.rows }
    /// Of each group; ArgumentParser asks for them often.
    fileprivate static let options = Dictionary(
        uniqueKeysWithValues: groups.map { group in
            let options = group.rows.map { row in
                CatalogueOption(
                    name: row.name, help: row.help, valueName: row.valueName,
                    isSwitch: row.isSwitch)
            }
            return (ObjectIdentifier(group), options)
        })
    static let names = Set(rows.map(\.name))
}

/// All of them as one group of options.
struct AllSettings: OptionCatalogue {
    static let options = SettingsCatalogue.groups.flatMap { $0.options }
}
