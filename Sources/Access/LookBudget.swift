/// How many looks into tokens each address may cause: whoever asks much, and above all whoever fails much, takes little
/// from others.
///
/// A value without a clock. Who cannot be told apart shares one place.
struct LookBudget {
    /// Looks a second of an address.
    static let looks = 200
    /// Looks that may fail in vain: after so many, an address has another look only as fast as it earns them.
    static let failures = 60
    static let failuresPerSecond = 5
    /// Addresses that are told apart.
    static let maximumAddresses = 1_024

    /// When its two buckets will be full again; see `CallRate`.
    private struct Place {
        var looks: UInt64 = 0
        var failures: UInt64 = 0
    }

    private static let look = CallRate(perSecond: looks)
    private static let failure = CallRate(perSecond: failuresPerSecond, held: failures)

    private var places: [String: Place] = [:]
    /// When places were last sought that are as new ones would be.
    private var swept: UInt64 = 0

    /// Takes a look. False: not now.
    ///
    /// - Parameter now: the monotonic clock, nanoseconds.
    mutating func take(_ address: String, now: UInt64) -> Bool {
        let key = key(address, now: now)
        var place = places[key] ?? Place()
        guard Self.failure.hasOne(full: place.failures, now: now),
            let looks = Self.look.take(full: place.looks, now: now)
        else { return false }
        place.looks = looks
        places[key] = place
        return true
    }

    /// A look that was taken has cost its work, and came to nothing.
    mutating func fail(_ address: String, now: UInt64) {
        let key = key(address, now: now)
        let full = places[key]?.failures ?? 0
        places[key, default: Place()].failures = Self.failure.owe(1, full: full, now: now)
    }

    /// Empty: everybody for whom there is no place.
    private mutating func key(_ address: String, now: UInt64) -> String {
        if places[address] != nil || places.count < Self.maximumAddresses { return address }
        // Once a second at most: looking through all of them takes a while.
        if now - min(swept, now) >= 1_000_000_000 {
            swept = now
            places = places.filter { $0.value.looks > now || $0.value.failures > now }
            if places.count < Self.maximumAddresses { return address }
        }
        return ""
    }
}
