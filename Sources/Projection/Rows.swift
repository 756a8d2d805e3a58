package import Events
package import Limits

/// Which part of a list: the vendor's `page[number]` and `page[size]`.
package struct Page: Sendable, Equatable {
    /// From 1.
    package var number: Int
    /// 1 ... 250.
    package var size: Int

    package init(number: Int = 1, size: Int = 20) {
        self.number = number
        self.size = size
    }
}

/// A part of a list.
package struct Paged<Row: Sendable>: Sendable {
    package var rows: [Row]
    /// Of all parts together.
    package var total: Int

    package init(rows: [Row], total: Int) {
        self.rows = rows
        self.total = total
    }
}

/// What is used of a limit, in the unit of its resource.
package struct LimitUsage: Sendable, Equatable {
    package var kind: LimitKind
    /// nil: no limit.
    package var cap: Int64?
    package var committed: Int64
    package var held: Int64
    /// Unix milliseconds; 0: a standing count.
    package var windowStart: Int64
    package var resetsAt: Int64

    package init(
        kind: LimitKind, cap: Int64?, committed: Int64, held: Int64, windowStart: Int64,
        resetsAt: Int64
    ) {
        self.kind = kind
        self.cap = cap
        self.committed = committed
        self.held = held
        self.windowStart = windowStart
        self.resetsAt = resetsAt
    }
}

package struct TenantRow: Sendable, Equatable {
    package var settings: TenantSettings
    package var status: TenantStatus
    /// The tenant's limits in the order of the catalogue.
    package var usage: [LimitUsage]

    package init(settings: TenantSettings, status: TenantStatus, usage: [LimitUsage]) {
        self.settings = settings
        self.status = status
        self.usage = usage
    }
}

package struct ProfileRow: Sendable, Equatable {
    package var settings: ProfileSettings
    package var usage: LimitUsage

    package init(settings: ProfileSettings, usage: LimitUsage) {
        self.settings = settings
        self.usage = usage
    }
}

/// A text that a list is filtered by.
package enum TextFilter: Sendable, Equatable {
    case equals(String)
    case contains(String)
}

package struct TenantQuery: Sendable, Equatable {
    package enum Sort: Sendable, Hashable, CaseIterable, RawRepresentable {
        case id
        case name
        case createdAt
        /// By how full the fullest limit is: used / cap, committed and held.
        case nearestToLimit
        /// By what is committed of a tenant's limit; of what is only ever held, that.
        case limit(LimitKind)

        package static let allCases: [Sort] =
            [.id, .name, .createdAt, .nearestToLimit]
            + LimitSubject.tenant.limits.map { .limit($0.kind) }

        package var rawValue: String {
            switch self {
            case .id: "id"
            case .name: "name"
            case .createdAt: "created_at"
            case .nearestToLimit: "nearest_to_limit"
            case .limit(let kind): kind.row.sortName
            }
        }

        package init?(rawValue: String) {
            guard let sort = Self.allCases.first(where: { $0.rawValue == rawValue }) else {
                return nil
            }
            self = sort
        }

        /// What the word alone means to whoever asks: the nearest to a limit, but the lowest of anything else.
        package var putsHighestFirst: Bool { self == .nearestToLimit }
    }

    package var id: TextFilter?
    /// Only ids after this one, in the order of their bytes.
    package var idAfter: String?
    package var name: TextFilter?
    package var status: TenantStatus?
    package var sort = Sort.id
    package var descending = false

    package init() {}
}

package struct ProfileQuery: Sendable, Equatable {
    /// nil: of all kinds.
    package var kind: ProfileKind?
    package var tenantID: String?
    /// Only ids after this one, in the order of their bytes.
    package var idAfter: String?
    package var name: TextFilter?

    package init(
        _ kind: ProfileKind? = nil, tenantID: String? = nil, idAfter: String? = nil,
        name: TextFilter? = nil
    ) {
        self.kind = kind
        self.tenantID = tenantID
        self.idAfter = idAfter
        self.name = name
    }
}

/// What a tenant used in one day of its time zone, or a profile in one of UTC.
package struct DailyUsageRow: Sendable, Equatable {
    /// The date: its first millisecond in UTC.
    package var day: Int64
    /// Empty: the tenant as a whole.
    package var profileID: String
    /// Added to committed, by resource: what was held on the day it was taken, all else on the day it was added; negative
    /// where counts shrank more than they grew.
    package var committed: Amounts
    package var allowed: Int64
    package var denied: Int64
    /// Refusals by code: each limit that refused counts, so that they may sum up to more than `denied`.
    package var refusals: [UInt32: Int64] = [:]
    /// The day is over, and no hold of it is open: nothing will be added.
    package var isFinal = false

    package init(
        day: Int64, profileID: String, committed: Amounts, allowed: Int64, denied: Int64
    ) {
        self.day = day
        self.profileID = profileID
        self.committed = committed
        self.allowed = allowed
        self.denied = denied
    }
}

