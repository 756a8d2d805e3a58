/// A setting by the name that it has in the limits file and in the REST API, with its value.
public struct SettingField: Sendable, Equatable {
    public enum Value: Sendable, Equatable {
        /// No limit; of a text: none.
        case none
        case text(String)
        /// Nano-USD.
        case amount(Int64)
        case whole(Int64)
        case wholes([Int64])
        case flag(Bool)

        /// Texts by their bytes: another spelling is a change.
        public static func == (one: Value, other: Value) -> Bool {
            switch (one, other) {
            case (.none, .none): true
            case (.text(let one), .text(let other)): one.hasSameBytes(as: other)
            case (.amount(let one), .amount(let other)): one == other
            case (.whole(let one), .whole(let other)): one == other
            case (.wholes(let one), .wholes(let other)): one == other
            case (.flag(let one), .flag(let other)): one == other
            default: false
            }
        }

        /// For people and for texts in JSON: "500.00", "50", "50, 80", "on", "no limit".
        public var text: String {
            switch self {
            case .none: "no limit"
            case .text(let text): text
            case .amount(let nanos): Money.format(nanos)
            case .whole(let number): String(number)
            case .wholes(let numbers): numbers.map { String($0) }.joined(separator: ", ")
            case .flag(let flag): flag ? "on" : "off"
            }
        }

        /// As the audit log and the journal's dump have it; nil: nothing is set.
        public var plainText: String? {
            switch self {
            case .none, .text(""): nil
            case .flag(let flag): String(flag)
            default: text
            }
        }
    }

    public var name: String
    public var value: Value
    /// Another field says all of it: a list whose only value has a name of its own.
    public var isImplied: Bool

    public init(_ name: String, _ value: Value, isImplied: Bool = false) {
        self.name = name
        self.value = value
        self.isImplied = isImplied
    }
}
