package import Access
internal import Limits

/// What the authority said about a caller, as the hot path needs it.
struct KnownCaller {
    /// `Record.caller`.
    var number: UInt64
    var rights: Rights
    /// Of scope `tenant`: sees its tenant's usage, and not what limits it.
    var isTenant: Bool
    /// nil: all.
    var tenants: IDSet?
    /// nil: as fast as it likes.
    var rate: CallerRate?

    init(_ caller: Caller, rate: CallerRate? = nil) {
        number = caller.number
        rights = Rights(caller.scopes)
        isTenant = caller.isTenants
        tenants = caller.tenants.map { IDSet($0) }
        self.rate = rate
    }
}

/// What the caller of a request may do.
struct Permission {
    /// nil: everything, on nobody's behalf. Valid until the next request.
    let caller: UnsafePointer<KnownCaller>?

    var number: UInt64 { caller?.pointee.number ?? 0 }

    @inline(__always)
    func may(_ right: Right) -> Bool { caller?.pointee.rights.contains(right) ?? true }

    var isTenant: Bool { caller?.pointee.isTenant ?? false }
    /// Some tenants only.
    @inline(__always) var isLimited: Bool { caller != nil && caller?.pointee.tenants != nil }

    /// Whether the token is for a tenant.
    @inline(__always)
    func covers(_ tenantID: BorrowedBytes) -> Bool {
        guard let caller else { return true }
        return caller.pointee.tenants?.contains(tenantID) ?? true
    }

    /// Takes a call from what the caller may ask in this time. False: it is too fast.
    @inline(__always)
    func takes(now: UInt64) -> Bool {
        guard let caller, caller.pointee.rate != nil else { return true }
        return caller.pointee.rate?.take(now: now) ?? true
    }

    /// Calls that are made, whatever the caller may ask in this time.
    func owes(_ calls: Int, now: UInt64) { caller?.pointee.rate?.owe(calls, now: now) }

    /// A call that was taken comes again.
    @inline(never)
    func giveBack() { caller?.pointee.rate?.giveBack() }
}

/// Whom the certificate of a connection names, and the latest answer of the authority about them.
///
/// Thread safety: belongs to the event loop of its connection.
package final class CertifiedPeer {
    let names: CertificateNames
    fileprivate let known: UnsafeMutablePointer<KnownCaller>
    fileprivate var isKnown = false
    fileprivate var generation: UInt64 = 0
    fileprivate var askedNanoseconds: UInt64 = 0

    package init(_ names: CertificateNames) {
        self.names = names
        known = .allocate(capacity: 1)
        known.initialize(to: Callers.nobody)
    }

    deinit {
        known.deinitialize(count: 1)
        known.deallocate()
    }
}

/// Who the callers of one event loop are: the latest answers of the authority, by the exact bytes of `authorization`.
///
/// An answer stands as long as the authority's generation, and no longer than a second, since tokens expire by
/// themselves. Certificates do so too, and with them go their connections: what is said about one stands for a minute,
/// for the sake of the bucket, which may have become another. Whoever is nobody is asked about each time.
///
/// Thread safety: belongs to its event loop. Allocates only where it asks the authority.
final class Callers {
    /// Callers that are remembered.
    static let capacity = 64
    /// Longer values are not remembered here. Web tokens are a kilobyte long.
    static let longestValue = 4_096
    static let lifetimeNanoseconds: UInt64 = 1_000_000_000
    static let certifiedNanoseconds: UInt64 = 60_000_000_000
    static var nobody: KnownCaller {
        KnownCaller(Caller(number: 0, name: "", scopes: [], tenants: []))
    }

    private struct Entry {
        var hash: UInt64 = 0
        /// Bytes of the value; 0: an empty place.
        var count = 0
        var generation: UInt64 = 0
        var askedNanoseconds: UInt64 = 0
    }

