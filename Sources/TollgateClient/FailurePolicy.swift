internal import Limits
public import Wire

/// What becomes of a check when the service is late or gone. The service's answers, denials among them, are obeyed under
/// either policy.
public struct FailurePolicy: Sendable, Hashable {
    /// nil: fail closed.
    let budget: [Quantity]?

    /// The check fails; the action does not take place.
    public static let failClosed = FailurePolicy(budget: nil)

    /// The action is let through without the service, up to so much of each resource for each tenant and minute; what is
    /// not named, not at all.
    ///
    /// The budget is this client's alone: ten processes with one each let ten times as much through. Nothing that is let
    /// through is held or counted by the service until it is settled (`TollgateClient.settle`), so that caps can be
    /// passed by as much.
    ///
    /// - Parameter budget: Each resource at most once, no amount negative.
    public static func failOpen(upTo budget: [Quantity]) -> FailurePolicy {
        FailurePolicy(budget: budget)
    }

    /// Whether a failure says that the service is late or gone.
    static func isOutage(_ error: TollgateError) -> Bool {
        error.code == .unavailable || error.code == .deadlineExceeded
    }
}

/// How a check under a `FailurePolicy` ended; an entry of a batch or a stream may also have failed.
public enum CheckOutcome: Sendable, Hashable {
    /// The service has decided.
    case answered(CheckResponse)
    /// The service has not decided; the policy let the action through. This is no reservation: nothing is held, and
    /// there is nothing to commit or to release. It is to be settled.
    case letThrough(LetThrough)
}

/// An action that was let through without the service. It is kept in the client until it is settled; a process that ends
/// before that loses it.
public struct LetThrough: Sendable, Hashable {
    /// What was asked, with its idempotency key: the caller's, or one that the client has drawn.
    public let request: CheckRequest
    /// Unix milliseconds.
    public let atMilliseconds: Int64
    /// Why the service did not decide: UNAVAILABLE or DEADLINE_EXCEEDED. It may have taken the check all the same.
    public let cause: TollgateError.Code

    /// The usage to be recorded, under the same key: without what is only ever held.
    ///
    /// - Parameter actual: What it came to; nil: what was asked.
    public func usage(actual: [Quantity]? = nil) -> RecordUsageRequest {
        usage(
            (actual ?? request.quantities).filter(\.resource.mayBeCharged),
            key: request.idempotencyKey)
    }

    func usage(_ quantities: [Quantity], key: String) -> RecordUsageRequest {
        RecordUsageRequest(
            tenantID: request.tenantID, messagingProfileID: request.messagingProfileID,
            action: request.action, quantities: quantities.map { Quantity($0.resource, $0.amount) },
            idempotencyKey: key, reference: request.reference,
            voiceProfileID: request.voiceProfileID)
    }

    /// The longest key that leaves room for the one that usage is recorded under when the check has taken its own.
    static let maximumKeyBytes = 120
    /// See `maximumKeyBytes`.
    var secondKey: String { request.idempotencyKey + "~outage" }
}

/// What one client has let through in the present minute and not settled: a value without I/O or clock.
struct OutageLedger {
    /// Tenants in one minute; beyond them nothing is let through.
    static let maximumTenants = 10_000

    private let maximumUnsettled: Int
    private var minute = Int64.min
    private var used: [String: [Int64]] = [:]
    private var entries: [Key: LetThrough] = [:]

    private struct Key: Hashable {
        let tenantID: String
        let key: String

        init(_ request: CheckRequest) {
            tenantID = request.tenantID
            key = request.idempotencyKey
        }
    }

    init(maximumUnsettled: Int) { self.maximumUnsettled = maximumUnsettled }

    /// The oldest first.
    var unsettled: [LetThrough] { entries.values.sorted { $0.atMilliseconds < $1.atMilliseconds } }
    var unsettledCount: Int { entries.count }

    /// Lets an action through, if the budget of its tenant and minute has room for all of it.
    ///
    /// One that was let through under the same key before is the same action, and takes nothing from the budget.
    ///
    /// - Parameter minute: A number that grows by one a minute.
    mutating func letThrough(_ action: LetThrough, budget: [Quantity], minute: Int64) -> Bool {
        let key = Key(action.request)
        if let known = entries[key] { return known.request == action.request }
        guard entries.count < maximumUnsettled else { return false }
        if minute != self.minute {
            self.minute = minute
            used.removeAll()
        }
        let tenant = action.request.tenantID
        guard used[tenant] != nil || used.count < Self.maximumTenants else { return false }
        var amounts = used[tenant] ?? Array(repeating: 0, count: Resource.allCases.count)
        for quantity in action.request.quantities where quantity.amount != 0 {
            let most = budget.first { $0.resource == quantity.resource }?.amount ?? 0
            let index = quantity.resource.index
            let (sum, overflows) = amounts[index].addingReportingOverflow(quantity.amount)
            guard quantity.amount > 0, overflows == false, sum <= most else { return false }
            amounts[index] = sum
        }
        used[tenant] = amounts
        entries[key] = action
        return true
    }

    /// An action's usage stands in the service's books. False: it is not known here.
    mutating func settle(_ action: LetThrough) -> Bool {
        entries.removeValue(forKey: Key(action.request)) != nil
    }
}
