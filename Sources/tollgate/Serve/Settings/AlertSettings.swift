/// Notifications, and the brand under which they are sent.
struct AlertSettings: SettingsGroup {
    static let title = "Webhooks, e-mail and brand"

    let webhookTimeoutMilliseconds = Setting(
        "webhook-timeout", .duration(100...60_000), default: "2s",
        SettingText("Timeout of a webhook"))

    let webhookBackoffMilliseconds = Setting(
        "webhook-backoff", .duration(10...3_600_000), default: "1s",
        SettingText(
            "Delay between the first and second attempt of a webhook",
            "; five times that before the third"))

    let webhookConcurrency = Setting(
        "webhook-concurrency", .count(1...1_024), default: "64",
        SettingText("Maximum concurrent webhooks"))

    let webhookAllowPrivate = Setting(
        "webhook-allow-private", .networks("cidr,..."), default: "", shown: "none",
        SettingText(
            "Private networks that webhooks may reach, like 10.1.0.0/16,127.0.0.1/32"))

    /// nil: no e-mail.
    let smtpHost = Setting<String?>(
        "smtp-host", .text("host"), without: "none, no e-mail",
        SettingText("Mail server for alerts", "; needs --smtp-from", page: "alerts.md#e-mail"))

    let smtpPort = Setting(
        "smtp-port", .count(1...65_535, "port"), default: "587", SettingText("Mail server port"))

    let smtpSecurity = Setting(
        "smtp-security", SettingType<ServeSettings.SMTPSecurity>.choice(), default: "starttls",
        SettingText("Mail server encryption"))

    let smtpUser = Setting<String?>(
        "smtp-user", .text("name"), without: "no log-in", SettingText("Mail server user"))

    let smtpPasswordFile = Setting<String?>(
        "smtp-password-file", .file, SettingText("File with the mail server password"))

    let smtpFrom = Setting<String?>(
        "smtp-from", .text("address"), SettingText("Sender address of e-mails"))

    let smtpCAFile = Setting<String?>(
        "smtp-ca-file", .file, without: "the system's",
        SettingText("CA certificates for verifying the mail server"))

    let brandName = Setting(
        "brand-name", .text("name"), default: "Tollgate",
        SettingText("Brand name in e-mails and pages"))

    /// Empty: the brand's name.
    let brandLogo = Setting(
        "brand-logo", .text("text"), default: "", shown: "the brand name",
        SettingText("Text beside the logo on pages"))

    /// Empty: nothing is named.
    let brandContact = Setting(
        "brand-contact", .text("contact"), default: "",
        SettingText(
            "Contact for suspended tenants: an e-mail address, a phone number or a URL",
            page: "operator-page.md#how-it-looks-to-tenants"))
}