    /// Outside the object, so that no access pays for an exclusivity check. The last place is for values that are not
    /// remembered.
    private struct State {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity + 1)
        let callers = UnsafeMutablePointer<KnownCaller>.allocate(capacity: capacity + 1)
        let values = UnsafeMutableRawPointer.allocate(
            byteCount: capacity * longestValue, alignment: 8)
        var last = 0
        /// The place that is given up next.
        var hand = 0
    }

    private let authority: TokenAuthority
    private let state: UnsafeMutablePointer<State>
    /// Why the latest one that was asked about was not let in.
    private(set) var refusal = Callers.unauthenticated
    private static let unauthenticated = Failure(.unauthenticated)
    private static let later = Failure(
        .unavailable, detail: "The token cannot be verified now; try again")

    init(_ authority: TokenAuthority) {
        self.authority = authority
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        state.pointee.entries.initialize(repeating: Entry(), count: Self.capacity + 1)
        state.pointee.callers.initialize(repeating: Self.nobody, count: Self.capacity + 1)
    }

    deinit {
        state.pointee.entries.deallocate()
        state.pointee.callers.deinitialize(count: Self.capacity + 1)
        state.pointee.callers.deallocate()
        state.pointee.values.deallocate()
        state.deallocate()
    }

    /// Who sends a value of `authorization`; where it is empty, whom the connection's certificate names; nil: nobody, and
    /// `refusal` says why. Valid until the next call.
    ///
    /// - Parameters:
    ///   - certified: nil: the connection has no certificate.
    ///   - address: the peer's, without a port; asked for where the authority is.
    func find(
        _ authorization: UnsafeRawBufferPointer, certified: CertifiedPeer?,
        nowNanoseconds now: UInt64, from address: @autoclosure () -> String
    ) -> UnsafePointer<KnownCaller>? {
        let generation = authority.generation
        let last = state.pointee.last
        if isGood(last, generation, now), isSame(last, authorization) {
            return UnsafePointer(state.pointee.callers + last)
        }
        guard let bytes = authorization.baseAddress, authorization.count > 0 else {
            return find(certified, generation, now, address)
        }
        guard authorization.count <= Self.longestValue else {
            return ask(authorization, 0, generation, now, place: Self.capacity, address)
        }
        let hash = Bytes.hash(bytes, authorization.count)
        for place in 0..<Self.capacity
        where state.pointee.entries[place].hash == hash && isSame(place, authorization) {
            guard isGood(place, generation, now) else {
                return ask(authorization, hash, generation, now, place: place, address)
            }
            state.pointee.last = place
            return UnsafePointer(state.pointee.callers + place)
        }
        return ask(authorization, hash, generation, now, place: nil, address)
    }

    private func find(
        _ certified: CertifiedPeer?, _ generation: UInt64, _ now: UInt64,
        _ address: () -> String
    ) -> UnsafePointer<KnownCaller>? {
        if let certified, certified.isKnown, certified.generation == generation,
            now &- certified.askedNanoseconds < Self.certifiedNanoseconds
        {
            return UnsafePointer(certified.known)
        }
        let admission = admitted("", certified?.names, address)
        certified?.isKnown = admission != nil
        guard let admission, let certified else { return nil }
        certified.known.pointee = KnownCaller(admission.caller, rate: admission.rate)
        certified.generation = generation
        certified.askedNanoseconds = now
        return UnsafePointer(certified.known)
    }

    private func admitted(
        _ authorization: String, _ names: CertificateNames?, _ address: () -> String
    ) -> Admission? {
        switch authority.judge(
            authorization: authorization, certificate: names, from: address())
        {
        case .admitted(let admission): return admission
        case .nobody: refusal = Self.unauthenticated
        case .later: refusal = Self.later
        }
        return nil
    }

    /// A caller is too fast.
    func noteHurry() { authority.noteHurry() }

    @inline(__always)
    private func isGood(_ place: Int, _ generation: UInt64, _ now: UInt64) -> Bool {
        let entry = state.pointee.entries + place
        return entry.pointee.generation == generation
            && now &- entry.pointee.askedNanoseconds < Self.lifetimeNanoseconds
    }

    /// Takes equally long wherever the two differ.
    @inline(__always)
    private func isSame(_ place: Int, _ value: UnsafeRawBufferPointer) -> Bool {
        let count = state.pointee.entries[place].count
        guard count == value.count, count > 0 else { return false }
        guard let value = value.baseAddress else { return false }
        return ConstantTime.areSame(state.pointee.values + place * Self.longestValue, value, count)
    }

    /// Asks the authority, and remembers what it says of somebody.
    @inline(never)
    private func ask(
        _ value: UnsafeRawBufferPointer, _ hash: UInt64, _ generation: UInt64, _ now: UInt64,
        place: Int?, _ address: () -> String
    ) -> UnsafePointer<KnownCaller>? {
        let text = String(decoding: value, as: UTF8.self)
        guard let admission = admitted(text, nil, address) else { return nil }
        let place = place ?? state.pointee.hand
        state.pointee.callers[place] = KnownCaller(admission.caller, rate: admission.rate)
        guard place < Self.capacity else { return UnsafePointer(state.pointee.callers + place) }
        if place == state.pointee.hand {
            state.pointee.hand = (place + 1) % Self.capacity
        }
        let kept = UnsafeMutableRawBufferPointer(
            start: state.pointee.values + place * Self.longestValue, count: value.count)
        kept.copyMemory(from: value)
        state.pointee.entries[place] = Entry(
            hash: hash, count: value.count, generation: generation,
            askedNanoseconds: now)
        state.pointee.last = place
        return UnsafePointer(state.pointee.callers + place)
    }
}

