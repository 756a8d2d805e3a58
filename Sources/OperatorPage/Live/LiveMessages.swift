import ControlPlane
import Limits
import Projection

/// What `/live/events` says each second.
struct LiveMessage: Sendable, Encodable {
    struct Code: Sendable, Encodable {
        var code: String
        var title: String
        var count: String
    }

    struct Nearest: Sendable, Encodable {
        var name: String
        var path: String
        var limit: String
        var text: String
        var share: String
        var filled: String
        var state: String
    }

    var rate: String
    var deniedRate: String
    var p50: String
    var p99: String
    /// The last 60 seconds, oldest first.
    var allowed: [Int]
    var denied: [Int]
    var codes: [Code]
    var nearest: [Nearest]

    static let seconds = 60
    /// The journal's last seconds are not complete: that far back is the one shown.
    static let lag: Int64 = 2

    /// - Parameters:
    ///   - counts: of the last seconds, in any order.
    ///   - now: Unix milliseconds.
    init(
        _ counts: [DecisionCount], _ percentiles: (p50: Duration, p99: Duration)?,
        nearest: [TenantRow], now: Int64
    ) {
        let last = now / 1_000 - Self.lag
        let known = Dictionary(counts.map { ($0.second, $0) }) { $1 }
        let range = (last - Int64(Self.seconds) + 1)...last
        allowed = range.map { known[$0]?.allowed ?? 0 }
        denied = range.map { known[$0]?.deniedCount ?? 0 }
        rate = Texts.count(Int64((allowed.last ?? 0) + (denied.last ?? 0)))
        deniedRate = Texts.count(Int64(denied.last ?? 0))
        p50 = Self.text(percentiles?.p50)
        p99 = Self.text(percentiles?.p99)
        var byCode: [ErrorCode: Int] = [:]
        for second in range {
            byCode.merge(known[second]?.denied ?? [:]) { $0 + $1 }
        }
        codes = byCode.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map {
            Code(
                code: "\($0.key.row.text)", title: "\($0.key.row.title)",
                count: Texts.count(Int64($0.value)))
        }
        self.nearest = nearest.compactMap(Self.nearest)
    }

    private static func nearest(_ row: TenantRow) -> Nearest? {
        let fullest = row.usage.filter { $0.cap ?? 0 > 0 }.max { $0.fullness < $1.fullness }
        guard let fullest, fullest.fullness > 0 else { return nil }
        let fields = LimitFields(fullest, percent: row.settings.limits.alertThresholdPercent)
        return Nearest(
            name: row.shownName, path: Links.tenant(row.settings.id),
            limit: Texts.name(fullest.kind), text: fields.text, share: fields.share,
            filled: fields.filled, state: fields.state)
    }

    private static func text(_ time: Duration?) -> String {
        guard let time else { return "–" }
        let microseconds =
            time.components.seconds * 1_000_000 + time.components.attoseconds / 1_000_000_000_000
        let hundredths = (microseconds + 5) / 10
        let rest = hundredths % 100
        return "\(Texts.count(hundredths / 100)).\(rest < 10 ? "0" : "")\(rest) ms"
    }
}

extension LimitUsage {
    fileprivate var fullness: Double {
        guard let cap, cap > 0 else { return 0 }
        return (Double(committed) + Double(held)) / Double(cap)
    }
}

/// What `/tenants/{id}/events` says whenever it changes.
struct TenantMessage: Sendable, Encodable {
    struct Profile: Sendable, Encodable {
        var id: String
        var used: String
        var shareText: String
        var share: String
        var filled: String
        var state: String
    }

    var suspended: Bool
    var limits: [LimitFields]
    var profiles: [Profile]

    init(_ row: TenantRow, _ profiles: [ProfileRow]) {
        let percent = row.settings.limits.alertThresholdPercent
        suspended = row.status == .suspended
        limits = row.usage.map { LimitFields($0, percent: percent) }
        self.profiles = profiles.map { profile in
            let usage = LimitFields(profile.usage, percent: percent)
            return Profile(
                id: profile.settings.id, used: usage.used, shareText: usage.shareText,
                share: usage.share, filled: usage.filled, state: usage.state)
        }
    }
}
