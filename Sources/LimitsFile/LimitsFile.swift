// Configuration as code: tenants, profiles and defaults from a YAML file (docs/limits-file.md).
package import Limits

/// What a limits file says, complete: defaults and presets are already applied to every tenant.
package struct LimitsFile: Sendable, Equatable {
    /// What pre-fills a new tenant.
    package var defaults: TenantLimits
    /// The file says something of them; else the service's are left as they are.
    package var hasDefaults = true
    /// In file order; ids are unique.
    package var tenants: [TenantSettings]
    /// In file order; ids are unique, and each names a tenant of the file.
    package var profiles: [ProfileSettings]
    /// FNV-1a of the file's bytes, 16 hexadecimal digits: any change of the file changes it.
    package var contentHash: String
    /// The lines of the ids; none if the file was not read.
    package var places = LimitsPlaces()

    /// The longest file that is read, in bytes.
    package static let maximumBytes = 64 << 20

    /// Reads and checks a limits file.
    ///
    /// - Parameter path: as for `LimitsSource`.
    /// - Throws: `LimitsFileError` with every problem found, in file order.
    package static func load(path: String) throws(LimitsFileError) -> LimitsFile {
        try LimitsSource(path: path).parse()
    }

    /// Checks the text of a limits file.
    ///
    /// - Parameter file: The name that stands in errors.
    /// - Throws: `LimitsFileError` with every problem found, in file order.
    /// - Complexity: O(*n*) in the length of the text.
    package static func parse(
        _ text: String, file: String
    ) throws(LimitsFileError) -> LimitsFile {
        var parser = LimitsFileParser()
        guard let root = try YAMLDocument.root(of: text, file: file) else {
            throw LimitsFileError(
                file: file, problems: [.init(line: 1, column: 1, sentence: "The file is empty")])
        }
        parser.parse(root)
        guard parser.problems.isEmpty else {
            throw LimitsFileError(file: file, problems: parser.problems)
        }
        return LimitsFile(
            defaults: parser.defaults, hasDefaults: parser.hasDefaults, tenants: parser.tenants,
            profiles: parser.profiles, contentHash: hash(of: text.utf8),
            places: LimitsPlaces(
                file: file, lineOfTenant: parser.lineOfTenant,
                lineOfProfile: parser.lineOfProfile))
    }

    /// 64-bit FNV-1a as hexadecimal digits.
    package static func hash(of bytes: some Sequence<UInt8>) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// The lines of a limits file on which ids are defined.
package struct LimitsPlaces: Sendable, Equatable {
    var file = ""
    var lineOfTenant: [Identifier: Int] = [:]
    var lineOfProfile: [Identifier: Int] = [:]

    /// Nowhere.
    package init() {}

    init(file: String, lineOfTenant: [Identifier: Int], lineOfProfile: [Identifier: Int]) {
        self.file = file
        self.lineOfTenant = lineOfTenant
        self.lineOfProfile = lineOfProfile
    }

    /// "limits.yaml:12"; the file alone, if that is all that is known; empty: nothing is.
    package func place(of subject: SettingChange.Subject) -> String {
        let line: Int? =
            switch subject {
            case .defaults: nil
            case .tenant(let id): lineOfTenant[Identifier(id)]
            case .profile(let id, _, _): lineOfProfile[Identifier(id)]
            }
        return line.map { "\(file):\($0)" } ?? file
    }
}
