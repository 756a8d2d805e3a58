internal import Limits

/// A setting of `tollgate serve`: everything that the flag, the environment variable, the key of the file, the check and
/// the reference page say about it.
struct Setting<Value: Sendable>: Sendable {
    let row: SettingRow
    /// What holds where nobody sets it.
    let standard: Value

    /// - Parameters:
    ///   - name: As in the file; `--name` is the flag.
    ///   - type: What its text may be.
    ///   - text: The default, as people write it.
    ///   - shown: The default in words, where it depends on the machine.
    init(
        _ name: String, _ type: SettingType<Value>, default text: String, shown: String? = nil,
        _ description: SettingText
    ) {
        guard let standard = type.parse(text) else {
            preconditionFailure("the default of \(name) must be \(type.expected), not \(text)")
        }
        row = SettingRow(name, type, text, shown, description)
        self.standard = standard
    }

    /// A setting that may be left out.
    ///
    /// - Parameter without: What then holds, in words; nil: nothing worth a word.
    init<Wrapped>(
        _ name: String, _ type: SettingType<Wrapped>, without: String? = nil,
        _ description: SettingText
    ) where Value == Wrapped? {
        row = SettingRow(name, type, nil, without, description)
        standard = nil
    }
}

/// What people read about a setting.
struct SettingText: Sendable {
    enum Reload: String, Sendable {
        case onSignal = "on SIGHUP"
        case onSignalAndChange = "on SIGHUP and when it changes"
    }

    /// Begins a sentence and does not end it.
    var meaning: String
    /// What follows the default, with its punctuation.
    var note = ""
    /// When its file is read again while the service runs; nil: never.
    var reload: Reload?
    /// The page of docs/ that says more, with a section or without.
    var page: String?

    init(_ meaning: String, _ note: String = "", reload: Reload? = nil, page: String? = nil) {
        self.meaning = meaning
        self.note = note
        self.reload = reload
        self.page = page
    }
}

/// A setting whatever its type.
struct SettingRow: Sendable {
    let name: String
    let kind: SettingKind
    let valueName: String
    /// What the value must be, after "must be".
    let expected: String
    let bounds: SettingBounds?
    let choices: [SettingChoice]
    /// As people write it; nil: none.
    let standard: String?
    let text: SettingText
    private let shown: String?
    /// The value of a text; nil: it is none.
    let value: @Sendable (String) -> (any Sendable)?

    fileprivate init<Value>(
        _ name: String, _ type: SettingType<Value>, _ standard: String?, _ shown: String?,
        _ text: SettingText
    ) {
        self.name = name
        kind = type.kind
        valueName = type.valueName
        expected = type.expected
        bounds = type.bounds
        choices = type.choices
        self.standard = standard
        self.shown = shown
        self.text = text
        value = { type.parse($0) }
    }

    var flag: String { "--" + name }

    var variable: String { "TOLLGATE_" + name.uppercased().replacing("-", with: "_") }

    /// The default as help and reference page show it; nil: not shown.
    var shownDefault: String? {
        shown ?? standard.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// `shownDefault` is no value but words about one.
    var isDefaultWords: Bool { shown != nil }

    /// The range as it is told; nil: any.
    var range: String? {
        bounds?.text ?? (choices.isEmpty ? nil : choices.map(\.name).listed("or"))
    }

    /// A line of `tollgate serve --help`.
    var help: String {
        var line = text.meaning
        if choices.contains(where: { !$0.meaning.isEmpty }) {
            let each = choices.map { choice in
                "\(choice.name), \(choice.meaning)\(choice.name == standard ? " (default)" : "")"
            }
            line += ": " + each.joined(separator: "; ")
        } else {
            if let range { line += (kind == .choice ? ": " : ", ") + range }
            if !isSwitch, let shownDefault {
                line += " (default\(isDefaultWords ? ":" : "") \(shownDefault))"
            }
        }
        line += text.note + "."
        if let reload = text.reload { line += " Reloaded \(reload.rawValue)." }
        if let page = text.page { line += " See docs/\(page.prefix { $0 != "#" })." }
        return line
    }

    var isSwitch: Bool { kind == .toggle }

    /// Whether a value that is refused may be shown. A URL may have a password or a key in it, which is why some are refused.
    var showsValue: Bool { kind != .url }
}

/// What kinds of settings there are.
enum SettingKind: String, Sendable {
    case address = "host and port"
    case count = "whole number"
    case duration
    case durations
    case instant
    case size
    case share = "number"
    case networks
    case url = "http or https URL"
    case choice = "one of"
    case truth
    /// A truth whose flag takes no value.
    case toggle
    case text
}

/// The least and the greatest value, as people write them.
struct SettingBounds: Sendable {
    var least: String
    var greatest: String
    /// Of a list: values at most.
    var count: Int?

    var text: String {
        let range = "\(least) to \(greatest)"
        return count.map { "up to \($0) separated by commas, \(range) each" } ?? range
    }
}

/// One of the values that a setting may have.
struct SettingChoice: Sendable {
    var name: String
    /// Empty: the name says it.
    var meaning = ""
}
