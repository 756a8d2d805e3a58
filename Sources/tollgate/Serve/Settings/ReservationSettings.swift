/// How much is remembered, and for how long.
struct ReservationSettings: SettingsGroup {
    static let title = "Tenants and reservations"

    let idempotencyRetentionMilliseconds = Setting(
        "idempotency-retention", .duration(1_000...86_400_000), default: "15m",
        SettingText("How long idempotency keys and settled reservations are remembered"))

    let maxReservationLifeMilliseconds = Setting(
        "max-reservation-life", .duration(1_000...2_592_000_000), default: "24h",
        SettingText("Maximum lifetime of a reservation, extensions included"))

    let maxTenants = Setting(
        "max-tenants", .count(1...16_000_000), default: "1000000",
        SettingText("Maximum tenants"))

    let maxProfiles = Setting(
        "max-profiles", .count(1...16_000_000), default: "1000000",
        SettingText("Maximum profiles"))

    let maxReservations = Setting(
        "max-reservations", .count(1...4_000_000_000), default: "20000000",
        SettingText("Maximum reservations, open or remembered", "; 128 bytes each when used"))

    let maxRemembered = Setting(
        "max-remembered", .count(1...4_000_000_000), default: "10000000",
        SettingText(
            "Maximum remembered idempotency keys",
            """
            ; 96 bytes each when used; divided by --idempotency-retention: sustained \
            requests per second with a key
            """))

    let maxAmended = Setting(
        "max-amended", .count(1...4_194_303), default: "4000000",
        SettingText(
            "Maximum reservations extended, or committed with other amounts than held",
            "; 320 bytes each when used"))

    let maxCharged = Setting(
        "max-charged", .count(0...4_000_000_000), default: "1000000",
        SettingText(
            """
            Maximum holds charged at expiry that are remembered for 24 h, counted in \
            --max-reservations
            """, "; beyond it the oldest are remembered for the retention only"))

    /// Of callers that are bound to tenants.
    let tenantShare = Setting(
        "tenant-share", .count(1...100, "percent"), default: "10",
        SettingText(
            """
            Percent of the reservations, keys and watches that one tenant may use when three \
            quarters are in use and its caller's token is for named tenants
            """, page: "cli.md#shares"))

    let allTenantsShare = Setting(
        "all-tenants-share", .count(1...100, "percent"), default: "100",
        SettingText(
            "The same for callers whose token is for all tenants", "; 100: no limit",
            page: "cli.md#shares"))

    /// Of operators' changes.
    let maxAnswers = Setting(
        "max-answers", .count(1...1_000_000, "count"), default: "10000",
        SettingText(
            "Maximum stored answers to operators' changes with an idempotency key",
            "; the oldest are dropped first", page: "rest.md#what-holds-everywhere"))
}
