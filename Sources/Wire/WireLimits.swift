import Limits

/// The bounds that the contract states for messages (Protos/tollgate/v1/tollgate.proto).
package enum WireLimits {
    /// Bytes of a message, batches apart.
    package static let messageBytes = 64 * 1024
    /// Bytes of a CheckAndReserveBatchRequest.
    package static let batchBytes = 1024 * 1024
    /// Entries of a batch: 1 ... this.
    package static let batchEntries = 1_000
    /// Bytes of ids of tenants and profiles: 1 ... this.
    package static let identifierBytes = 64
    package static let idempotencyKeyBytes = 128
    package static let referenceBytes = 64
    package static let quantities = Resource.mostOfRequest
    /// Milliseconds.
    package static let ttl: ClosedRange<UInt32> = 1_000...86_400_000
    /// Milliseconds; what 0 means.
    package static let defaultTTL: UInt32 = 60_000
    /// Largest reservation id.
    package static let maximumReservationID = UInt64(Int64.max)

    /// Memory that a decoded message may take. The largest message within all ranges takes under 2
    /// KiB; the rest is room for fields that this version does not know.
    static let messageArenaBytes = 256 * 1024
    /// The same for a batch: 1 000 entries within all ranges take under 1 MiB.
    static let batchArenaBytes = 4 * 1024 * 1024
}
