package import Limits
import Notation

/// What usage is told apart by: an action, or nil: from before the upgrade that began to tell them apart.
package typealias ReportAction = Action?

/// What was used, in some time, by somebody.
package struct UsageFigures: Sendable, Equatable {
    /// Nano-USD and seconds, by `index(of:)`.
    private var spends: [Int64]
    private var seconds: [Int64]
    /// Messages that were charged.
    package private(set) var messages: Int64 = 0
    /// By how many there were more at the end than at the beginning; negative: fewer.
    package private(set) var extensionChange: Int64 = 0
    package private(set) var didChange: Int64 = 0
    /// Spend that was charged above what had been held for it, nano-USD; a part of the spend.
    package private(set) var overage: Int64 = 0
    package private(set) var allowed: Int64 = 0
    package private(set) var denied: Int64 = 0
    /// Holds that may still change some of it.
    package private(set) var openHolds: Int64 = 0

    /// All that there are; the last is nil.
    package static let actions: [ReportAction] = Action.allCases + [nil]
    private static let count = actions.count

    package init() {
        spends = Array(repeating: 0, count: Self.count)
        seconds = spends
    }

    private static func index(of action: ReportAction) -> Int {
        action.map { Int($0.rawValue) } ?? count - 1
    }

    /// Nano-USD.
    package func spend(_ action: ReportAction) -> Int64 { spends[Self.index(of: action)] }
    package var spend: Int64 { spends.reduce(0) { $0.addingSaturated($1) } }
    package func callSeconds(_ action: ReportAction) -> Int64 { seconds[Self.index(of: action)] }
    package var callSeconds: Int64 { seconds.reduce(0) { $0.addingSaturated($1) } }
    /// Of calls of which no direction is known: recorded for no call's action.
    package var otherCallSeconds: Int64 {
        Self.actions.filter { $0 != .inboundCall && $0 != .outboundCall }
            .reduce(0) { $0.addingSaturated(callSeconds($1)) }
    }

    /// Nothing was used, refused or allowed.
    package var isEmpty: Bool {
        allowed == 0 && denied == 0 && overage == 0 && messages == 0 && extensionChange == 0
            && didChange == 0 && spends.allSatisfy { $0 == 0 } && seconds.allSatisfy { $0 == 0 }
    }

    mutating func add(_ sum: UsageSum, for action: Int16) {
        let index = (0..<Int16(Self.count - 1)).contains(action) ? Int(action) : Self.count - 1
        spends[index] = spends[index].addingSaturated(sum.committed[.spend])
        seconds[index] = seconds[index].addingSaturated(sum.committed[.callSeconds])
        messages = messages.addingSaturated(sum.committed[.messages])
        extensionChange = extensionChange.addingSaturated(sum.committed[.extensions])
        didChange = didChange.addingSaturated(sum.committed[.dids])
        overage = overage.addingSaturated(sum.overage)
        allowed = allowed.addingSaturated(sum.allowed)
        denied = denied.addingSaturated(sum.denied)
        openHolds = openHolds.addingSaturated(sum.open)
    }

    package mutating func add(_ other: UsageFigures) {
        for index in 0..<Self.count {
            spends[index] = spends[index].addingSaturated(other.spends[index])
            seconds[index] = seconds[index].addingSaturated(other.seconds[index])
        }
        messages = messages.addingSaturated(other.messages)
        extensionChange = extensionChange.addingSaturated(other.extensionChange)
        didChange = didChange.addingSaturated(other.didChange)
        overage = overage.addingSaturated(other.overage)
        allowed = allowed.addingSaturated(other.allowed)
        denied = denied.addingSaturated(other.denied)
        openHolds = openHolds.addingSaturated(other.openHolds)
    }

    /// With other counts of refusals: those of one code.
    package mutating func setDenied(_ count: Int64) { denied = count }
}

// MARK: Invoices

/// The time that an invoice is about.
package enum InvoiceCycle: Sendable, Equatable {
    /// A calendar month in each tenant's zone: the first millisecond of its first day in UTC.
    case month(Int64)
    /// Each tenant's own billing cycle: the one that runs, or the one before.
    case current
    case previous

    /// nil: neither a month like "2026-11" nor one of the two words.
    package init?(_ text: String) {
        switch text {
        case "current": self = .current
        case "previous": self = .previous
        default:
            guard text.utf8.count == 7, let day = Instant.parseDay(text + "-01") else {
                return nil
            }
            self = .month(day)
        }
    }

    package var text: String {
        switch self {
        case .month(let day): String(Instant.day(day).dropLast(3))
        case .current: "current"
        case .previous: "previous"
        }
    }
}

package struct InvoiceQuery: Sendable, Equatable {
    package enum Sort: String, Sendable, CaseIterable {
        case tenantID = "tenant_id"
        case tenantName = "tenant_name"
        case spend
        case callSeconds = "call_seconds"
        case messages
        case extensions
        case dids
        case overage
        case denied
    }

    package var cycle: InvoiceCycle
    /// nil: all.
    package var tenantID: String?
    package var sort = Sort.tenantID
    package var descending = false

    package init(_ cycle: InvoiceCycle) { self.cycle = cycle }
}

