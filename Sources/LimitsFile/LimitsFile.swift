// Configuration as code: tenants, messaging profiles and defaults from a YAML file (docs/limits-file.md).
package import Limits

internal import Foundation

/// What a limits file says, complete: defaults and presets are already applied to every tenant.
package struct LimitsFile: Sendable, Equatable {
    /// The six fields that pre-fill a new tenant.
    package var defaults: TenantLimits
    /// The file says something of them; else the service's are left as they are.
    package var hasDefaults = true
    /// In file order; ids are unique.
    package var tenants: [TenantSettings]
    /// In file order; ids are unique, and each names a tenant of the file.
    package var profiles: [ProfileSettings]
    /// FNV-1a of the file's bytes, 16 hexadecimal digits: any change of the file changes it.
    package var contentHash: String

    /// The longest file that is read, in bytes.
    package static let maximumBytes = 64 << 20

    /// Reads and checks a limits file.
    ///
    /// - Parameter path: Absolute, or relative to the working directory.
    /// - Throws: `LimitsFileError` with every problem found, in file order.
    package static func load(path: String) throws(LimitsFileError) -> LimitsFile {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw LimitsFileError(
                file: path, sentence: "The file cannot be read: \(error.localizedDescription)")
        }
        guard data.count <= maximumBytes else {
            throw LimitsFileError(
                file: path, sentence: "The file is longer than \(maximumBytes >> 20) MiB")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw LimitsFileError(file: path, sentence: "The file is not valid UTF-8")
        }
        return try parse(text, file: path)
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
        let root = try YAMLDocument.root(of: text, file: file)
        parser.parse(root)
        guard parser.problems.isEmpty else {
            throw LimitsFileError(file: file, problems: parser.problems)
        }
        return LimitsFile(
            defaults: parser.defaults, hasDefaults: parser.hasDefaults, tenants: parser.tenants,
            profiles: parser.profiles, contentHash: hash(of: text.utf8))
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
