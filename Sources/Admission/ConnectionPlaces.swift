internal import Synchronization

/// The connections of one port: how many there may be, in all and of one address, and which one goes when another comes.
///
/// Whoever comes to a full house takes the place of the connection that was of no use for longest: first of those that
/// never showed who they are, then of those that wait for nothing. Where an address has all its places, it is one of its
/// own. A connection that is known and busy is never closed for another; where all are, who comes is refused.
///
/// Thread safety: any thread. Touched when a connection opens or closes; a look for one to close is O(places) once in
/// `ConnectionPlaces.batch` times, and O(places of the address) where that is full.
package final class ConnectionPlaces: Sendable {
    /// What an operator should hear of; each is told once, and again only after it had passed and a minute later: peers that
    /// come and go at the bound fill no log.
    package enum Notice: Sendable, Equatable {
        /// All places are taken: from here on connections are closed for others, or refused.
        case full(places: Int)
        /// The first address has all the places that one may have.
        case addressFull(address: String, places: Int)
        /// There is room again.
        case roomAgain
    }

    /// Connections that may wait for being accepted, as far as the system allows: where there are more, the system drops who
    /// comes, who tries again after 1, 3, 7 and 15 s.
    package static let backlog = 4_096
    /// Connections that one look for the longest idle finds.
    static let batch = 64
    /// What a stranger's connection costs its address when it ends, nanoseconds until that is forgotten; how much an
    /// address may owe before who comes is suspect; and the most that it can owe.
    static let price: UInt64 = 50_000_000
    static let tolerance: UInt64 = 1_000_000_000
    static let mostDebt: UInt64 = 4_000_000_000
    /// Between two notices of a kind, nanoseconds.
    static let quiet: UInt64 = 60_000_000_000
    /// Addresses whose debts are known.
    static let mostDebtors = 4_096

    /// Places in all, and of one address.
    package let total: Int
    package let perAddress: Int
    private let notify: @Sendable (Notice) -> Void
    private let state = Mutex(State())

    private struct Slot {
        var place: ConnectionPlace?
        /// Where it stands in its address' list.
        var position = 0
    }

    /// One that may be closed, as it was when it was found.
    private struct Candidate {
        let place: ConnectionPlace
        let lastUse: UInt64
        let isKnown: Bool
    }

    private struct State {
        var slots: [Slot] = []
        var free: [Int] = []
        var byAddress: [String: [Int]] = [:]
        var taken = 0
        var fullAddresses = 0
        /// When an address will owe nothing any more.
        var debts: [String: UInt64] = [:]
        /// The longest idle last.
        var candidates: [Candidate] = []
        var isFullTold = false
        var isAddressTold = false
        /// When they may be told again.
        var nextFull: UInt64 = 0
        var nextAddressFull: UInt64 = 0
        var opened: UInt64 = 0
        var evicted: UInt64 = 0
        var refused: UInt64 = 0
    }

    /// - Parameter notify: called on whatever thread a connection opens or closes.
    package init(
        total: Int, perAddress: Int, notify: @escaping @Sendable (Notice) -> Void = { _ in }
    ) {
        self.total = max(1, total)
        self.perAddress = max(1, perAddress)
        self.notify = notify
    }

    /// Connections that have a place.
    package var count: Int { state.withLock { $0.taken } }

    /// Connections that got a place, ever.
    package var opened: UInt64 { state.withLock { $0.opened } }

    /// Connections that were closed for others, and that were refused, ever.
    package var counts: (evicted: UInt64, refused: UInt64) {
        state.withLock { ($0.evicted, $0.refused) }
    }

    /// Takes a place.
    ///
    /// - Parameters:
    ///   - address: the peer's, without port. Addresses of one IPv6 network of 64 bits are one.
    ///   - now: a monotonic clock.
    ///   - evict: closes the connection; called at most once, on any thread.
    /// - Returns: nil: there is none.
    package func take(
        address: String, nowNanoseconds now: UInt64, evict: @escaping @Sendable () -> Void
    ) -> ConnectionPlace? {
        let address = PeerAddress.group(of: address)
        var notices: [Notice] = []
        let (place, victim) = state.withLock { state -> (ConnectionPlace?, ConnectionPlace?) in
            let mine = state.byAddress[address]?.count ?? 0
            let isAddressFull = mine >= perAddress
            var victim: ConnectionPlace?
            if isAddressFull || state.taken >= total {
                tell(&state, isAddressFull ? address : nil, now, &notices)
                victim = isAddressFull ? longestIdle(&state, of: address) : longestIdle(&state)
                guard let victim else {
                    state.refused += 1
                    return (nil, nil)
                }
                state.evicted += 1
                remove(victim, &state)
            }
            return (add(address, now, evict, &state), victim)
        }
        for notice in notices { notify(notice) }
        victim?.evict()
        return place
    }

    fileprivate func give(_ place: ConnectionPlace, unpaidAtNanoseconds now: UInt64?) {
        let isOver = state.withLock { state -> Bool in
            if let now { charge(place.address, now, &state) }
            guard remove(place, &state) else { return false }
            let isOver =
                (state.isFullTold || state.isAddressTold) && state.fullAddresses == 0
                && state.taken <= total - max(1, total / 16)
            if isOver {
                state.isFullTold = false
                state.isAddressTold = false
            }
            return isOver
        }
        if isOver { notify(.roomAgain) }
    }

    // MARK: Under the lock

    private func charge(_ address: String, _ now: UInt64, _ state: inout State) {
        if state.debts.count >= Self.mostDebtors, state.debts[address] == nil {
            state.debts = state.debts.filter { $0.value > now }
            // So many at once are no single peer that comes again and again.
            if state.debts.count >= Self.mostDebtors { state.debts.removeAll() }
        }
        let free = max(state.debts[address] ?? 0, now) + Self.price
        state.debts[address] = min(free, now + Self.mostDebt)
    }

    private func tell(
        _ state: inout State, _ address: String?, _ now: UInt64, _ notices: inout [Notice]
    ) {
        if let address {
            guard !state.isAddressTold, now >= state.nextAddressFull else { return }
            state.isAddressTold = true
            state.nextAddressFull = now + Self.quiet
            notices.append(.addressFull(address: address, places: perAddress))
        } else if !state.isFullTold, now >= state.nextFull {
            state.isFullTold = true
            state.nextFull = now + Self.quiet
            notices.append(.full(places: total))
        }
    }

    private func add(
        _ address: String, _ now: UInt64, _ evict: @escaping @Sendable () -> Void,
        _ state: inout State
    ) -> ConnectionPlace {
        let index: Int
        if let free = state.free.popLast() {
            index = free
        } else {
            index = state.slots.count
            state.slots.append(Slot())
        }
        let place = ConnectionPlace(
            places: self, address: address, index: index, now: now,
            isSuspect: (state.debts[address] ?? 0) > now + Self.tolerance, evict: evict)
        let position = state.byAddress[address]?.count ?? 0
        state.byAddress[address, default: []].append(index)
        if position + 1 == perAddress { state.fullAddresses += 1 }
        state.slots[index] = Slot(place: place, position: position)
        state.taken += 1
        state.opened += 1
        // Who is not known yet goes before those who are.
        if state.candidates.last?.isKnown == true { state.candidates.removeAll() }
        return place
    }

    @discardableResult
    private func remove(_ place: ConnectionPlace, _ state: inout State) -> Bool {
        let index = place.index
        guard state.slots[index].place === place, var list = state.byAddress[place.address] else {
            return false
        }
        state.byAddress[place.address] = nil  // so that the list is changed in place
        if list.count == perAddress { state.fullAddresses -= 1 }
        let position = state.slots[index].position
        list.swapAt(position, list.count - 1)
        list.removeLast()
        if position < list.count { state.slots[list[position]].position = position }
        if !list.isEmpty { state.byAddress[place.address] = list }
        state.slots[index].place = nil
        state.free.append(index)
        state.taken -= 1
        return true
    }

    private func longestIdle(_ state: inout State, of address: String) -> ConnectionPlace? {
        var best: Candidate?
        for index in state.byAddress[address] ?? [] {
            guard let candidate = Self.candidate(state.slots[index].place) else { continue }
            if best.map({ Self.goesBefore(candidate, $0) }) ?? true { best = candidate }
        }
        return best?.place
    }

    private func longestIdle(_ state: inout State) -> ConnectionPlace? {
        while let found = state.candidates.popLast() {
            // Unchanged since it was found, it is still the one: all others were of use later.
            if state.slots[found.place.index].place === found.place,
                found.place.lastUse.load(ordering: .relaxed) == found.lastUse,
                found.place.isKnown.load(ordering: .relaxed) == found.isKnown
            {
                return found.place
            }
        }
        var found = state.slots.compactMap { Self.candidate($0.place) }
        if found.contains(where: { !$0.isKnown }) { found.removeAll { $0.isKnown } }
        found.sort { Self.goesBefore($1, $0) }
        state.candidates = found.suffix(Self.batch)
        return state.candidates.popLast()?.place
    }

    /// nil: it is known and busy.
    private static func candidate(_ place: ConnectionPlace?) -> Candidate? {
        guard let place else { return nil }
        let lastUse = place.lastUse.load(ordering: .relaxed)
        let isKnown = place.isKnown.load(ordering: .relaxed)
        guard !isKnown || lastUse != ConnectionPlace.busy else { return nil }
        return Candidate(place: place, lastUse: lastUse, isKnown: isKnown)
    }

    private static func goesBefore(_ a: Candidate, _ b: Candidate) -> Bool {
        a.isKnown == b.isKnown ? a.lastUse < b.lastUse : b.isKnown
    }
}

