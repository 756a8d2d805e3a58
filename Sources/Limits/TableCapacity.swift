/// The bounds of a table. Memory is reserved for all of it and used as it is needed.
public struct TableCapacity: Sendable {
    /// Tenants, at most 2^24 less the number of lanes.
    public var tenants: Int
    /// Messaging profiles, at most 2^24 less the number of lanes.
    public var profiles: Int
    /// Reservations that are open or remembered, at most 2^32 - 2; 128 bytes each.
    public var reservations: Int
    /// Reservations that were extended or committed with other amounts than held, at most 2^22 - 1; 320 bytes each.
    public var bodies: Int
    /// Idempotency keys that are remembered, 96 bytes each.
    public var keys: Int
    /// Lanes, each used by one thread at a time; at most 255.
    public var lanes: Int
    /// Milliseconds for which keys and settled reservations are remembered.
    public var retention: Int64
    /// Milliseconds that a reservation may live in all.
    public var maxLife: Int64
    /// 64-bit words of each lane's ring of records; 0: nothing is recorded.
    public var ringWords: Int
    /// Percent of the reservations, and of the keys, that a tenant may have when three quarters of all are in use,
    /// 1 ... 100: for callers who are bound to tenants, and for the others. 100: no matter how many.
    public var tenantShare = 10
    public var unboundShare = 100
    /// Holds that were charged at their expiry and are remembered for a day, at most; among the
    /// reservations.
    public var charged = 1_000_000

    public init(
        tenants: Int = 1_000_000, profiles: Int = 1_000_000, reservations: Int = 20_000_000,
        bodies: Int = 4_000_000, keys: Int = 10_000_000, lanes: Int = 64,
        retention: Int64 = 900_000, maxLife: Int64 = 86_400_000, ringWords: Int = 0
    ) {
        self.tenants = tenants
        self.profiles = profiles
        self.reservations = reservations
        self.bodies = bodies
        self.keys = keys
        self.lanes = lanes
        self.retention = retention
        self.maxLife = maxLife
        self.ringWords = ringWords
    }
}
