internal import CommandIO
internal import Notifications

extension MailSender {
    /// The operator's mail server; nil: none is set.
    ///
    /// - Throws: `SettingsError` if the password cannot be read.
    static func make(_ settings: ServeSettings) throws -> MailSender? {
        guard let host = settings.smtpHost, let from = settings.smtpFrom else { return nil }
        let security: SMTPSettings.Security =
            switch settings.smtpSecurity {
            case .none: .none
            case .starttls: .starttls
            case .tls: .tls
            }
        return MailSender(
            SMTPSettings(
                host: host, port: settings.smtpPort, security: security, user: settings.smtpUser,
                password: try settings.smtpPasswordFile.map(password), from: from,
                caFile: settings.smtpCAFile, brandName: settings.brandName))
    }

    /// The first line of a file.
    private static func password(in file: String) throws(SettingsError) -> String {
        let bytes: [UInt8]?
        do {
            bytes = try InputFile.read(file, atMost: 64 << 10)
        } catch {
            throw SettingsError(description: "smtp-password-file: \(error)")
        }
        guard let bytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError(
                description: "smtp-password-file: \(file) is too long, or not valid UTF-8")
        }
        return text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    }
}
