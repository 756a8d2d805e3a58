extension ErrorCode {
    static let profileSpendLimitRow = ErrorRow(
        code: .profileSpendLimit, text: "40333", reason: "PROFILE_DAILY_SPEND_LIMIT_REACHED",
        title: "Messaging profile spend limit reached",
        detail: "The daily spend limit configured on this messaging profile has been reached",
        url: "https://developers.telnyx.com/docs/overview/errors/40333", httpStatus: 429,
        status: .resourceExhausted)
    static let tenantSpendLimitRow = ErrorRow(
        code: .tenantSpendLimit, text: "49001", reason: "TENANT_MONTHLY_SPEND_LIMIT_REACHED",
        title: "Tenant monthly spend limit reached",
        detail: "The monthly spend limit configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49001", httpStatus: 429, status: .resourceExhausted)
    static let tenantExtensionLimitRow = ErrorRow(
        code: .tenantExtensionLimit, text: "49002", reason: "TENANT_EXTENSION_LIMIT_REACHED",
        title: "Tenant extension limit reached",
        detail: "The maximum number of extensions configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49002", httpStatus: 403, status: .resourceExhausted)
    static let tenantDIDLimitRow = ErrorRow(
        code: .tenantDIDLimit, text: "49003", reason: "TENANT_DID_LIMIT_REACHED",
        title: "Tenant DID limit reached",
        detail: "The maximum number of DIDs configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49003", httpStatus: 403, status: .resourceExhausted)
    static let tenantMinutesLimitRow = ErrorRow(
        code: .tenantMinutesLimit, text: "49004", reason: "TENANT_MONTHLY_MINUTES_LIMIT_REACHED",
        title: "Tenant monthly minutes limit reached",
        detail: "The monthly minutes limit configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49004", httpStatus: 429, status: .resourceExhausted)
    static let tenantDailySpendLimitRow = ErrorRow(
        code: .tenantDailySpendLimit, text: "49005", reason: "TENANT_DAILY_SPEND_LIMIT_REACHED",
        title: "Tenant daily spend limit reached",
        detail: "The daily spend limit configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49005", httpStatus: 429, status: .resourceExhausted)
    static let tenantConcurrentCallLimitRow = ErrorRow(
        code: .tenantConcurrentCallLimit, text: "49006",
        reason: "TENANT_CONCURRENT_CALL_LIMIT_REACHED",
        title: "Tenant concurrent call limit reached",
        detail:
            "The maximum number of concurrent calls configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49006", httpStatus: 429, status: .resourceExhausted)
    static let voiceProfileSpendLimitRow = ErrorRow(
        code: .voiceProfileSpendLimit, text: "49007",
        reason: "VOICE_PROFILE_DAILY_SPEND_LIMIT_REACHED",
        title: "Outbound voice profile spend limit reached",
        detail: "The daily spend limit configured on this outbound voice profile has been reached",
        url: "https://tollgate.dev/errors/49007", httpStatus: 429, status: .resourceExhausted)
    static let tenantDailyMessageLimitRow = ErrorRow(
        code: .tenantDailyMessageLimit, text: "49008", reason: "TENANT_DAILY_MESSAGE_LIMIT_REACHED",
        title: "Tenant daily message limit reached",
        detail: "The daily message limit configured for this tenant has been reached",
        url: "https://tollgate.dev/errors/49008", httpStatus: 429, status: .resourceExhausted)
    static let suspendedRow = ErrorRow(
        code: .suspended, text: "20012", reason: "ACCOUNT_INACTIVE",
        title: "Account inactive",
        detail: "This account is not active",
        url: "https://developers.telnyx.com/docs/overview/errors/20012", httpStatus: 403,
        status: .failedPrecondition)
    static let notFoundRow = ErrorRow(
        code: .notFound, text: "10005", reason: "RESOURCE_NOT_FOUND",
        title: "Resource not found",
        detail: "The requested resource does not exist",
        url: "https://developers.telnyx.com/docs/overview/errors/10005", httpStatus: 404,
        status: .notFound)
    static let badFieldRow = ErrorRow(
        code: .badField, text: "10015", reason: "BAD_REQUEST",
        title: "Bad Request",
        detail: "A request field is invalid",
        url: "https://developers.telnyx.com/docs/overview/errors/10015", httpStatus: 422,
        status: .invalidArgument)
    static let missingFieldRow = ErrorRow(
        code: .missingField, text: "10004", reason: "MISSING_REQUIRED_PARAMETER",
        title: "Missing required parameter",
        detail: "A required field of the request is missing",
        url: "https://developers.telnyx.com/docs/overview/errors/10004", httpStatus: 422,
        status: .invalidArgument)
    static let malformedRow = ErrorRow(
        code: .malformed, text: "10023", reason: "MALFORMED_REQUEST",
        title: "Invalid JSON",
        detail: "The request could not be decoded",
        url: "https://developers.telnyx.com/docs/overview/errors/10023", httpStatus: 400,
        status: .`internal`)
    static let keyReusedRow = ErrorRow(
        code: .keyReused, text: "49201", reason: "IDEMPOTENCY_KEY_REUSED",
        title: "Idempotency key reused",
        detail: "The idempotency key was already used with a different request",
        url: "https://tollgate.dev/errors/49201", httpStatus: 422, status: .invalidArgument)
    static let reservationExpiredRow = ErrorRow(
        code: .reservationExpired, text: "49202", reason: "RESERVATION_EXPIRED",
        title: "Reservation expired",
        detail: "The reservation has expired and cannot be extended",
        url: "https://tollgate.dev/errors/49202", httpStatus: 410, status: .failedPrecondition)
    static let alreadySettledRow = ErrorRow(
        code: .alreadySettled, text: "49203", reason: "RESERVATION_ALREADY_SETTLED",
        title: "Reservation already settled",
        detail: "The reservation has already been settled differently",
        url: "https://tollgate.dev/errors/49203", httpStatus: 422, status: .failedPrecondition)
    static let exceedsReservationRow = ErrorRow(
        code: .exceedsReservation, text: "49204", reason: "COMMIT_EXCEEDS_RESERVATION",
        title: "Commit exceeds the reservation",
        detail: "The usage exceeds the hold, and the hold's policy rejects overage",
        url: "https://tollgate.dev/errors/49204", httpStatus: 422, status: .failedPrecondition)
    static let unauthenticatedRow = ErrorRow(
        code: .unauthenticated, text: "10009", reason: "AUTHENTICATION_FAILED",
        title: "Authentication failed",
        detail: "The bearer token is missing or invalid",
        url: "https://developers.telnyx.com/docs/overview/errors/10009", httpStatus: 401,
        status: .unauthenticated)
    static let forbiddenRow = ErrorRow(
        code: .forbidden, text: "10010", reason: "AUTHORIZATION_FAILED",
        title: "Authorization failed",
        detail: "The token does not allow this call",
        url: "https://developers.telnyx.com/docs/overview/errors/10010", httpStatus: 403,
        status: .permissionDenied)
    static let tooManyRequestsRow = ErrorRow(
        code: .tooManyRequests, text: "10011", reason: "TOO_MANY_REQUESTS",
        title: "Too many requests",
        detail: "The caller has exceeded its rate limit",
        url: "https://developers.telnyx.com/docs/overview/errors/10011", httpStatus: 429,
        status: .resourceExhausted)
    static let unavailableRow = ErrorRow(
        code: .unavailable, text: "10037", reason: "SERVICE_UNAVAILABLE",
        title: "Service unavailable",
        detail: "The service cannot take the request now; nothing was changed",
        url: "https://developers.telnyx.com/docs/overview/errors/10037", httpStatus: 503,
        status: .unavailable)
    static let unexpectedRow = ErrorRow(
        code: .unexpected, text: "10007", reason: "UNEXPECTED_ERROR",
        title: "Unexpected error",
        detail: "The service failed unexpectedly",
        url: "https://developers.telnyx.com/docs/overview/errors/10007", httpStatus: 500,
        status: .`internal`)
}
