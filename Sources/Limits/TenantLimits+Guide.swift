// The caps of the partner guide by name, for tests and tools. What goes for every limit uses the subscripts.
extension TenantLimits {
    public init(
        monthlySpendNanos: Int64? = nil, maxExtensions: Int64? = nil, maxDIDs: Int64? = nil,
        monthlyCallSeconds: Int64? = nil, alertThresholdPercent: UInt8 = 80,
        autoSuspend: Bool = false
    ) {
        self.init(
            caps: [:], alertThresholds: [alertThresholdPercent], autoSuspend: autoSuspend)
        self.monthlySpendNanos = monthlySpendNanos
        self.maxExtensions = maxExtensions
        self.maxDIDs = maxDIDs
        self.monthlyCallSeconds = monthlyCallSeconds
    }

    public var monthlySpendNanos: Int64? {
        get { self[.tenantMonthlySpend] }
        set { self[.tenantMonthlySpend] = newValue }
    }
    public var maxExtensions: Int64? {
        get { self[.tenantExtensions] }
        set { self[.tenantExtensions] = newValue }
    }
    public var maxDIDs: Int64? {
        get { self[.tenantDIDs] }
        set { self[.tenantDIDs] = newValue }
    }
    public var monthlyCallSeconds: Int64? {
        get { self[.tenantMonthlyMinutes] }
        set { self[.tenantMonthlyMinutes] = newValue }
    }
}
