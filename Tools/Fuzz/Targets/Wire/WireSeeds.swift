internal import Limits
internal import Wire

/// One message of each method with every field set, and the shortest one; in front of each the method's number.
func wireSeeds() -> [[UInt8]] {
    let quantities = [
        Quantity(.spend, 4_000_000, minimum: 1), Quantity(.extensions, 3), Quantity(.dids, 0),
        Quantity(.callSeconds, .max, minimum: .max),
    ]
    let check = CheckRequest(
        tenantID: "acme", messagingProfileID: "be3eb60a-a346-470a-886c-ab4e421711bd",
        action: .sendMessage, quantities: quantities, idempotencyKey: "key-1",
        ttlMilliseconds: 5_000, mode: .partial, onExpiry: .commit, overage: .cap,
        includesLimits: true, reference: "référence")
    let least = CheckRequest(
        tenantID: "a", action: .charge, quantities: [Quantity(.spend, 1)])
    let messages: [(UInt8, any RequestMessage)] = [
        (0, check), (0, least), (1, CheckBatchRequest([check, least, check])),
        (1, CheckBatchRequest([])), (2, CommitRequest(reservationID: 1)),
        (2, CommitRequest(reservationID: .max, actual: quantities)),
        (3, ReleaseRequest(reservationID: 1 << 62)),
        (
            4,
            ExtendRequest(
                reservationID: 7, ttlMilliseconds: 60_000, additional: quantities,
                idempotencyKey: "key-2", mode: .partial)
        ),
        (
            5,
            RecordUsageRequest(
                tenantID: "acme", messagingProfileID: "p", action: .charge,
                quantities: [Quantity(.extensions, -1), Quantity(.spend, 1)],
                idempotencyKey: "key-3", reference: "r")
        ),
        (6, UsageRequest(tenantID: "acme", messagingProfileID: "p")),
        (7, WatchUsageRequest(tenantID: "acme")),
    ]
    return messages.map { [$0.0] + $0.1.encoded() }
}
