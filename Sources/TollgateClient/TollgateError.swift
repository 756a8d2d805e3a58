public import Wire

/// Why a call failed. Denials are answers, not errors.
public struct TollgateError: Error, Sendable, CustomStringConvertible {
    /// A gRPC status; more may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// google.rpc.Code.
        public let rawValue: Int32
        /// "NOT_FOUND".
        public let description: String

        private init(_ rawValue: Int32, _ description: String) {
            self.rawValue = rawValue
            self.description = description
        }

        /// The caller's task was cancelled.
        public static let cancelled = Code(1, "CANCELLED")
        public static let unknown = Code(2, "UNKNOWN")
        public static let invalidArgument = Code(3, "INVALID_ARGUMENT")
        public static let deadlineExceeded = Code(4, "DEADLINE_EXCEEDED")
        public static let notFound = Code(5, "NOT_FOUND")
        public static let permissionDenied = Code(7, "PERMISSION_DENIED")
        public static let resourceExhausted = Code(8, "RESOURCE_EXHAUSTED")
        public static let failedPrecondition = Code(9, "FAILED_PRECONDITION")
        public static let unimplemented = Code(12, "UNIMPLEMENTED")
        public static let `internal` = Code(13, "INTERNAL")
        public static let unavailable = Code(14, "UNAVAILABLE")
        public static let unauthenticated = Code(16, "UNAUTHENTICATED")

        private static let known: [Int32: Code] = Dictionary(
            uniqueKeysWithValues: [
                cancelled, unknown, invalidArgument, deadlineExceeded, notFound,
                Code(6, "ALREADY_EXISTS"), permissionDenied, resourceExhausted,
                failedPrecondition, Code(10, "ABORTED"), Code(11, "OUT_OF_RANGE"), unimplemented,
                `internal`, unavailable, Code(15, "DATA_LOSS"), unauthenticated,
            ].map { ($0.rawValue, $0) })

        /// The code of a number on the wire; an unknown number is UNKNOWN.
        init(_ rawValue: Int32) { self = Self.known[rawValue] ?? .unknown }
    }

    public var code: Code
    /// A sentence: the service's, or the client's own if the service was not reached.
    public var message: String
    /// Error details from the service; nil: none.
    public var details: StatusDetails?
    /// Error details from the service for a failed entry of a batch or a stream; empty for calls.
    public var entries: [ErrorEntry]
    /// The service certainly processed none of the call's attempts; a repeat can do no harm.
    public var wasNotProcessed: Bool

    init(
        _ code: Code, _ message: String, details: StatusDetails? = nil,
        entries: [ErrorEntry] = [], wasNotProcessed: Bool = false
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.entries = entries
        self.wasNotProcessed = wasNotProcessed
    }

    /// The catalogue's code ("49201"); nil: the service gave none.
    public var catalogueCode: String? { details?.metadata["code"] ?? entries.first?.code }

    /// A denial, sent as a failure because the client asked for that
    /// (`Configuration.deniesAsFailures`).
    public var isDenial: Bool { details?.quotaViolations.isEmpty == false }

    public var description: String {
        guard let catalogueCode else { return "\(code): \(message)" }
        return "\(code) \(catalogueCode): \(message)"
    }
}
