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
    let text: (UInt8, String) -> [UInt8] = { field, text in
        [field << 3 | 2, UInt8(text.utf8.count)] + Array(text.utf8)
    }
    let file = text(1, "a.proto") + text(2, "p") + [0x22, 3] + text(1, "M")
    let standard: [[UInt8]] = [
        [8], [8] + text(1, "tollgate.v1.LimitService"), [9] + text(7, "*"),
        [9] + text(1, "host") + text(3, "tollgate/v1/tollgate.proto"),
        [9] + text(4, "tollgate.v1.Quantity"), [9, 0x2a, 5] + text(1, "a") + [0x10, 7],
        [9] + text(6, "tollgate.v1.Quantity"),
        [10, 0x0a, UInt8(file.count)] + file,
    ]
    return messages.map { [$0.0] + $0.1.encoded() } + standard
}
