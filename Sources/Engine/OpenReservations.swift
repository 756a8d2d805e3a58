import Journal
package import Limits
import Reservations

/// A reservation that is open: held, neither settled nor expired.
package struct OpenReservation: Sendable, Equatable {
    package var id: UInt64
    package var tenantID: String
    package var profile: ProfileReference?
    package var action: Action
    /// What is held in all.
    package var amounts: Amounts
    /// Unix milliseconds.
    package var createdAt: Int64
    /// Unix milliseconds.
    package var expiresAt: Int64
    package var onExpiry: ExpiryPolicy
    package var overage: OveragePolicy
}

/// A page of open reservations, oldest first; of one age by id.
package struct OpenReservationPage: Sendable {
    /// Open reservations that fit the filters, on all pages.
    package var total: Int
    package var rows: [OpenReservation]
}

extension Engine {
    /// Slots that are looked at before other tasks get their turn.
    private static let stretch = 65_536
    /// Rows of a list that can be asked for: `offset` and `limit` together. 16 bytes of memory for each.
    package static let mostListedReservations = 1_000_000

    /// Lists open reservations. Stops nobody: decisions go on, and a reservation that is settled meanwhile is listed or
    /// not. Each row is from one instant; `durable()` must return before what was listed leaves the process.
    ///
    /// - Parameters:
    ///   - tenantID: of this tenant only; of one that is unknown there are none.
    ///   - profile: of this one only.
    ///   - createdBefore: made at this instant or before, Unix milliseconds.
    ///   - offset: rows that are passed over.
    ///   - limit: rows at most; none are beyond `mostListedReservations`.
    /// - Throws: `.busy`: the journal has no room for what others are just doing to one of them.
    /// - Complexity: O(slots in use + n log m) of n that fit the filters and m = offset + limit; 16 bytes of memory for
    ///   each of m.
    package func openReservations(
        tenantID: String? = nil, profile: ProfileReference? = nil, createdBefore: Int64? = nil,
        offset: Int = 0, limit: Int = 20
    ) async throws(EngineError) -> OpenReservationPage {
        var tenant: Int32?
        var profileNumber: Int32?
        if let tenantID {
            guard let number = table.number(ofTenant: tenantID) else {
                return OpenReservationPage(total: 0, rows: [])
            }
            tenant = Int32(number)
        }
        if let profile {
            guard let number = table.number(ofProfile: profile.id),
                control.withLock({ $0.profiles[profile.id]?.kind }) == profile.kind
            else { return OpenReservationPage(total: 0, rows: []) }
            profileNumber = Int32(number)
        }
        let offset = min(max(0, offset), Self.mostListedReservations)
        // Lives count by life time; what is told of them is engine time.
        let createdBefore = createdBefore.map { $0 - clock.time.lead }
        var oldest = OldestHolds(
            most: offset + min(max(0, limit), Self.mostListedReservations - offset))
        var start = 0
        while start < table.usedSlots {
            table.forEachOpenHold(in: start..<start + Self.stretch) { hold in
                guard tenant == nil || hold.tenant == tenant,
                    profileNumber == nil || hold.profile == profileNumber,
                    createdBefore == nil || hold.createdAt <= createdBefore ?? 0
                else { return }
                oldest.add(OpenHoldOrder(createdAt: hold.createdAt, id: hold.id))
            }
            start += Self.stretch
            await Task.yield()
        }
        var rows: [OpenReservation] = []
        for hold in oldest.last(limit, from: offset) {
            if let row = try openReservation(hold.id) { rows.append(row) }
        }
        return OpenReservationPage(total: oldest.total, rows: rows)
    }

    /// One reservation, if it is open. As above, `durable()` must return before it leaves the process.
    ///
    /// - Throws: `.busy`: the journal has no room for what others are just doing to it.
    package func openReservation(_ id: UInt64) throws(EngineError) -> OpenReservation? {
        let lead = clock.time.lead
        return try control.withLock { control throws(EngineError) in
            guard let found = try control.openHold(id) else { return nil }
            return OpenReservation(
                id: id, tenantID: String(decoding: found.tenantID, as: UTF8.self),
                profile: found.profileKind.map { kind in
                    ProfileReference(
                        id: String(decoding: found.profileID, as: UTF8.self), kind: kind)
                }, action: found.hold.action, amounts: found.hold.total,
                createdAt: found.hold.createdAt + lead, expiresAt: found.hold.expiresAt + lead,
                onExpiry: found.hold.onExpiry, overage: found.hold.overage)
        }
    }
}

extension Engine.Control {
    fileprivate func openHold(_ id: UInt64) throws(EngineError) -> OpenHold? {
        do throws(TableError) {
            return try lane.openHold(id)
        } catch {
            throw EngineError(error)
        }
    }
}

/// The oldest of many holds: a heap of so many, the youngest of them on top.
private struct OldestHolds {
    private let most: Int
    /// No entry is older than the one at half its index, rounded down (from 1).
    private var heap: [OpenHoldOrder] = []
    /// All that were added.
    private(set) var total = 0

    init(most: Int) { self.most = most }

    /// - Complexity: O(log most)
    mutating func add(_ hold: OpenHoldOrder) {
        total += 1
        if heap.count < most {
            heap.append(hold)
            rise()
        } else if let youngest = heap.first, hold < youngest {
            heap[0] = hold
            sink()
        }
    }

    /// Oldest first, behind the first so many.
    ///
    /// - Complexity: O(most log most)
    func last(_ limit: Int, from offset: Int) -> ArraySlice<OpenHoldOrder> {
        heap.sorted().dropFirst(offset).prefix(max(0, limit))
    }

    private mutating func rise() {
        var index = heap.count - 1
        while index > 0, heap[(index - 1) / 2] < heap[index] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink() {
        var index = 0
        while true {
            var youngest = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[youngest] < heap[child] {
                youngest = child
            }
            if youngest == index { return }
            heap.swapAt(index, youngest)
            index = youngest
        }
    }
}

/// Oldest first.
private struct OpenHoldOrder: Comparable {
    let createdAt: Int64
    let id: UInt64

    static func < (left: OpenHoldOrder, right: OpenHoldOrder) -> Bool {
        left.createdAt == right.createdAt
            ? left.id < right.id : left.createdAt < right.createdAt
    }
}

extension EngineLane {
    /// Why a caller that may not charge every tenant cannot settle a reservation, which must not tell whether there is
    /// one; nil: it can.
    ///
    /// - Parameter mayCharge: whether it may charge the tenant with this id.
    package func refusal(
        ofReservation id: UInt64, unless mayCharge: (BorrowedBytes) -> Bool
    ) -> Failure? {
        lane.beginCall()
        guard let tenantID = lane.tenantID(ofReservation: id), mayCharge(tenantID) else {
            return .noSuchReservation
        }
        return nil
    }
}
