internal import Access
internal import Engine
internal import HTTP2
internal import Limits
internal import Synchronization
internal import Wire

/// The bounds of WatchUsage on one event loop.
package struct WatchBounds: Sendable {
    /// Watches at once; one more is RESOURCE_EXHAUSTED.
    package var watches = 1_000
    /// Among them, watches of all tenants: each remembers 20 bytes for every tenant and profile.
    package var watchesOfEverything = 16
    /// Percent of them that a tenant may have when three quarters are in use and its caller is bound to tenants.
    package var tenantShare = 10
    /// From the end of a watch's walk over its subjects to the next one, and so between two messages about a subject.
    package var pauseMilliseconds: UInt64 = 100
    /// What all walks together may cost in a tick of 10 ms, see `UsageWatch`: looks at subjects, or 16 times fewer
    /// messages.
    package var budget = 8_000
    /// New profiles that are taken up in a tick, for the watches of single tenants.
    package var newProfiles = 20_000
    /// Bytes that a watch may collect in a tick.
    package var bytes = 64 * 1024
    /// Where event loops say that theirs become scarce.
    package var scarcity = WatchScarcity()

    package init() {}

    fileprivate func areScarce(_ count: Int) -> Bool { count * 4 >= watches * 3 }
}

/// On how many event loops three quarters of the watches are in use: shares are looked at there.
///
/// Thread safety: any thread.
package final class WatchScarcity: Sendable {
    // ORDERING: relaxed because it stands for nothing else.
    private let loops = Atomic<Int>(0)

    package init() {}

    package var isScarce: Bool { loops.load(ordering: .relaxed) > 0 }

    fileprivate func add(_ change: Int) { loops.add(change, ordering: .relaxed) }
}

/// The WatchUsage calls of one event loop.
///
/// Every tick the walks of the watches go on: what they find stale is read, encoded and collected in a *batch*, which
/// leaves when all that it reflects is on disk; nothing more is collected meanwhile. What a congested call cannot take
/// is forgotten and so stays stale: its caller gets the latest state when it reads on.
///
/// Thread safety: belongs to its event loop.
final class UsageWatches {
    private final class Watch {
        let token: CallToken
        /// The value of `authorization`; a token that is revoked or expires ends its watches.
        let authorization: [UInt8]
        /// Whom the connection's certificate names; nil: it has none.
        let certified: CertifiedPeer?
        let peerAddress: String
        /// Limits are hidden unless the tenant's settings say otherwise.
        let isTenant: Bool
        /// Empty: of everything.
        let tenantID: [UInt8]
        var walk: UsageWatch
        var isSnapshotSent = false
        var isCongested = false
        var isOver = false
        /// When its walk goes on, on the monotonic clock; `.max`: when its part of the batch has left.
        var dueNanoseconds: UInt64 = 0

        init(_ call: CallContext, tenant: Int?, _ tenantID: BorrowedBytes, isTenant: Bool) {
            token = call.token
            authorization = Array(call.authorization)
            certified = call.certified
            peerAddress = call.peerAddress
            self.isTenant = isTenant
            self.tenantID = Array(tenantID)
            walk = UsageWatch(tenant: tenant)
        }

        /// Whether its caller may still have it: what it is let do may have changed since.
        func isAllowed(_ permission: Permission) -> Bool {
            if tenantID.isEmpty {
                return permission.may(.watchEverything) && !permission.isLimited
            }
            return permission.may(.readUsage) && permission.isTenant == isTenant
                && tenantID.withUnsafeBytes { permission.covers($0) }
        }
    }

    /// Something that is said on a watch.
    private struct Item {
        enum Kind {
            /// The usage of the subject at a place of the walk.
            case usage(place: Int)
            /// The end of a walk; of the first one a message says so.
            case end
            /// The call ends.
            case failure(Failure)
        }
        let watch: Watch
        let kind: Kind
        /// Length of its message; 0: none.
        let byteCount: Int
    }

    private let lane: EngineLane
    private let gate: any DurabilityGate
    /// nil: everybody may do everything.
    private let callers: Callers?
    private let bounds: WatchBounds
    private let encoder = ResponseEncoder()
    private weak var loop: ServerLoop?
    private var watches: [Watch] = [] {
        didSet { isScarce = bounds.areScarce(watches.count) }
    }
    private var isScarce = false {
        didSet { if isScarce != oldValue { bounds.scarcity.add(isScarce ? 1 : -1) } }
    }
    private var index = ProfileIndex()
    private var answer = UsageAnswer()
    /// The watch whose turn comes first.
    private var first = 0

    private var batch: [Item] = []
    private var messages = ByteQueue()
    /// Something in the batch is not on disk yet.
    private var batchWaits = false
    /// The ticket of the batch, if it waits.
    private var ticket: UInt64 = 0

    init(
        _ lane: EngineLane, _ gate: any DurabilityGate, _ callers: Callers?, loop: ServerLoop,
        _ bounds: WatchBounds
    ) {
        self.lane = lane
        self.gate = gate
        self.callers = callers
        self.loop = loop
        self.bounds = bounds
    }

    // MARK: Calls

