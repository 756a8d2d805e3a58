internal import ArgumentParser
internal import JSON
internal import Limits

/// Settings of tenants and profiles on the command line.
extension SettingDescriptor {
    fileprivate var option: CatalogueOption {
        CatalogueOption(
            name: name.replacing("_", with: "-"), help: help, valueName: valueName,
            isInvertible: shape == .flag)
    }

    private var valueName: String {
        switch shape {
        case .text: "text"
        case .timeZone: "zone"
        case .address: "url"
        case .amount: "usd"
        case .whole: unit == "%" ? "percent" : "n"
        case .wholes: unit == "%" ? "percent,..." : "n,..."
        case .flag: ""
        case .choice(let names): names.joined(separator: "|")
        }
    }

    /// What the command line says, as a member of a body: the service checks it too; here it is refused beside the flag's
    /// name.
    fileprivate func json(_ text: String) throws -> JSON {
        if isNullable, text == "none" { return .null }
        guard let value = try value(text) else { throw fault("must be \(expected)") }
        if let sentence = shape.fault(of: value) { throw fault(sentence) }
        return value.json
    }

    private var expected: String { shape.expected + (isNullable ? ", or none" : "") }

    private func fault(_ sentence: String) -> ValidationError {
        ValidationError("--\(option.name) \(sentence).")
    }

    /// nil: the text is no such value.
    private func value(_ text: String) throws -> SettingField.Value? {
        switch shape {
        case .text, .timeZone, .address, .choice: return .text(text)
        case .flag: return Bool(text).map { .flag($0) }
        case .whole: return Int64(text).map { .whole($0) }
        case .wholes:
            let parts = text.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
            let numbers = parts.compactMap { Int64($0) }
            return numbers.count == parts.count ? .wholes(numbers) : nil
        case .amount:
            do {
                return .amount(try Money.parse(text))
            } catch {
                throw fault("must be an amount in USD or none. \(error.sentence)")
            }
        }
    }
}

/// The settings that a command sets, by their rows.
protocol SettingFlags: OptionCatalogue {
    associatedtype Owner
    static var settings: [SettingDescriptor<Owner>] { get }
}

extension CatalogueOptions where Catalogue: SettingFlags {
    /// What was given, as members of a body.
    func members() throws -> [(String, JSON)] {
        let given = given
        return try Catalogue.settings.compactMap { setting in
            try given[setting.option.name].map { (setting.name, try setting.json($0)) }
        }
    }
}

/// The fields of "Edit Limits".
enum LimitFlags: SettingFlags {
    static let settings = TenantLimits.settings
    static let options = settings.map(\.option)
}

enum TenantFlags: SettingFlags {
    static let settings = TenantSettings.settings
    static let options = settings.map(\.option)
}

enum ProfileFlags: SettingFlags {
    // They are called the same whatever the kind.
    static let settings = ProfileSettings.settings(.messaging)
    static let options = settings.map(\.option)
}

/// Only act on the version that one has seen.
struct MatchOption: ParsableArguments {
    @Option(
        help: .init(
            "Only apply the change if the resource still has this ETag (shown by get --json).",
            valueName: "etag"))
    var ifMatch: String?
}

/// The members that have a value.
func named(_ members: [(String, JSON?)]) -> [JSON.Member] {
    members.compactMap { name, value in value.map { (name, $0) } }
}

/// A body for a change; a change of nothing is wrong usage.
func changes(_ members: [JSON.Member]) throws -> JSON {
    guard members.isEmpty == false else {
        throw ValidationError("Nothing to change: give at least one setting.")
    }
    return .object(members)
}
