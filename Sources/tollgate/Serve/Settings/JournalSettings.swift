/// What is kept, for how long, and by which clock.
struct JournalSettings: SettingsGroup {
    static let title = "Journal, audit log and clock"

    let durability = Setting(
        "durability",
        SettingType<ServeSettings.Durability>.choice(
            "mode",
            [
                .sync: "once it is on disk",
                .interval: """
                at once: a crash of the process or the machine may lose what was answered within \
                --journal-interval and the syncs before and after it
                """,
                .memory: "at once, and nothing is kept",
            ]), default: "sync",
        SettingText("When an answer is sent", page: "reliability.md#what-is-not-withstood"))

    /// Between the end of a write and the next.
    let journalIntervalMilliseconds = Setting(
        "journal-interval", .duration(1...10_000), default: "10ms",
        SettingText(
            "With --durability interval: time between two journal writes"))

    let journalSegmentBytes = Setting(
        "journal-segment", .size(1 << 20...4 << 30), default: "64MiB",
        SettingText("Size of a journal segment", "; at least 80KiB per thread"))

    /// Of all segments together; more is refused until a checkpoint has made room.
    let journalMaximumBytes = Setting(
        "journal-maximum", .size(8 << 20...64 << 40), default: "64GiB",
        SettingText(
            "Maximum size of all segments, at least four",
            "; beyond it requests are refused"))

    let journalRetentionMilliseconds = Setting(
        "journal-retention", .duration(0...31_536_000_000), default: "1h",
        SettingText("How long segments that are no longer needed are kept"))

    let journalStallMilliseconds = Setting(
        "journal-stall", .duration(0...3_600_000), default: "5s",
        SettingText(
            """
            How long the disk may stall before calls that find the journal full are refused
            """, "; until then they wait"))

    /// Journal written since the last checkpoint that starts the next one.
    let checkpointBytes = Setting(
        "checkpoint-every", .size(1 << 20...1 << 40), default: "256MiB",
        SettingText("Journal size after which a checkpoint is written"))

    let maxClockAdvanceMilliseconds = Setting(
        "max-clock-advance", .duration(60_000...315_360_000_000), default: "31d",
        SettingText(
            """
            How far the wall clock may be from the latest recorded time at a start, and jump ahead \
            while running, before it is distrusted
            """, page: "reliability.md#what-is-not-withstood"))

    /// About now; nil: nobody says so.
    let acceptedClock = Setting<Int64?>(
        "accept-clock", .instant,
        SettingText(
            """
            Accept the wall clock, however far it is from the recorded time, if it is within a day \
            of this time, like 2026-11-29T12:00:00Z
            """, ". For one start"))

    let acceptEmptyJournal = Setting(
        "accept-empty-journal", .toggle, default: "false",
        SettingText(
            "Start empty although the data directory's journal is missing",
            ". For one start"))

    let usageRetentionMilliseconds = Setting(
        "usage-retention", .duration(86_400_000...315_360_000_000), default: "400d",
        SettingText("How long usage by day is kept", page: "operate/reports.md"))

    let hourlyRetentionMilliseconds = Setting(
        "hourly-usage-retention", .duration(86_400_000...34_560_000_000), default: "35d",
        SettingText("How long usage by hour is kept", page: "operate/reports.md"))

    let auditRetentionMilliseconds = Setting(
        "audit-retention", .duration(86_400_000...315_360_000_000), default: "400d",
        SettingText("How long the audit log is kept"))
}
