import Limits
import Reservations
import Testing

@testable import TestKit

/// Who lives through a story: the rules are the same for both.
enum Side: String, CaseIterable, Sendable { case model, engine }

/// A hand-written history of the naive model or the engine: tenant `acme` with profile `promo`, from
/// 2026-11-21T10:00:00Z.
struct Story {
    static let start: Int64 = 1_795_255_200_000
    static let midnight: Int64 = 1_795_305_600_000
    /// 2026-12-01T00:00:00Z.
    static let nextCycle: Int64 = 1_796_083_200_000

    /// How long keys and settled reservations are remembered.
    static let retention: Int64 = 900_000

    private var subject: any ModelSubject
    private(set) var now = start
    var tenant = TenantSettings(id: "acme")
    var profile = ProfileSettings(id: "promo", tenantID: "acme")
    /// Events of every operation so far.
    var events: [ModelEvent] = []

    init(
        _ side: Side, _ limits: TenantLimits = TenantLimits(), onLimit: OnLimit = .auto,
        dailyCap: Int64? = nil, profileKind: ProfileKind = .messaging, timeZone: String = "UTC"
    ) {
        subject = Self.subject(side)
        tenant.limits = limits
        tenant.onLimit = onLimit
        tenant.timeZone = timeZone
        profile.kind = profileKind
        profile.dailySpendLimitEnabled = dailyCap != nil
        profile.dailySpendLimitNanos = dailyCap
        configure()
    }

    static func emptyModel() -> NaiveModel { NaiveModel(now: start) }

    private static func subject(_ side: Side) -> any ModelSubject {
        switch side {
        case .model: return emptyModel()
        case .engine:
            let capacity = TableCapacity(
                tenants: 16, profiles: 16, reservations: 1_024, bodies: 256, keys: 1_024, lanes: 4,
                ringWords: 1 << 12)
            do { return try EngineSubject(now: start, capacity: capacity) } catch {
                preconditionFailure("no engine: \(error)")
            }
        }
    }

    @discardableResult
    mutating func perform(_ operation: ModelOperation) -> ModelAnswer {
        if case .advance(let milliseconds) = operation { now += milliseconds }
        let outcome = subject.perform(operation)
        events += outcome.events
        return outcome.answer
    }

    /// Hands over `tenant` and `profile`, changed by the story.
    mutating func configure() {
        #expect(perform(.setTenant(tenant)) != .failure(.notFound))
        #expect(perform(.setProfile(profile)) != .failure(.notFound))
    }

    // MARK: Calls that answer

    @discardableResult
    mutating func check(
        _ amounts: ModelAmounts, mode: Mode = .reserve, profileID: String = "",
        _ change: (inout CheckOperation) -> Void = { _ in }
    ) throws -> ModelCheckAnswer {
        var operation = CheckOperation(tenantID: "acme", amounts: amounts)
        operation.mode = mode
        operation.profileID = profileID
        operation.profileKind = profile.kind
        change(&operation)
        guard case .check(let answer) = perform(.check(operation)) else { throw Failed() }
        return answer
    }

    @discardableResult
    mutating func commit(
        _ ordinal: Int, _ actual: ModelAmounts = [:]
    ) throws -> ModelCommitAnswer {
        let answer = perform(.commit(reservation: ordinal, actual: actual))
        guard case .commit(let answer) = answer else { throw Failed() }
        return answer
    }

    @discardableResult
    mutating func release(_ ordinal: Int) throws -> ModelReleaseAnswer {
        let answer = perform(.release(reservation: ordinal))
        guard case .release(let answer) = answer else { throw Failed() }
        return answer
    }

    @discardableResult
    mutating func extend(
        _ ordinal: Int, _ additional: ModelAmounts = [:], ttl: Int64 = 0,
        _ change: (inout ExtendOperation) -> Void = { _ in }
    ) throws -> ModelExtendAnswer {
        var operation = ExtendOperation(reservation: ordinal)
        operation.additional = additional
        operation.ttlMilliseconds = ttl
        change(&operation)
        guard case .extend(let answer) = perform(.extend(operation)) else { throw Failed() }
        return answer
    }

    @discardableResult
    mutating func record(
        _ amounts: ModelAmounts, profileID: String = "", key: String = ""
    ) throws -> ModelRecordAnswer {
        var operation = RecordOperation(tenantID: "acme", amounts: amounts)
        operation.profileID = profileID
        operation.profileKind = profile.kind
        operation.key = key
        guard case .record(let answer) = perform(.record(operation)) else { throw Failed() }
        return answer
    }

    mutating func state(_ kind: LimitKind) throws -> LimitState {
        let answer = perform(.usage(tenantID: "acme", profileID: "promo"))
        guard case .usage(let answer) = answer else { throw Failed() }
        return try #require(answer.limits[kind])
    }

    /// Limits of `acme` and `promo`.
    var kinds: [LimitKind] { LimitSubject.tenant.limits.map(\.kind) + [profile.kind.limit.kind] }

    mutating func committed(_ kind: LimitKind) throws -> Int64 { try state(kind).committed }
    mutating func held(_ kind: LimitKind) throws -> Int64 { try state(kind).held }

    /// The clock goes on, and what is overdue expires.
    mutating func wait(_ milliseconds: Int64) {
        perform(.advance(milliseconds: milliseconds))
        perform(.expire)
    }

    mutating func wait(until instant: Int64) { wait(instant - now) }

    mutating func eventsSinceLast() -> [ModelEvent] {
        defer { events = [] }
        return events
    }

    /// The operation failed as a whole, or answered something else.
    struct Failed: Error {}
}
