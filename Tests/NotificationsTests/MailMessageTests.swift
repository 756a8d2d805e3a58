import Events
import Limits
import Testing

@testable import Notifications

@Suite struct MailMessageTests {
    private func reading(
        _ kind: LimitKind, cap: Int64, committed: Int64, held: Int64 = 0, asked: Int64 = 0,
        resetsAt: Int64 = 1_796_083_200_000
    ) -> LimitReading {
        LimitReading(
            name: kind.row.name, cap: cap, committed: committed, held: held, asked: asked,
            percent: 80, windowStart: resetsAt == 0 ? 0 : 1_793_491_200_000, resetsAt: resetsAt)
    }

    private func event(
        _ kind: Event.Kind, _ limit: LimitReading?, tenantName: String = "ACME",
        profileName: String = "Promo", reason: String = ""
    ) -> Event {
        let isProfile = kind.subject != .tenant
        return Event(
            id: "d21a2887-8007-4bb6-bd7d-f2874829918e", kind: kind, occurredAt: 1_795_255_200_000,
            tenantID: "acme-1", tenantName: tenantName, profileID: isProfile ? "p-7" : "",
            profileName: isProfile ? profileName : "", limit: limit, reason: reason)
    }

    private func mail(_ event: Event) -> MailMessage {
        MailMessage(event, brandName: "Example Telecom")
    }