    /// Begins a watch; the first messages leave with the next tick.
    ///
    /// - Parameters:
    ///   - tenant: a number; nil: everything.
    ///   - tenantID: its id; empty: everything.
    ///   - permission: of the caller: of scope tenant it may not see limits, unless the tenant's settings say so.
    /// - Returns: why it is refused; nil: it is not.
    func open(
        _ call: CallContext, tenant: Int?, _ tenantID: BorrowedBytes, _ permission: Permission
    ) -> Failure? {
        guard watches.count < bounds.watches else {
            return Failure(.tooManyRequests, detail: "The maximum number of watches is reached")
        }
        if let tenant, permission.isLimited, isScarce {
            let ofTenant = watches.count { $0.walk.tenant == tenant }
            guard ofTenant * 100 < bounds.watches * bounds.tenantShare else {
                return Failure(
                    .tooManyRequests,
                    detail: "The tenant has used its share of the watches, and few are left")
            }
        }
        if tenant == nil {
            let ofEverything = watches.count { $0.walk.tenant == nil }
            guard ofEverything < bounds.watchesOfEverything else {
                return Failure(
                    .tooManyRequests,
                    detail: "The maximum number of watches of all tenants is reached")
            }
        }
        watches.append(Watch(call, tenant: tenant, tenantID, isTenant: permission.isTenant))
        return nil
    }

    func writable(_ token: CallToken) {
        watches.first { $0.token == token }?.isCongested = false
    }

    func closed(_ token: CallToken) {
        guard let place = watches.firstIndex(where: { $0.token == token }) else { return }
        watches[place].isOver = true
        watches.remove(at: place)
        if place < first { first -= 1 }
    }

    // MARK: Time

    /// To be called every 10 ms, after the lane's own tick.
    func tick() {
        guard !watches.isEmpty, let loop else { return }
        let now = loop.clock()
        if !batch.isEmpty {
            guard !batchWaits || gate.durableTicket >= ticket else { return }
            send(loop, now)
        }
        collect(now)
        guard !batch.isEmpty else { return }
        if batchWaits {
            ticket = gate.takeTicket()
        } else {
            send(loop, now)
        }
    }

    /// Lets the walks go on within the tick's budget; who comes when it is spent is the first in the next tick.
    private func collect(_ now: UInt64) {
        var newProfiles = bounds.newProfiles
        let isIndexed =
            watches.allSatisfy { $0.walk.tenant == nil } || index.advance(lane, &newProfiles)
        var budget = bounds.budget
        if first >= watches.count { first = 0 }
        for offset in watches.indices {
            let place = (first + offset) % watches.count
            guard budget > 0 else {
                first = place
                return
            }
            let watch = watches[place]
            guard !watch.isCongested, now >= watch.dueNanoseconds,
                isIndexed || watch.walk.tenant == nil
            else { continue }
            collect(watch, now, &budget)
        }
    }

    private func collect(_ watch: Watch, _ now: UInt64, _ budget: inout Int) {
        if let callers {
            let caller = watch.authorization.withUnsafeBytes {
                callers.find(
                    $0, certified: watch.certified, nowNanoseconds: now, from: watch.peerAddress)
            }
            guard let caller else { return add(watch, .failure(callers.refusal)) }
            guard watch.isAllowed(Permission(caller: caller)) else {
                return add(watch, .failure(Failure(.forbidden)))
            }
        }
        var byteCount = 0
        while byteCount < bounds.bytes {
            switch watch.walk.next(lane, index, &budget, answer: &answer) {
            case .usage(let place, let tenantID, let profileID):
                let isHidden = watch.isTenant && !lane.disclosesLimits
                let room = messages.reserve(ResponseEncoder.sufficientBytes)
                let count = encoder.watch(
                    answer, Subjects(tenantID: tenantID, profileID: profileID),
                    disclosure: isHidden ? .profilesOnly : .full, into: room)
                byteCount += count
                add(watch, .usage(place: place), count)
            case .end:
                guard !watch.isSnapshotSent else { return add(watch, .end) }
                let room = messages.reserve(ResponseEncoder.sufficientBytes)
                return add(watch, .end, encoder.watchSnapshotComplete(into: room))
            case .gone:
                return add(watch, .failure(Self.deleted))
            case .rest:
                return
            }
        }
    }

    private static let deleted = Failure(
        .notFound, pointer: "/tenant_id", detail: "The tenant was deleted")

    /// - Parameter byteCount: of the message that was just encoded.
    private func add(_ watch: Watch, _ kind: Item.Kind, _ byteCount: Int = 0) {
        messages.commit(byteCount)
        batch.append(Item(watch: watch, kind: kind, byteCount: byteCount))
        switch kind {
        case .usage: break
        case .end, .failure: watch.dueNanoseconds = .max
        }
        if gate.answerWaits || watch.walk.absenceWaits { batchWaits = true }
    }

    // MARK: Sending

    private func send(_ loop: ServerLoop, _ now: UInt64) {
        // Ending a call changes the list of watches, not that of items.
        for item in batch {
            switch item.kind {
            case .usage(let place):
                let isSent = !item.watch.isCongested && push(item, loop)
                if !isSent { item.watch.walk.forget(place) }
            case .end:
                if !item.watch.isCongested, item.byteCount > 0 {
                    item.watch.isSnapshotSent = push(item, loop)
                }
                item.watch.dueNanoseconds = now + bounds.pauseMilliseconds * 1_000_000
            case .failure(let failure):
                loop.end(item.watch.token, GRPCFailure(failure, encoder: encoder))
            }
            messages.consume(item.byteCount)
        }
        batch.removeAll(keepingCapacity: true)
        batchWaits = false
        loop.flush()
    }

    /// False: the call cannot take it now, or is over.
    private func push(_ item: Item, _ loop: ServerLoop) -> Bool {
        guard !item.watch.isOver else { return false }
        let result = loop.push(item.watch.token) { response in
            response.append(UnsafeRawBufferPointer(rebasing: messages.readable[..<item.byteCount]))
        }
        if result == .congested { item.watch.isCongested = true }
        return result == .sent
    }
}
