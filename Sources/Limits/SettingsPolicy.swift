// Settings as far as states and decisions depend on them.

/// A tenant's settings as its state keeps them.
public struct TenantPolicy: Sendable {
    public var limits: TenantLimits
    public var onLimit: OnLimit
    public var disclosesLimits: Bool
    /// See `TenantState.schedule`.
    public var schedule: UInt32

    public init(
        limits: TenantLimits, onLimit: OnLimit = .auto, disclosesLimits: Bool = false,
        schedule: UInt32 = 0
    ) {
        self.limits = limits
        self.onLimit = onLimit
        self.disclosesLimits = disclosesLimits
        self.schedule = schedule
    }
}

/// A profile's settings as its state keeps them.
public struct ProfilePolicy: Sendable {
    public var kind: ProfileKind
    public var enabled: Bool
    /// Nano-USD; nil: none.
    public var dailySpendNanos: Int64?

    public init(kind: ProfileKind = .messaging, enabled: Bool, dailySpendNanos: Int64?) {
        self.kind = kind
        self.enabled = enabled
        self.dailySpendNanos = dailySpendNanos
    }
}

/// What a change of a tenant's or profile's settings came to: by how much present usage is over each new cap.
public struct ChangeResult: Sendable, Equatable {
    /// The limits whose present usage, committed and held, exceeds the cap, and by how much.
    public var overBy: [LimitKind: Int64] = [:]
    public var created = false

    public init(created: Bool = false) { self.created = created }
}

extension TenantState {
    /// A tenant in its first version, whose windows are to be opened.
    public init(_ policy: TenantPolicy, _ rules: LimitRules) {
        self.init()
        version = 1
        apply(policy, rules)
    }

    /// Takes settings over. A cap or percent that changes re-arms its alerts; totals stay.
    public mutating func apply(_ policy: TenantPolicy, _ rules: LimitRules) {
        for counter in 0..<LimitKind.counterCount {
            let cap = policy.limits[rules.kind(of: counter)] ?? -1
            if caps[counter] != cap {
                caps[counter] = cap
                rearm(1 << UInt8(counter), rules)
            }
        }
        if setThresholds(policy.limits.alertThresholds) {
            rearm(.max, rules)
            percentEpoch &+= 1
        }
        autoSuspend = policy.limits.autoSuspend
        onLimit = policy.onLimit
        disclosesLimits = policy.disclosesLimits
        // Takes effect when the present windows end (semantics §2).
        schedule = policy.schedule
    }
}

extension ProfileState {
    /// Takes settings over. A cap that changes re-arms its alerts.
    public mutating func apply(_ policy: ProfilePolicy) {
        kind = policy.kind
        let newCap = policy.dailySpendNanos ?? -1
        if cap != newCap {
            cap = newCap
            rearm()
        }
        enabled = policy.enabled
        closed = false
    }
}
