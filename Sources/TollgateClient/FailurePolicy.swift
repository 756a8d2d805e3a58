internal import Limits
public import Wire

/// What happens to a check when the service is slow or unreachable. The service's answers, denials
/// included, apply under either policy.
public struct FailurePolicy: Sendable, Hashable {
    /// nil: fail closed.
    let budget: [Quantity]?

    /// The check fails; the action does not take place.
    public static let failClosed = FailurePolicy(budget: nil)

    /// The action is let through without the service, up to this much of each resource for each
    /// tenant and minute; the budget of a resource that is not named is 0.
    ///
    /// The budget is this client's alone: ten processes with one each allow ten times as much. The
    /// service neither holds nor counts what is let through until it is settled
    /// (`TollgateClient.settle`), so caps can be exceeded by that amount.
    ///
    /// - Parameter budget: Each resource at most once, no amount negative.
    public static func failOpen(upTo budget: [Quantity]) -> FailurePolicy {
        FailurePolicy(budget: budget)
    }

    /// Whether a failure means that the service is slow or unreachable.
    static func isOutage(_ error: TollgateError) -> Bool {
        error.code == .unavailable || error.code == .deadlineExceeded
    }
}

/// How a check under a `FailurePolicy` ended; an entry of a batch or a stream may also have failed.
public enum CheckOutcome: Sendable, Hashable {
    /// The service has decided.
    case answered(CheckResponse)
    /// The service has not decided; the policy let the action through. This is not a reservation:
    /// nothing is held, and there is nothing to commit or to release. Settle it after the action.
    case letThrough(LetThrough)
}

/// An action that was let through without the service. The client keeps it until it is settled; it
/// is lost if the process ends before that.
public struct LetThrough: Sendable, Hashable {
    /// The request, with its idempotency key: the caller's, or one that the client generated.
    public let request: CheckRequest
    /// Unix milliseconds.
    public let atMilliseconds: Int64
    /// Why the service did not decide: UNAVAILABLE or DEADLINE_EXCEEDED. It may have processed the
    /// check anyway.
    public let cause: TollgateError.Code

    /// The usage to record, under the same key, without resources that are only held.
    ///
    /// - Parameter actual: The actual amounts; nil: the requested ones.
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

    /// The longest key of a request that can be let through, so that `secondKey` is valid too.
    static let maximumKeyBytes = 120
    /// The key under which the usage is recorded if the check has used its own.
    var secondKey: String { request.idempotencyKey + "~outage" }
}

/// What one client has let through in the current minute, and what it has not settled: a value
/// without I/O or clock.
struct OutageLedger {
    /// Maximum number of tenants in one minute; nothing is let through for others.
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

    /// Oldest first.
    var unsettled: [LetThrough] { entries.values.sorted { $0.atMilliseconds < $1.atMilliseconds } }
    var unsettledCount: Int { entries.count }

    /// Lets an action through if the budget of its tenant and minute has room for all of it.
    ///
    /// A request already let through under the same key is the same action and uses no more budget.
    ///
    /// - Parameter minute: A number that increases by one each minute.
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

    /// The action's usage has been recorded. False: this client does not know the action.
    mutating func settle(_ action: LetThrough) -> Bool {
        entries.removeValue(forKey: Key(action.request)) != nil
    }
}
