/// The error catalogue (semantics §8). Raw values are the codes that callers see.
///
/// Codes below 49000 are the seed vendor's, with its titles; 49xxx are Tollgate's own.
@frozen public enum ErrorCode: UInt32, Sendable, CaseIterable {
    case profileSpendLimit = 40333
    case tenantSpendLimit = 49001
    case tenantExtensionLimit = 49002
    case tenantDIDLimit = 49003
    case tenantMinutesLimit = 49004
    case tenantDailySpendLimit = 49005
    case tenantConcurrentCallLimit = 49006
    case voiceProfileSpendLimit = 49007
    case tenantDailyMessageLimit = 49008
    case suspended = 20012
    case notFound = 10005
    case badField = 10015
    case missingField = 10004
    case malformed = 10023
    case keyReused = 49201
    case reservationExpired = 49202
    case alreadySettled = 49203
    case exceedsReservation = 49204
    case unauthenticated = 10009
    case forbidden = 10010
    case tooManyRequests = 10011
    case unavailable = 10037
    case unexpected = 10007
}

/// google.rpc.Code, the numbers that gRPC puts on the wire.
@frozen public enum StatusCode: UInt8, Sendable, CaseIterable {
    case ok = 0
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16
}

/// What the catalogue says about a code.
public struct ErrorRow: Sendable {
    public let code: ErrorCode
    /// The code as it stands in JSON and protobuf: "40333".
    public let text: StaticString
    /// UPPER_SNAKE reason of google.rpc.ErrorInfo.
    public let reason: StaticString
    public let title: StaticString
    /// The standing detail; a failure may say more.
    public let detail: StaticString
    /// Where this error is explained.
    public let url: StaticString
    public let httpStatus: Int
    /// gRPC status of the failure. Denials answer OK and DENIED; this is their status under `tollgate-deny: status`.
    public let status: StatusCode
}

extension ErrorCode {
    /// The catalogue row. Complexity: O(1).
    public var row: ErrorRow {
        switch self {
        case .profileSpendLimit: Self.profileSpendLimitRow
        case .tenantSpendLimit: Self.tenantSpendLimitRow
        case .tenantExtensionLimit: Self.tenantExtensionLimitRow
        case .tenantDIDLimit: Self.tenantDIDLimitRow
        case .tenantMinutesLimit: Self.tenantMinutesLimitRow
        case .tenantDailySpendLimit: Self.tenantDailySpendLimitRow
        case .tenantConcurrentCallLimit: Self.tenantConcurrentCallLimitRow
        case .voiceProfileSpendLimit: Self.voiceProfileSpendLimitRow
        case .tenantDailyMessageLimit: Self.tenantDailyMessageLimitRow
        case .suspended: Self.suspendedRow
        case .notFound: Self.notFoundRow
        case .badField: Self.badFieldRow
        case .missingField: Self.missingFieldRow
        case .malformed: Self.malformedRow
        case .keyReused: Self.keyReusedRow
        case .reservationExpired: Self.reservationExpiredRow
        case .alreadySettled: Self.alreadySettledRow
        case .exceedsReservation: Self.exceedsReservationRow
        case .unauthenticated: Self.unauthenticatedRow
        case .forbidden: Self.forbiddenRow
        case .tooManyRequests: Self.tooManyRequestsRow
        case .unavailable: Self.unavailableRow
        case .unexpected: Self.unexpectedRow
        }
    }
}
