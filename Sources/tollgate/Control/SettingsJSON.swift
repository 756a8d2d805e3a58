internal import JSON
internal import Limits
internal import LimitsFile

// Settings as the REST API has them, and back.

/// Reads members of a resource; what is not as it should be is the service's fault.
struct ResourceReader {
    let resource: JSON

    private func fault(_ name: String) -> ControlFailure {
        ControlFailure(
            .failure,
            "The service's \"\(name)\" is not understood by this version: "
                + (resource[name]?.text ?? "it is missing"))
    }

    func id(_ name: String) throws -> String {
        guard let text = resource[name]?.string, text.isEmpty == false else { throw fault(name) }
        return text
    }

    /// Gives an owner its settings.
    ///
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    func read<Owner>(_ settings: [SettingDescriptor<Owner>], into owner: inout Owner) throws {
        var given: [String: SettingField.Value] = [:]
        for setting in settings {
            // What a service of an older version does not know, it does not send.
            if resource[setting.name] == nil, setting.shape.isList { continue }
            guard let value = value(setting) else { throw fault(setting.name) }
            given[setting.name] = value
        }
        if let wrong = settings.write(given, to: &owner).first { throw fault(wrong.name) }
    }

    private func value<Owner>(_ setting: SettingDescriptor<Owner>) -> SettingField.Value? {
        guard let member = resource[setting.name] else { return nil }
        if member.isNull { return setting.isNullable ? SettingField.Value.none : nil }
        switch setting.shape {
        case .text, .timeZone, .address, .choice: return member.string.map { .text($0) }
        case .amount: return member.string.flatMap { try? Money.parse($0) }.map { .amount($0) }
        case .whole: return member.integer.map { .whole($0) }
        case .wholes:
            guard case .array(let members) = member else { return nil }
            let numbers = members.compactMap(\.integer)
            return numbers.count == members.count ? .wholes(numbers) : nil
        case .flag: return member.bool.map { .flag($0) }
        }
    }
}

extension TenantLimits {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON) throws {
        self.init()
        try ResourceReader(resource: resource).read(Self.settings, into: &self)
    }
}

extension TenantSettings {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON) throws {
        let reader = ResourceReader(resource: resource)
        self.init(id: try reader.id("id"))
        try reader.read(Self.settings, into: &self)
    }
}

extension ProfileSettings {
    /// - Throws: `ControlFailure` for members that no version of the service would send.
    init(_ resource: JSON, _ kind: ProfileKind) throws {
        let reader = ResourceReader(resource: resource)
        self.init(
            id: try reader.id("id"), kind: kind, tenantID: try reader.id("tenant_id"))
        try reader.read(Self.settings(kind).filter(\.isInLimitsFile), into: &self)
    }
}