/// One line of the audit log: what changed the configuration or status, raised an event, or was refused.
package struct AuditRow: Sendable, Equatable {
    /// Rises with time.
    package var id: Int64
    /// Unix milliseconds.
    package var time: Int64
    /// snake_case of `Record.Kind`: "tenant_changed", "denied", "tenant_suspended", ...
    package var kind: String
    /// Empty: about the service.
    package var tenantID: String
    /// Empty: about no profile.
    package var profileID: String
    package var profileKind = ProfileKind.messaging
    /// The access token's number and name; 0: nobody was asked.
    package var caller: UInt64
    package var callerName: String
    /// The trace of the call behind it; nil: none is known.
    package var trace: TraceID?
    /// The limits that refused, warned or raised an event, as they stood; empty: none.
    package var limits: [LimitReading]
    /// `Event.Kind` of what it raised.
    package var events: [Event.Kind]
    /// What was asked for.
    package var asked: Amounts
    package var action: Action
    /// The refusal's code, "40333"; empty: no refusal.
    package var code: String
    /// The caller's own id, or the operator's reason.
    package var reference: String
    /// 0: none.
    package var reservationID: UInt64
    /// What a configuration change changed: name, before, after; nil: was or is not set.
    package var changes: [Change]
    /// Refusals that the line stands for; else 1. `time` is the first one's, as are what was asked, reference,
    /// caller and trace.
    package var count: Int64 = 1
    /// The last one's, Unix milliseconds.
    package var lastTime: Int64 = 0

    package struct Change: Sendable, Equatable, Codable {
        package var name: String
        package var before: String?
        package var after: String?

        package init(name: String, before: String?, after: String?) {
            self.name = name
            self.before = before
            self.after = after
        }
    }

    package init(id: Int64, time: Int64, kind: String) {
        self.id = id
        self.time = time
        self.kind = kind
        tenantID = ""
        profileID = ""
        caller = 0
        callerName = ""
        limits = []
        events = []
        asked = Amounts()
        action = .unspecified
        code = ""
        reference = ""
        reservationID = 0
        changes = []
    }
}

package struct AuditQuery: Sendable, Equatable {
    package var tenantID: String?
    package var profileID: String?
    /// nil: a profile of any kind.
    package var profileKind: ProfileKind?
    package var kind: String?
    /// Unix milliseconds; from inclusive, to exclusive.
    package var from: Int64?
    package var to: Int64?

    package init() {}
}

package struct EventQuery: Sendable, Equatable {
    package var kind: Event.Kind?
    package var tenantID: String?
    package var from: Int64?
    package var to: Int64?

    package init() {}
}

/// A delivery as it is shown to people.
package struct DeliveryRow: Sendable, Equatable {
    package enum Status: String, Sendable, CaseIterable { case pending, delivered, failed }

    package var id: Int64
    package var event: Event
    package var channel: Delivery.Channel
    package var status: Status
    /// Newest first.
    package var attempts: [DeliveryAttempt]
    /// Unix milliseconds.
    package var createdAt: Int64
    /// nil: none is due.
    package var nextAttemptAt: Int64?

    package init(
        id: Int64, event: Event, channel: Delivery.Channel, status: Status,
        attempts: [DeliveryAttempt], createdAt: Int64, nextAttemptAt: Int64?
    ) {
        self.id = id
        self.event = event
        self.channel = channel
        self.status = status
        self.attempts = attempts
        self.createdAt = createdAt
        self.nextAttemptAt = nextAttemptAt
    }
}

package struct DeliveryQuery: Sendable, Equatable {
    package var status: DeliveryRow.Status?
    package var eventID: String?
    package var kind: Event.Kind?
    /// Only webhooks (true) or only e-mail (false).
    package var isWebhook: Bool?

    package init() {}
}

/// How far the projection has come.
package struct ProjectionStatus: Sendable, Equatable {
    /// Engine time of the last record that was taken up, Unix milliseconds.
    package var time: Int64
    /// Bytes of the journal that are durable and not taken up yet.
    package var behindBytes: Int
    /// Why it does not go on; nil: it does.
    package var trouble: String?
    /// Why it has not gone on for some attempts in a row, for everybody's eyes: neither lists nor alerts go on. nil: they do.
    package var standstill: String?

    package init(
        time: Int64, behindBytes: Int, trouble: String?, standstill: String? = nil
    ) {
        self.time = time
        self.behindBytes = behindBytes
        self.trouble = trouble
        self.standstill = standstill
    }
}
