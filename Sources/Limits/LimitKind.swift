/// The limits that exist. Raw values are the proto's numbers.
@nonexhaustive public enum LimitKind: UInt8, Sendable, CaseIterable {
    case profileDailySpend = 1
    case tenantMonthlySpend = 2
    case tenantExtensions = 3
    case tenantDIDs = 4
    case tenantMonthlyMinutes = 5
    case tenantDailySpend = 6
    case tenantConcurrentCalls = 7
    case voiceProfileDailySpend = 8
    case tenantDailyMessages = 9

    /// The number less one: the bit in a `LimitSet`.
    @inlinable @inline(always) public var index: Int { Int(rawValue) - 1 }

    /// - Precondition: there is a limit of that index.
    @inlinable @inline(always) public init(index: Int) {
        guard let kind = LimitKind(rawValue: UInt8(truncatingIfNeeded: index &+ 1)) else {
            preconditionFailure("no such limit")
        }
        self = kind
    }
}
