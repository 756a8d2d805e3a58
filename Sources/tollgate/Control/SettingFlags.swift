internal import ArgumentParser
internal import JSON
internal import Limits
internal import LimitsFile

/// A cap on the command line: a number, or "none" for no limit.
enum CapText {
    /// - Parameter name: the flag, for the sentence.
    static func money(_ text: String?, _ name: String) throws -> JSON? {
        guard let text else { return nil }
        if text == "none" { return .null }
        do {
            // The service parses it too; here it is refused beside the flag's name.
            return .string(Money.format(try Money.parse(text)))
        } catch {
            throw ValidationError("\(name) must be an amount in USD or none. \(error.sentence).")
        }
    }

    static func count(_ text: String?, _ name: String) throws -> JSON? {
        guard let text else { return nil }
        if text == "none" { return .null }
        guard let number = Int64(text), number >= 0 else {
            throw ValidationError("\(name) must be a whole number of at least 0, or none.")
        }
        return .integer(number)
    }
}

/// The six fields of "Edit Limits".
struct LimitFlags: ParsableArguments {
    enum Caps: OptionCatalogue {
        static let options = CapSetting.all.map {
            CatalogueOption(
                name: $0.option, help: $0.help, valueName: $0.unit == .amount ? "usd" : "n")
        }
    }

    @OptionGroup var caps: CatalogueOptions<Caps>

    @Option(help: .init("Alert threshold in percent of a cap, 1 to 100.", valueName: "percent"))
    var alertThreshold: Int?

    @Flag(inversion: .prefixedNo, help: "Suspend the tenant when it reaches a cap.")
    var autoSuspend: Bool?

    func members() throws -> [JSON.Member] {
        if let alertThreshold, (1...100).contains(alertThreshold) == false {
            throw ValidationError("--alert-threshold must be 1 to 100.")
        }
        let caps = try CapSetting.all.map { cap in
            (cap.name, try cap.json(self.caps.text(cap.option)))
        }
        return named(caps)
            + named([
                ("alert_threshold", alertThreshold.map { .integer(Int64($0)) }),
                ("auto_suspend", autoSuspend.map { .bool($0) }),
            ])
    }
}

enum OnLimitName: String, ExpressibleByArgument, CaseIterable { case auto, block, alert }

/// What else is set of a tenant.
struct TenantFlags: ParsableArguments {
    @Option(help: .init("Display name.", valueName: "text"))
    var name: String?

    @OptionGroup var limits: LimitFlags

    @Option(
        help: """
            At a cap: auto, the limit's default; block, always refuse; alert, only alert.
            """)
    var onLimit: OnLimitName?

    @Option(
        help: .init(
            "Day of the month on which the billing cycle starts, 1 to 31.", valueName: "day"))
    var billingCycleDay: Int?

    @Option(help: .init("Time zone of the billing cycle, like Europe/Paris.", valueName: "zone"))
    var timeZone: String?

    @Flag(inversion: .prefixedNo, help: "Let the tenant's own tokens see its caps and limit codes.")
    var discloseLimits: Bool?

    func members() throws -> [JSON.Member] {
        if let billingCycleDay, (1...31).contains(billingCycleDay) == false {
            throw ValidationError("--billing-cycle-day must be 1 to 31.")
        }
        return named([("name", name.map { .string($0) })]) + (try limits.members())
            + named([
                ("on_limit", onLimit.map { .string($0.rawValue) }),
                ("billing_cycle_day", billingCycleDay.map { .integer(Int64($0)) }),
                ("time_zone", timeZone.map { .string($0) }),
                ("disclose_limits", discloseLimits.map { .bool($0) }),
            ])
    }
}

/// What is set of a profile.
struct ProfileFlags: ParsableArguments {
    @Option(help: .init("Display name.", valueName: "text"))
    var name: String?

    // The cap is called the same whatever the kind.
    private static let cap = ProfileKind.messaging.limit.cap

    @Option(name: .customLong(cap.option), help: .init(cap.help, valueName: "usd"))
    var limit: String?

    @Flag(
        name: .customLong(cap.toggleName.replacing("_", with: "-")), inversion: .prefixedNo,
        help: .init(cap.toggle?.help ?? ""))
    var isEnabled: Bool?

    @Option(help: .init("Webhook URL for its events, or none.", valueName: "url"))
    var webhookURL: String?

    @Option(help: .init("Failover URL after three failures, or none.", valueName: "url"))
    var webhookFailoverURL: String?

    func members() throws -> [JSON.Member] {
        named([
            ("name", name.map { .string($0) }),
            (Self.cap.name, try Self.cap.json(limit)),
            (Self.cap.toggleName, isEnabled.map { .bool($0) }),
            ("webhook_url", webhookURL.map { $0 == "none" ? .null : .string($0) }),
            ("webhook_failover_url", webhookFailoverURL.map { $0 == "none" ? .null : .string($0) }),
        ])
    }
}

/// Only act on the version that one has seen.
struct MatchOption: ParsableArguments {
    @Option(
        help: .init(
            "Only apply the change if the resource still has this ETag (shown by get --json).",
            valueName: "etag"))
    var ifMatch: String?
}

/// The members that have a value.
func named(_ members: [(String, JSON?)]) -> [JSON.Member] {
    members.compactMap { name, value in value.map { (name, $0) } }
}

/// A body for a change; a change of nothing is wrong usage.
func changes(_ members: [JSON.Member]) throws -> JSON {
    guard members.isEmpty == false else {
        throw ValidationError("Nothing to change: give at least one setting.")
    }
    return .object(members)
}
