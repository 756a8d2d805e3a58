/// A setting of a tenant, of the tenant defaults or of a profile: all that the limits file, REST, OpenAPI, the command line,
/// the audit log, the page's forms and the reference page know about it.
///
/// A further setting is a further row of its owner's `settings`, the property that keeps it (with its place in the record of
/// settings, `SettingsCoding`), and the rule that uses it.
public struct SettingDescriptor<Owner>: Sendable {
    public typealias Value = SettingField.Value

    /// snake_case name in the limits file and in the REST API.
    public let name: String
    /// For people: "Alert Threshold".
    public let title: String
    /// Help of the command line: a sentence.
    public let help: String
    public let shape: SettingShape
    /// null, and "none" on the command line, is a value: no limit, no address.
    public let isNullable: Bool
    /// At the head of a column on the command line; nil: lists leave it out.
    public var heading: String?
    /// The cap that it is; nil: another setting.
    public var cap: CapSetting?
    /// The list that this setting is the first value of: where both are given, they agree.
    public var firstOf: String?
    /// The limits file has it.
    public var isInLimitsFile = true
    /// The page's forms have it.
    public var isInForms = true
    /// Unit of a number, for the reference page and the forms: "%".
    public var unit = ""

    private let get: @Sendable (Owner) -> Value
    private let set: @Sendable (inout Owner, Value) -> String?

    /// - Parameters:
    ///   - get: the value that an owner has.
    ///   - set: gives it another one, and says what is wrong with it, after the setting's name; nil: nothing.
    public init(
        _ name: String, title: String, help: String, _ shape: SettingShape,
        isNullable: Bool = false,
        get: @escaping @Sendable (Owner) -> Value,
        set: @escaping @Sendable (inout Owner, Value) -> String?
    ) {
        self.name = name
        self.title = title
        self.help = help
        self.shape = shape
        self.isNullable = isNullable
        self.get = get
        self.set = set
    }

    public func with(_ change: (inout Self) -> Void) -> Self {
        var result = self
        change(&result)
        return result
    }

    /// The same setting of what contains its owner.
    public func within<Whole>(
        _ path: any WritableKeyPath<Whole, Owner> & Sendable
    ) -> SettingDescriptor<Whole> {
        SettingDescriptor<Whole>(
            name, title: title, help: help, shape, isNullable: isNullable,
            get: { get($0[keyPath: path]) }, set: { set(&$0[keyPath: path], $1) }
        ).with {
            $0.heading = heading
            $0.cap = cap
            $0.firstOf = firstOf
            $0.isInLimitsFile = isInLimitsFile
            $0.isInForms = isInForms
            $0.unit = unit
        }
    }

    // MARK: Values

    public func value(of owner: Owner) -> Value { get(owner) }

    public func field(of owner: Owner) -> SettingField {
        let value = get(owner)
        var isImplied = false
        if case .wholes(let numbers) = value { isImplied = numbers.count == 1 }
        return SettingField(name, value, isImplied: isImplied)
    }

    /// Gives an owner a value of the setting's shape.
    ///
    /// - Returns: What is wrong with it, after the setting's name: "must be 1 to 31"; nil: nothing.
    public func write(_ value: Value, to owner: inout Owner) -> String? {
        shape.fault(of: value) ?? set(&owner, value)
    }

    /// What is wrong with the value that an owner has, after the setting's name; nil: nothing.
    public func fault(in owner: Owner) -> String? { shape.fault(of: get(owner)) }
}

/// What is wrong with a setting that was given: "must be 1 to 31" of "billing_cycle_day".
public struct SettingFault: Sendable, Equatable {
    public let name: String
    public let sentence: String
}

extension Array {
    /// Gives an owner the values that were given by name. A list goes before its first value, which must agree with it.
    public func write<Owner>(
        _ given: [String: SettingField.Value], to owner: inout Owner
    ) -> [SettingFault] where Element == SettingDescriptor<Owner> {
        compactMap { setting in
            guard let value = given[setting.name] else { return nil }
            var sentence: String?
            if let list = setting.firstOf, case .wholes(let numbers)? = given[list] {
                if case .whole(let first) = value, first != numbers.first {
                    sentence = "must be the first of \(list), or be left out"
                }
            } else {
                sentence = setting.write(value, to: &owner)
            }
            return sentence.map { SettingFault(name: setting.name, sentence: $0) }
        }
    }
}

extension SettingDescriptor {
    /// A flag.
    public static func flag(
        _ name: String, title: String, help: String,
        _ path: any WritableKeyPath<Owner, Bool> & Sendable
    ) -> Self {
        SettingDescriptor(name, title: title, help: help, .flag) {
            .flag($0[keyPath: path])
        } set: { owner, value in
            if case .flag(let flag) = value { owner[keyPath: path] = flag }
            return nil
        }
    }

    /// A text of some shape.
    public static func text(
        _ name: String, title: String, help: String, _ shape: SettingShape,
        isNullable: Bool = false,
        _ path: any WritableKeyPath<Owner, String> & Sendable
    ) -> Self {
        SettingDescriptor(name, title: title, help: help, shape, isNullable: isNullable) {
            isNullable && $0[keyPath: path].isEmpty ? .none : .text($0[keyPath: path])
        } set: { owner, value in
            if case .text(let text) = value { owner[keyPath: path] = text }
            if case .none = value { owner[keyPath: path] = "" }
            return nil
        }
    }

    /// A cap; `get` and `set` in the unit in which it is kept.
    public static func cap(
        _ cap: CapSetting, get: @escaping @Sendable (Owner) -> Int64?,
        set: @escaping @Sendable (inout Owner, Int64?) -> Void
    ) -> Self {
        let isAmount = cap.unit == .amount
        return SettingDescriptor(
            cap.name, title: cap.title, help: cap.help, isAmount ? .amount : .whole(0...cap.most),
            isNullable: true
        ) { owner in
            get(owner).map { isAmount ? .amount($0) : .whole(cap.configured($0)) } ?? .none
        } set: { owner, value in
            switch value {
            case .none: set(&owner, nil)
            case .amount(let nanos): set(&owner, nanos)
            case .whole(let number): set(&owner, cap.kept(number))
            default: break
            }
            return nil
        }.with {
            $0.cap = cap
            $0.heading = cap.heading
        }
    }
}