/// A connection's place among those of its port. `give` must be called when the connection is closed.
///
/// Thread safety: any thread.
package final class ConnectionPlace: Sendable {
    fileprivate static let busy = UInt64.max

    fileprivate let places: ConnectionPlaces
    /// The peer's, as it was given to `take`; of IPv6 the network.
    package let address: String
    fileprivate let index: Int
    fileprivate let evict: @Sendable () -> Void
    /// Its address has lately had too many connections that ended without showing who they are, or for an offence: it does
    /// not begin with as much credit as others.
    package let isSuspect: Bool
    // ORDERING: hints for who looks for a connection to close; nothing is published by them.
    fileprivate let lastUse: Atomic<UInt64>
    fileprivate let isKnown = Atomic(false)

    fileprivate init(
        places: ConnectionPlaces, address: String, index: Int, now: UInt64, isSuspect: Bool,
        evict: @escaping @Sendable () -> Void
    ) {
        self.isSuspect = isSuspect
        self.places = places
        self.address = address
        self.index = index
        self.evict = evict
        lastUse = Atomic(now)
    }

    /// The peer has shown who it is: strangers are closed before it.
    package func markKnown() {
        if !isKnown.load(ordering: .relaxed) { isKnown.store(true, ordering: .relaxed) }
    }

    /// The connection waits for nothing, and was last of use at a time. What a stranger sends is of no use.
    package func markIdle(sinceNanoseconds since: UInt64) {
        lastUse.store(min(since, Self.busy - 1), ordering: .relaxed)
    }

    /// The connection is being worked for: it is not closed for others. A stranger is, whatever it has asked for: it keeps
    /// its age.
    package func markBusy() {
        guard isKnown.load(ordering: .relaxed) else { return }
        lastUse.store(Self.busy, ordering: .relaxed)
    }

    /// Gives the place back; more than once does no harm.
    ///
    /// - Parameter now: the connection has ended without showing who it is, or for an offence: that costs its address
    ///   something. nil: it has not.
    package func give(unpaidAtNanoseconds now: UInt64? = nil) {
        places.give(self, unpaidAtNanoseconds: now)
    }
}