/// A set of ids as bytes: looking one up allocates nothing.
final class IDSet {
    /// Open addressing with linear probing, at most half full: an id's length and its bytes; length 0: empty.
    private let slots: UnsafeMutableRawPointer
    private let mask: Int
    private static let longestID = 64
    private static let slotBytes = 8 + longestID

    /// - Parameter ids: of 1 ... 64 bytes; others are nobody's, and left out.
    init(_ ids: Set<Identifier>) {
        var size = 2
        while size < 2 * ids.count { size *= 2 }
        mask = size - 1
        slots = .allocate(byteCount: size * Self.slotBytes, alignment: 8)
        slots.initializeMemory(as: UInt8.self, repeating: 0, count: size * Self.slotBytes)
        for id in ids where (1...Self.longestID).contains(id.text.utf8.count) {
            let bytes = Array(id.text.utf8)
            bytes.withUnsafeBytes { id in
                let slot = find(id)
                slot.storeBytes(of: id.count, as: Int.self)
                UnsafeMutableRawBufferPointer(start: slot + 8, count: id.count).copyMemory(from: id)
            }
        }
    }

    deinit { slots.deallocate() }

    @inline(__always)
    func contains(_ id: BorrowedBytes) -> Bool {
        id.count > 0 && find(id).load(as: Int.self) != 0
    }

    /// The slot of an id, or the empty one where it would stand.
    @inline(__always)
    private func find(_ id: BorrowedBytes) -> UnsafeMutableRawPointer {
        guard let bytes = id.baseAddress else { preconditionFailure("an id has bytes") }
        var index = Int(truncatingIfNeeded: Bytes.hash(bytes, id.count))
        while true {
            let slot = slots + (index & mask) * Self.slotBytes
            let count = slot.load(as: Int.self)
            if count == 0 || count == id.count && ConstantTime.areSame(slot + 8, bytes, count) {
                return slot
            }
            index &+= 1
        }
    }
}

/// Bytes by the word.
enum Bytes {
    /// Spreads well enough for bytes that nobody chose with evil intent; nobody else gets this far.
    @inline(__always)
    static func hash(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
        let factor: UInt64 = 0x9e37_79b9_7f4a_7c15
        var hash = UInt64(truncatingIfNeeded: count) &* factor
        var offset = 0
        var rest: UInt64 = 0
        if count >= 8 {
            let last = count &- 8
            while offset < last {
                let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                hash = (hash ^ word) &* factor
                hash ^= hash &>> 32
                offset &+= 8
            }
            rest = bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self)
        } else {
            while offset < count {
                rest = rest &<< 8 | UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self))
                offset &+= 1
            }
        }
        hash = (hash ^ rest) &* factor
        return hash ^ hash &>> 32
    }
}
