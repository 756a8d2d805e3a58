internal import TollgateClient

/// What the load consists of.
enum ActionKind: String, CaseIterable, Sendable {
    /// A message: spend with a profile, charged at once or reserved and then committed.
    case messaging
    /// An extension or a DID: one is reserved, then committed.
    case provisioning
    /// A call in 60-second slices: reserve, extend for each further slice, commit what was used.
    case calls
}

/// The kinds and their weights: "messaging", or "messaging=8,provisioning=1,calls=1".
struct Mix: Equatable {
    var weights: [ActionKind: Double]

    /// nil unless the text names kinds, each once, with weights above zero (default 1).
    init?(_ text: String) {
        weights = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", omittingEmptySubsequences: false)
            guard let kind = ActionKind(rawValue: String(pair[0])), weights[kind] == nil,
                pair.count <= 2,
                let weight = pair.count == 2 ? Double(String(pair[1])) : 1,
                weight > 0, weight.isFinite
            else { return nil }
            weights[kind] = weight
        }
    }

    /// Shares that sum up to 1, in the order of `ActionKind.allCases`.
    var shares: [Double] {
        let total = weights.values.reduce(0, +)
        return ActionKind.allCases.map { (weights[$0] ?? 0) / total }
    }
}

/// The shape of the actions: amounts, and how they end.
struct Traffic {
    /// A message's segments are 1 ... 3, evenly.
    static let segmentNanos: Int64 = 4_000_000
    static let sliceSeconds: Int64 = 60
    static let secondNanos: Int64 = 200_000
    /// A call has another slice with this probability, five slices at most.
    static let anotherSlice = 0.5
    static let mostSlices = 5
    /// This share of reservations is released: the message failed, nobody picked up.
    static let releasedShare = 0.1

    let mix: Mix
    /// The share of messages that are charged at once (MODE_COMMIT).
    let directShare: Double

    /// What an action asks for on average, of each resource.
    var demand: SIMD4<Double> {
        let shares = mix.shares
        let slices = (0..<Self.mostSlices).reduce(0.0) { sum, index in
            sum + (0..<index).reduce(1.0) { power, _ in power * Self.anotherSlice }
        }
        let seconds = shares[2] * slices * Double(Self.sliceSeconds)
        return SIMD4(
            shares[0] * 2 * Double(Self.segmentNanos) + seconds * Double(Self.secondNanos),
            shares[1] / 2, shares[1] / 2, seconds)
    }
}

/// One gRPC call of an action.
enum Step: Int, CaseIterable, Sendable {
    case check, extend, commit, release

    var method: String {
        switch self {
        case .check: "CheckAndReserve"
        case .extend: "Extend"
        case .commit: "Commit"
        case .release: "Release"
        }
    }
}

/// One action on its way: a message, a provisioned resource, a call. At most one of its calls is under way.
final class Journey: @unchecked Sendable {
    // SAFETY: made and used on the driver's event loop alone.

    let kind: ActionKind
    let tenant: Int
    /// Position among all profiles; nil: none.
    let profile: Int?
    let amounts: ResourceAmounts
    let isDirect: Bool
    private let isReleased: Bool
    private var slicesLeft: Int
    /// Seconds of the last slice that were not used.
    private let unusedSeconds: Int64

    /// 0: nothing is held.
    var reservationID: UInt64 = 0
    var held = ResourceAmounts()
    /// When the request was sent that made or extended the hold last: it lives for its time to live from then on.
    var renewed: UInt64 = 0

    // The call that is under way.
    var step = Step.check
    /// When it was due, and when it was sent; monotonic nanoseconds.
    var due: UInt64 = 0
    var sent: UInt64 = 0
    /// The tally's marks at that moment.
    var marks = Ledger.Marks()

    init(
        _ kind: ActionKind, tenant: Int, profile: Int, directShare: Double,
        _ random: inout SampleGenerator
    ) {
        self.kind = kind
        self.tenant = tenant
        isReleased = random.unit() < Traffic.releasedShare
        var slices = 1
        var unused: Int64 = 0
        switch kind {
        case .messaging:
            self.profile = profile
            amounts = .spend(nanos: Traffic.segmentNanos * Int64(1 + random.index(below: 3)))
            isDirect = random.unit() < directShare
        case .provisioning:
            self.profile = nil
            amounts =
                random.index(below: 2) == 0
                ? ResourceAmounts(0, 1, 0, 0) : ResourceAmounts(0, 0, 1, 0)
            isDirect = false
        case .calls:
            self.profile = nil
            let seconds = Traffic.sliceSeconds
            amounts = ResourceAmounts(seconds * Traffic.secondNanos, 0, 0, seconds)
            isDirect = false
            while slices < Traffic.mostSlices, random.unit() < Traffic.anotherSlice { slices += 1 }
            unused = Int64(random.index(below: Int(seconds)))
        }
        slicesLeft = slices - 1
        unusedSeconds = unused
    }

    var action: Action {
        switch kind {
        case .messaging: .sendMessage
        case .provisioning: amounts[Resource.dids.index] > 0 ? .assignDID : .provisionExtension
        case .calls: .outboundCall
        }
    }

    /// What happens next to a hold; `hangsUp`: the run ends, no more slices.
    func next(hangsUp: Bool) -> Step {
        if isReleased { return .release }
        if slicesLeft > 0, hangsUp == false {
            slicesLeft -= 1
            return .extend
        }
        return .commit
    }

    /// There was no room for another slice: the call ends.
    func cutShort() { slicesLeft = 0 }

    /// What is charged in the end: what is held, less the unused seconds of the last slice.
    var used: ResourceAmounts {
        held &- ResourceAmounts(unusedSeconds * Traffic.secondNanos, 0, 0, unusedSeconds)
    }
}
