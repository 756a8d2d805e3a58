// What the contract's words are called in JSON and in files.

extension TenantStatus {
    public var name: String {
        switch self {
        case .active: "active"
        case .suspended: "suspended"
        case .closed: "closed"
        }
    }
}

extension OnLimit {
    public var name: String {
        switch self {
        case .auto: "auto"
        case .block: "block"
        case .alert: "alert"
        }
    }

    /// nil: there is none of that name.
    public init?(name: String) {
        guard let one = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = one
    }
}

extension Treatment {
    /// nil: nothing to do.
    public var name: String? {
        switch self {
        case .none: nil
        case .reject: "reject"
        case .serviceInterrupted: "service_interrupted"
        case .blockCall: "block_call"
        case .billingSuspended: "billing_suspended"
        }
    }
}
