internal import ArgumentParser
internal import JSON
internal import Limits

/// An option of the command line that a row of a catalogue stands for.
struct CatalogueOption: Sendable {
    /// Without dashes.
    var name: String
    var help: String
    var valueName: String
    /// A number that the parser checks; else a text.
    var isWhole = false
    /// Takes what begins with a dash too.
    var isUnconditional = false
    /// Has no value: given or not.
    var isSwitch = false
    /// Has no value: given, given as --no-…, or not.
    var isInvertible = false
}

/// Where options come from.
protocol OptionCatalogue {
    static var options: [CatalogueOption] { get }
}

/// Options by the rows of a catalogue, in their order: a further row is a further option.
///
/// ArgumentParser finds what a command takes by reflection and decodes it by name: here both come from the rows.
struct CatalogueOptions<Catalogue: OptionCatalogue>: ParsableArguments, CustomReflectable {
    private enum Parsed {
        case text(Option<String?>)
        case whole(Option<Int64?>)
        case given(Flag<Bool>)
        case truth(Flag<Bool?>)
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private let parsed: [(name: String, value: Parsed)]

    init() {
        parsed = Catalogue.options.map { option in
            let help = ArgumentHelp(
                stringLiteral: option.help
            ).named(option.valueName)
            let parsing: SingleValueParsingStrategy =
                option.isUnconditional ? .unconditional : .next
            let name = NameSpecification.customLong(option.name)
            let value: Parsed =
                if option.isSwitch {
                    .given(Flag(wrappedValue: false, name: name, help: help))
                } else if option.isInvertible {
                    .truth(Flag(name: name, inversion: .prefixedNo, help: help))
                } else if option.isWhole {
                    .whole(Option(name: name, parsing: parsing, help: help))
                } else {
                    .text(Option(name: name, parsing: parsing, help: help))
                }
            return (option.name, value)
        }
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        parsed = try Catalogue.options.map { option in
            let key = Key(stringValue: option.name)
            let value: Parsed =
                if option.isSwitch {
                    .given(try values.decode(Flag<Bool>.self, forKey: key))
                } else if option.isInvertible {
                    .truth(try values.decode(Flag<Bool?>.self, forKey: key))
                } else if option.isWhole {
                    .whole(try values.decode(Option<Int64?>.self, forKey: key))
                } else {
                    .text(try values.decode(Option<String?>.self, forKey: key))
                }
            return (option.name, value)
        }
    }

    var customMirror: Mirror {
        Mirror(
            self,
            children: parsed.map { name, value -> (label: String?, value: Any) in
                switch value {
                case .text(let option): (name, option)
                case .whole(let option): (name, option)
                case .given(let flag): (name, flag)
                case .truth(let flag): (name, flag)
                }
            })
    }

    /// Texts by name, and "true" or "false" of what has no value; only what was given.
    var given: [String: String] {
        parsed.reduce(into: [:]) { given, option in
            switch option.value {
            case .text(let text): given[option.name] = text.wrappedValue
            case .whole(let number): given[option.name] = number.wrappedValue.map { String($0) }
            case .given(let flag): given[option.name] = flag.wrappedValue ? "true" : nil
            case .truth(let flag): given[option.name] = flag.wrappedValue.map { String($0) }
            }
        }
    }

    /// nil: not given, or a number.
    func text(_ name: String) -> String? {
        guard case .text(let option) = parsed.first(where: { $0.name == name })?.value else {
            return nil
        }
        return option.wrappedValue
    }

    /// nil: not given, or a text.
    func whole(_ name: String) -> Int64? {
        guard case .whole(let option) = parsed.first(where: { $0.name == name })?.value else {
            return nil
        }
        return option.wrappedValue
    }
}

extension ArgumentHelp {
    fileprivate func named(_ valueName: String) -> ArgumentHelp {
        var help = self
        help.valueName = valueName
        return help
    }
}
