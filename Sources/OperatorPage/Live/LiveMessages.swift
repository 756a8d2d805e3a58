import ControlPlane
import Engine
import Limits
import Projection
import Telemetry

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
    /// How long requests took in the last minute: half of them, 99 of 100, and all of them no longer than that.
    var p50: String
    var p99: String
    var slowest: String
    /// Per second, in each of the last 60; oldest first.
    var allowed: [Int]
    var denied: [Int]
    var codes: [Code]
    var nearest: [Nearest]
    /// How engine time and the wall clock differ; empty: by less than a second.
    var clock: String

    /// - Parameter ahead: by how much engine time is ahead of the wall clock, milliseconds.
    init(_ minute: LiveMinute, nearest: [TenantRow], ahead: Int64 = 0) {
        clock = Self.clock(ahead)
        allowed = minute.allowed
        denied = minute.denied
        rate = Texts.count(Int64((allowed.last ?? 0) + (denied.last ?? 0)))
        deniedRate = Texts.count(Int64(denied.last ?? 0))
        p50 = Texts.latency(minute.latency.percentile(50))
        p99 = Texts.latency(minute.latency.percentile(99))
        slowest = Texts.latency(minute.latency.percentile(100))
        let counts = minute.decisions.denied
        codes = counts.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map {
            Code(
                code: "\($0.key.row.text)", title: "\($0.key.row.title)",
                count: Texts.count(Int64(clamping: $0.value)))
        }
        self.nearest = nearest.compactMap(Self.nearest)
    }

    private static func clock(_ ahead: Int64) -> String {
        guard abs(ahead) > EngineClock.believableLead else { return "" }
        let span = Texts.span(abs(ahead))
        return ahead > 0
            ? "The wall clock was set back. Days and billing cycles follow a clock that is \(span) ahead of it and runs at half speed until the wall clock has caught up."
            : "The wall clock jumped ahead by \(span). Days and billing cycles do not follow it yet; see the log."
    }

    private static func nearest(_ row: TenantRow) -> Nearest? {
        let fullest = row.usage.filter { $0.cap ?? 0 > 0 }.max { $0.fullness < $1.fullness }
        guard let fullest, fullest.fullness > 0 else { return nil }
        let fields = LimitFields(fullest, percent: row.settings.limits.firstThreshold)
        return Nearest(
            name: row.shownName, path: Links.tenant(row.settings.id),
            limit: fullest.kind.row.words.title, text: fields.text, share: fields.share,
            filled: fields.filled, state: fields.state)
    }
}

extension LimitUsage {
    fileprivate var fullness: Double {
        guard let cap, cap > 0 else { return 0 }
        return (Double(committed) + Double(held)) / Double(cap)
    }
}

/// What `/settings/usage-limits/events` says whenever it changes: the tenants it was asked for that are still there.
struct TableMessage: Sendable, Encodable {
    struct Tenant: Sendable, Encodable {
        var id: String
        var name: String
        var suspended: Bool
        var threshold: String
        var autoSuspend: String
        var limits: [LimitFields]
    }

    var tenants: [Tenant]

    init(_ rows: [TenantRow]) {
        tenants = rows.map { row in
            Tenant(
                id: row.settings.id, name: row.shownName, suspended: row.status == .suspended,
                threshold: row.thresholdText, autoSuspend: row.autoSuspendText,
                limits: row.tenantLimits)
        }
    }
}

/// What `/tenants/{id}/events` says whenever it changes.
struct TenantMessage: Sendable, Encodable {
    struct Profile: Sendable, Encodable {
        var id: String
        var used: String
        var shareText: String
        var heldText: String
        var share: String
        var filled: String
        var state: String
    }

    var suspended: Bool
    var limits: [LimitFields]
    var profiles: [Profile]

    init(_ row: TenantRow, _ profiles: [ProfileRow]) {
        let percent = row.settings.limits.firstThreshold
        suspended = row.status == .suspended
        limits = row.tenantLimits
        self.profiles = profiles.map { profile in
            let usage = LimitFields(profile.usage, percent: percent)
            return Profile(
                id: profile.settings.id, used: usage.used, shareText: usage.shareText,
                heldText: usage.heldText, share: usage.share, filled: usage.filled,
                state: usage.state)
        }
    }
}
