internal import CommandIO
internal import Notifications

extension MailSender {
    /// The operator's mail server; nil: none is set.
    ///
    /// - Throws: `SettingsError` if the password or the CA certificates cannot be read.
    static func make(_ settings: ServeSettings) throws -> MailSender? {
        guard let host = settings.smtpHost, let from = settings.smtpFrom else { return nil }
        let security: SMTPSettings.Security =
            switch settings.smtpSecurity {
            case .none: .none
            case .starttls: .starttls
            case .tls: .tls
            }
        try settings.smtpCAFile.map(checkAuthorities)
        return MailSender(
            SMTPSettings(
                host: host, port: settings.smtpPort, security: security, user: settings.smtpUser,
                password: try settings.smtpPasswordFile.map(password), from: from,
                caFile: settings.smtpCAFile, brandName: settings.brandName))
    }

    private static let longestPassword = 64 << 10
    /// The certificates of all authorities that a system trusts take a quarter of that.
    private static let longestAuthorities = 1 << 20

    /// The first line of a file.
    private static func password(in file: String) throws(SettingsError) -> String {
        let bytes = try read(file, "smtp-password-file", atMost: longestPassword)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError(description: "smtp-password-file: \(file) is not valid UTF-8")
        }
        return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }

    /// Every mail reads the file anew; whether that can go well is said at once.
    private static func checkAuthorities(in file: String) throws(SettingsError) {
        _ = try read(file, "smtp-ca-file", atMost: longestAuthorities)
    }

    private static func read(
        _ file: String, _ setting: String, atMost maximum: Int
    ) throws(SettingsError) -> [UInt8] {
        do {
            if let bytes = try InputFile.read(file, atMost: maximum) { return bytes }
        } catch {
            throw SettingsError(description: "\(setting): \(error)")
        }
        throw SettingsError(description: "\(setting): \(file) is larger than \(maximum) bytes")
    }
}
