import Engine
import Limits

/// Somebody who is known by an issuer's word, or by a certificate: what the audit log calls them. A setting of the
/// service in the journal.
package struct NamedIdentity: Sendable, Equatable, Codable {
    /// `Caller.number`, 16 hexadecimal digits.
    package var id: String
    package var name: String
    /// See `Scopes.first`.
    package var scope: Caller.Scope

    package static let settingPrefix = "identity/"

    init(_ caller: Caller) {
        let digits = String(caller.number, radix: 16)
        id = String(repeating: "0", count: 16 - digits.count) + digits
        name = caller.name
        scope = Self.scope(caller)
    }

    private static func scope(_ caller: Caller) -> Caller.Scope { caller.scopes.first ?? .tenant }

    /// Whether it says of a caller of its number what a new one would say.
    func isCalled(as caller: Caller) -> Bool {
        name.hasSameBytes(as: caller.name) && scope == Self.scope(caller)
    }

    package var number: UInt64 { UInt64(id, radix: 16) ?? 0 }

    var setting: String { Self.settingPrefix + id }
}

/// Who has come that is known by others' word: their buckets, and the names that are to be put on record.
struct KnownByName {
    /// Names that are on record at most; who comes later is a number in the audit log.
    static let maximumNames = 10_000
    /// Buckets: those that are full go first, which costs nobody anything.
    static let maximumRates = 10_000
    /// Names that are put on record at a time.
    static let namesAtOnce = 100

    private var onRecord: [UInt64: NamedIdentity] = [:]
    private var new: [UInt64: NamedIdentity] = [:]
    private var rates: [UInt64: CallerRate] = [:]

    init(_ engine: Engine) {
        for value in engine.settings(prefix: NamedIdentity.settingPrefix).values {
            guard let identity = try? SettingValue.decode(NamedIdentity.self, value) else {
                continue
            }
            onRecord[identity.number] = identity
        }
    }

    /// - Returns: the caller's bucket; nil: it has no bound.
    mutating func meet(_ caller: Caller, perSecond: Int?, now: UInt64) -> CallerRate? {
        if let known = onRecord[caller.number] {
            if !known.isCalled(as: caller) { new[caller.number] = NamedIdentity(caller) }
        } else if new[caller.number] == nil, onRecord.count + new.count < Self.maximumNames {
            new[caller.number] = NamedIdentity(caller)
        }
        guard let perSecond else { return nil }
        if let rate = rates[caller.number], rate.perSecond == perSecond { return rate }
        if rates.count >= Self.maximumRates {
            rates = rates.filter { !$0.value.isFull(now: now) }
            // All of them are busy at once: they begin anew.
            if rates.count >= Self.maximumRates { rates = [:] }
        }
        let rate = CallerRate(perSecond: perSecond)
        rates[caller.number] = rate
        return rate
    }

    /// Some of those whose names are to be put on record.
    mutating func takeNew() -> [NamedIdentity] {
        let taken = new.values.prefix(Self.namesAtOnce)
        for identity in taken {
            new[identity.number] = nil
            onRecord[identity.number] = identity
        }
        return Array(taken)
    }
}
