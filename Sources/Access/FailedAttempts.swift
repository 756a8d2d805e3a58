import Synchronization

/// Why somebody is nobody. The caller is never told which.
package enum AttemptFailure: String, Error, CaseIterable {
    case noToken = "no token"
    case unknownToken = "unknown token"
    case expiredToken = "expired token"
    /// A web token that cannot be read, or says what is not taken.
    case malformedToken = "malformed token"
    case unknownIssuer = "unknown issuer"
    case unknownKey = "unknown key"
    case wrongAlgorithm = "algorithm not allowed"
    case wrongSignature = "wrong signature"
    case wrongAudience = "wrong audience"
    case notYetValid = "not valid yet"
    case deniedToken = "denied token"
    /// It is somebody, and is let do nothing here.
    case noScope = "no scope"
    /// At the operator's page.
    case logIn = "log-in"
    case noTenant = "no tenant"
    /// A client's certificate that no rule names.
    case unknownCertificate = "certificate without a rule"

    /// As the label of a metric.
    package var label: String {
        String(rawValue.map { $0 == " " || $0 == "-" ? "_" : $0 })
    }

    /// Whether a web token that fails so was nothing that an issuer made, and had to be looked into to know.
    var costsALook: Bool {
        switch self {
        case .malformedToken, .wrongSignature, .unknownKey: true
        default: false
        }
    }
}

/// Attempts that failed within a minute, by address: the bounded memory from which they are told together.
///
/// A value without a clock.
package struct FailedAttempts: Sendable {
    package struct OfAddress: Sendable, Equatable {
        /// Empty: all those for which there was no place.
        package var address: String
        package var count: Int
        /// Of the latest.
        package var failure: AttemptFailure
        /// Unix milliseconds.
        package var first: Int64
        package var last: Int64
    }

    /// What a minute comes to.
    package struct Minute: Sendable, Equatable {
        package var count: Int
        package var addresses: Int
        package var first: Int64
        package var last: Int64
        /// Those with most attempts, at most `FailedAttempts.told`.
        package var most: [OfAddress]

        /// "192.0.2.1: 12 (unknown token)"
        package var lines: [String] {
            most.map { entry in
                let address = entry.address.isEmpty ? "elsewhere" : entry.address
                return "\(address): \(entry.count) (\(entry.failure.rawValue))"
            }
        }
    }

    /// What the audit log has of a minute: a setting of the service, which each such minute overwrites.
    package static let setting = "failed-attempts"
    /// Addresses that are told one by one.
    package static let told = 8
    package static let length: Int64 = 60_000

    private let maximum: Int
    private var entries: [String: OfAddress] = [:]
    private var began: Int64?

    /// - Parameter maximum: addresses that are told apart.
    package init(maximum: Int = 1_024) { self.maximum = maximum }

    /// Notes an attempt.
    ///
    /// - Parameter now: Unix milliseconds.
    /// - Returns: whether it is the first of its address in this minute, and among the first few of all.
    package mutating func note(
        _ failure: AttemptFailure, from address: String, now: Int64
    ) -> Bool {
        if began == nil { began = now }
        if entries[address] != nil {
            entries[address]?.count += 1
            entries[address]?.failure = failure
            entries[address]?.last = now
            return false
        }
        guard entries.count < maximum || address.isEmpty else {
            return note(failure, from: "", now: now)
        }
        entries[address] = OfAddress(
            address: address, count: 1, failure: failure, first: now, last: now)
        return entries.count <= Self.told
    }

    /// Attempts of an address in this minute.
    package func count(of address: String) -> Int { entries[address]?.count ?? 0 }

    /// The minute that is over; nil: none is, or nothing failed.
    package mutating func collect(now: Int64) -> Minute? {
        guard let began, now - began >= Self.length || now < began else { return nil }
        defer { self = FailedAttempts(maximum: maximum) }
        let all = entries.values
        let most = all.sorted { ($1.count, $0.address) < ($0.count, $1.address) }
        return Minute(
            count: all.reduce(0) { $0 + $1.count }, addresses: all.count,
            first: all.map(\.first).min() ?? began, last: all.map(\.last).max() ?? began,
            most: Array(most.prefix(Self.told)))
    }
}

/// Counts attempts that failed, tells the first ones at once and the others together.
///
/// Thread safety: any thread.
package final class AttemptLog: Sendable {
    private let minute = Mutex(FailedAttempts())
    private let totals = Mutex<[AttemptFailure: Int]>([:])
    private let tell = Mutex<(@Sendable (AttemptFailure, String) -> Void)?>(nil)

    package init() {}

    /// - Parameter tell: told of the first few addresses of each minute; called on the thread that met the attempt.
    package func onFirst(_ tell: @escaping @Sendable (AttemptFailure, String) -> Void) {
        self.tell.withLock { $0 = tell }
    }

    /// - Parameters:
    ///   - address: without a port; empty: not known.
    ///   - now: Unix milliseconds.
    package func note(_ failure: AttemptFailure, from address: String, now: Int64) {
        totals.withLock { $0[failure, default: 0] += 1 }
        guard minute.withLock({ $0.note(failure, from: address, now: now) }) else { return }
        tell.withLock { $0 }?(failure, address)
    }

    /// Since the start.
    package var counts: [AttemptFailure: Int] { totals.withLock { $0 } }

    package func collect(now: Int64) -> FailedAttempts.Minute? {
        minute.withLock { $0.collect(now: now) }
    }
}