/// What a tenant used in a cycle.
package struct InvoiceRow: Sendable, Equatable {
    package var settings: TenantSettings
    package var status: TenantStatus
    /// Dates in the tenant's zone, as their first milliseconds in UTC: the first, and the one behind the last.
    package var from: Int64
    package var to: Int64
    package var figures: UsageFigures
    /// How many there were at the end; now, if it is not over.
    package var extensions: Int64
    package var dids: Int64
    /// It is over, and no hold is open: nothing will be added.
    package var isFinal: Bool
}

package struct InvoiceReport: Sendable, Equatable {
    /// Those of the page.
    package var rows: [InvoiceRow]
    /// Of all pages.
    package var total: Int
    package var totals: UsageFigures
    package var totalExtensions: Int64
    package var totalDIDs: Int64
    package var basis: ReportBasis
}

/// What figures are based on.
package struct ReportBasis: Sendable, Equatable {
    /// What is told apart by action and hour begins here, Unix milliseconds; 0: with the first record.
    package var byActionSince: Int64
    /// Up to when what happened is in it, engine time, Unix milliseconds.
    package var asOf: Int64
}

/// A tenant's invoice by day.
package struct InvoiceDetail: Sendable, Equatable {
    package struct Day: Sendable, Equatable {
        package var day: Int64
        package var figures: UsageFigures
        /// By code.
        package var refusals: [UInt32: Int64]
    }

    package var invoice: InvoiceRow
    /// All of the cycle, oldest first.
    package var days: [Day]
    package var basis: ReportBasis
}

// MARK: Series

package struct SeriesQuery: Sendable, Equatable {
    package enum Interval: String, Sendable, CaseIterable {
        case day, hour

        /// Milliseconds.
        package var length: Int64 {
            self == .day ? ProfileState.dayLength : UsageKey.hourLength
        }

        var table: UsageSums.Table { self == .day ? .daily : .hourly }
    }

    package var interval: Interval
    /// The first day or hour, and the one behind the last, Unix milliseconds.
    package var from: Int64
    package var to: Int64
    /// nil: all tenants together.
    package var tenantID: String?
    package var profileID: String?
    /// Only what was for this action; then refusals are not told apart by code.
    package var action: Action?
    /// Only refusals with this code.
    package var code: UInt32?

    package init(_ interval: Interval, from: Int64, to: Int64) {
        self.interval = interval
        self.from = from
        self.to = to
    }

    /// The range in front of it, as long.
    package var before: SeriesQuery {
        var before = self
        before.from = from - (to - from)
        before.to = from
        return before
    }
}

package struct SeriesPoint: Sendable, Equatable {
    /// A date, as its first millisecond in UTC, or the first instant of an hour.
    package var start: Int64
    package var figures: UsageFigures
    /// By code: each limit that refused counts, so that they may sum up to more than what was denied.
    package var refusals: [UInt32: Int64]
}

package struct UsageSeries: Sendable, Equatable {
    /// One for each day or hour, oldest first.
    package var points: [SeriesPoint]
    package var basis: ReportBasis
}

// MARK: Forecast and overview

/// When a tenant will have used up a limit of its billing cycle, if it goes on as in this cycle so far.
package struct ForecastRow: Sendable, Equatable {
    package var settings: TenantSettings
    package var status: TenantStatus
    package var kind: LimitKind
    /// Committed and held, and the cap, in the unit of the limit's resource.
    package var used: Int64
    package var cap: Int64
    /// What it will come to at the cycle's end.
    package var expected: Int64
    /// Unix milliseconds.
    package var cycleStart: Int64
    package var cycleEnd: Int64
    package var reachedAt: Int64
}

package struct Forecast: Sendable, Equatable {
    /// Who comes first, first.
    package var rows: [ForecastRow]
    /// Forecasts that come before their cycle's end, of those that were looked at.
    package var total: Int
    /// Tenants that were looked at, the fullest first, of all.
    package var examined: Int
    package var tenants: Int
    /// How a day of the week compares with the mean, by resource, from Sunday on.
    package var weekdayFactors: [Resource: [Double]]
    package var basis: ReportBasis
}

package struct OverviewReport: Sendable, Equatable {
    package struct Denials: Sendable, Equatable {
        package var day: Int64
        package var byCode: [UInt32: Int64]
    }

    /// Tenants that were not deleted.
    package var active: Int
    package var suspended: Int
    /// Of the running cycles of all tenants together, each its own: nano-USD and seconds.
    package var cycleSpend: Int64
    package var cycleCallSeconds: Int64
    package var today: UsageFigures
    package var yesterday: UsageFigures
    package var thisMonth: UsageFigures
    package var lastMonth: UsageFigures
    /// Up to the same day of the month as today's.
    package var lastMonthToDate: UsageFigures
    /// Oldest first.
    package var denials: [Denials]
    package var forecast: Forecast
}