    @Test(arguments: [
        (LimitKind.tenantMonthlyMinutes, "monthly minute cap"),
        (.tenantMonthlySpend, "monthly spend cap"),
        (.tenantExtensions, "extension cap"),
        (.tenantDIDs, "DID cap"),
    ])
    func subjectsOfATenantsLimits(_ kind: LimitKind, _ words: String) {
        let limit = reading(kind, cap: 60_000, committed: 48_000)
        #expect(
            mail(event(.tenantThresholdReached, limit)).subject
                == "Tenant ACME has hit 80% of their \(words).")
        #expect(
            mail(event(.tenantLimitReached, limit)).subject
                == "Tenant ACME has hit their \(words).")
        #expect(
            mail(event(.tenantSuspended, limit)).subject
                == "Tenant ACME has been suspended: they have hit their \(words).")
    }

    @Test func subjectsOfARefusalAndOfAWindowThatEnded() {
        var refused = event(
            .tenantLimitReached,
            reading(.tenantMonthlySpend, cap: 500_000_000_000, committed: 0, asked: 501_000_000_000)
        )
        refused.occasion = .refusal
        #expect(
            mail(refused).subject
                == "A request of tenant ACME was refused: it asked for $501.00, and $0.00 of the monthly spend cap of $500.00 is used."
        )
        var ended = event(
            .profileThresholdReached,
            reading(.profileDailySpend, cap: 10_000_000, committed: 0, held: 9_000_000))
        ended.occasion = .windowEnd
        #expect(
            mail(ended).subject
                == "The day of messaging profile Promo of tenant ACME has ended at 80% of the daily spend limit or more, including what was still reserved."
        )
    }

    @Test func subjectsOfWhatAnOperatorDoes() {
        #expect(
            mail(event(.tenantSuspended, nil, reason: "fraud")).subject
                == "Tenant ACME has been suspended by an operator.")
        #expect(
            mail(event(.tenantReinstated, nil)).subject == "Tenant ACME has been reinstated.")
    }

    @Test func subjectsOfAProfilesLimit() {
        let limit = reading(.profileDailySpend, cap: 10_000_000, committed: 20_000_000)
        #expect(
            mail(event(.profileThresholdReached, limit)).subject
                == "Messaging profile Promo of tenant ACME has hit 80% of its daily spend limit.")
        #expect(
            mail(event(.profileLimitReached, limit)).subject
                == "Messaging profile Promo of tenant ACME has reached its daily spend limit.")
    }

    @Test func subjectsOfAVoiceProfilesLimit() {
        let limit = reading(.voiceProfileDailySpend, cap: 10_000_000, committed: 20_000_000)
        #expect(
            mail(event(.voiceProfileThresholdReached, limit)).subject
                == "Outbound voice profile Promo of tenant ACME has hit 80% of its daily spend limit."
        )
        let reached = mail(event(.voiceProfileLimitReached, limit))
        #expect(
            reached.subject
                == "Outbound voice profile Promo of tenant ACME has reached its daily spend limit.")
        #expect(reached.text.contains("49007"))
    }

    /// Its numbers are those of what is held, and it suspends nobody.
    @Test(arguments: LimitSubject.tenant.limits.filter { !$0.resource.mayBeCharged }.map(\.kind))
    func whatIsOnlyHeld(_ kind: LimitKind) {
        let things = kind.row.resource.row.plural
        let limit = reading(kind, cap: 10, committed: 0, held: 8, asked: 3, resetsAt: 0)
        let near = mail(event(.tenantThresholdReached, limit)).text
        #expect(near.contains("In use:") && near.contains("8 (80%)"))
        #expect(!near.contains("Also held"))
        #expect(near.contains("what is open now; this total does not reset"))
        let reached = mail(event(.tenantLimitReached, limit)).text
        #expect(reached.contains("The tenant is not suspended."))
        #expect(!reached.contains("auto-suspend"))
        #expect(reached.contains("wait until some \(things) end"))
    }

    /// A day of the tenant's is no billing cycle.
    @Test(arguments: LimitSubject.tenant.limits.filter { $0.window == .tenantDay }.map(\.kind))
    func daysOfATenant(_ kind: LimitKind) {
        var ended = event(.tenantLimitReached, reading(kind, cap: 10, committed: 12))
        ended.occasion = .windowEnd
        #expect(
            mail(ended).subject
                == "The day of tenant ACME has ended at the \(kind.row.words.phrase), including what was still reserved."
        )
        let suspended = mail(event(.tenantSuspended, reading(kind, cap: 10, committed: 12))).text
        #expect(suspended.contains("a higher cap or the next day does not"))
    }

    @Test func theIDStandsInForAName() {
        let limit = reading(.profileDailySpend, cap: 10_000_000, committed: 20_000_000)
        let mail = mail(event(.profileLimitReached, limit, tenantName: "", profileName: " "))
        #expect(
            mail.subject
                == "Messaging profile p-7 of tenant acme-1 has reached its daily spend limit.")
    }

    @Test(arguments: Event.Kind.allCases)
    func everyKindSaysWhatHappenedAndWhatToDo(_ kind: Event.Kind) {
        let limit = reading(
            kind.subject.profileKind?.limit.kind ?? .tenantMonthlySpend,
            cap: 1_234_500_000_000, committed: 987_600_000_000, held: 1_000_000_000,
            asked: 4_000_000)
        let mail = mail(event(kind, limit))
        for part in [mail.text, mail.html] {
            #expect(part.contains(mail.subject))
            #expect(part.contains("2026-11-21 10:00:00 UTC"))
            for fact in [
                "ACME (acme-1)", "$1,234.50", "$987.60 (80%)", "$1.00", "$0.004",
                "2026-11-01 00:00:00 UTC", "2026-12-01 00:00:00 UTC",
            ] {
                #expect(part.contains(fact), "\(fact)")
            }
            #expect(part.contains("What happens now") && part.contains("What you can do"))
            #expect(part.contains("Example Telecom") && part.contains(kind.rawValue))
            #expect(part.contains("d21a2887-8007-4bb6-bd7d-f2874829918e"))
        }
        #expect(!mail.html.contains("http") && !mail.html.contains("src="))
        #expect(mail.date == 1_795_255_200_000)
    }

    @Test func countsHaveNoWindow() {
        let limit = reading(.tenantDIDs, cap: 10, committed: 10, asked: 1, resetsAt: 0)
        let text = mail(event(.tenantLimitReached, limit)).text
        #expect(text.contains("does not reset"))
        #expect(!text.contains("Resets at") && !text.contains("UTC to"))
    }

    @Test func aReasonIsTold() {
        let mail = mail(event(.tenantSuspended, nil, reason: "unpaid <b>bill</b>"))
        #expect(mail.text.contains("unpaid <b>bill</b>"))
        #expect(mail.html.contains("unpaid &lt;b&gt;bill&lt;/b&gt;"))
    }

    @Test func namesAreEscapedInHTML() {
        let limit = reading(.tenantDIDs, cap: 10, committed: 8, resetsAt: 0)
        let mail = mail(
            event(.tenantThresholdReached, limit, tenantName: "<script>\"A&B'</script>"))
        #expect(!mail.html.contains("<script>"))
        #expect(mail.html.contains("&lt;script&gt;&quot;A&amp;B&#39;&lt;/script&gt;"))
        #expect(mail.text.contains("<script>\"A&B'</script>"))
    }

    @Test func namesCannotBreakALine() {
        let limit = reading(.tenantDIDs, cap: 10, committed: 8, resetsAt: 0)
        let name = "A\r\nBcc: x@example.com\u{0}\u{202E}Z\u{2028}"
        let mail = mail(event(.tenantThresholdReached, limit, tenantName: name))
        #expect(
            mail.subject == "Tenant A  Bcc: x@example.com  Z  has hit 80% of their DID cap.")
        #expect(!mail.subject.unicodeScalars.contains(where: MailText.isUnfit))
    }

    @Test func amountsAsPeopleReadThem() {
        #expect(MailText.amount(0, .spend) == "$0.00")
        #expect(MailText.amount(Int64.max, .spend) == "$9,223,372,036.854775807")
        #expect(MailText.amount(48_000 * 60, .callSeconds) == "48,000 minutes")
        #expect(MailText.amount(61, .callSeconds) == "1 minute 1 second")
        #expect(MailText.amount(999, .dids) == "999")
        #expect(MailText.amount(1_000, .extensions) == "1,000")
        #expect(MailText.amount(-100_000, .extensions) == "-100,000")
    }

    @Test func partsOfACap() {
        #expect(MailText.percent(799, of: 1_000) == 79)
        #expect(MailText.percent(Int64.max, of: Int64.max) == 100)
        #expect(MailText.percent(Int64.max, of: 1) == nil)
        #expect(MailText.percent(5, of: 0) == nil)
        #expect(MailText.percent(-5, of: 10) == nil)
    }
}
