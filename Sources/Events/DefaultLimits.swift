package import Limits

/// The six fields that pre-fill a new tenant, as they are kept: a setting of the service in the journal.
package struct DefaultLimits: Sendable, Equatable, Codable {
    package static let setting = "tenant-defaults"

    private var monthlySpendNanos: Int64?
    private var maxExtensions: Int64?
    private var maxDIDs: Int64?
    private var monthlyCallSeconds: Int64?
    private var alertThresholdPercent: UInt8
    private var autoSuspend: Bool

    package init(_ limits: TenantLimits) {
        monthlySpendNanos = limits.monthlySpendNanos
        maxExtensions = limits.maxExtensions
        maxDIDs = limits.maxDIDs
        monthlyCallSeconds = limits.monthlyCallSeconds
        alertThresholdPercent = limits.alertThresholdPercent
        autoSuspend = limits.autoSuspend
    }

    package var limits: TenantLimits {
        TenantLimits(
            monthlySpendNanos: monthlySpendNanos, maxExtensions: maxExtensions, maxDIDs: maxDIDs,
            monthlyCallSeconds: monthlyCallSeconds, alertThresholdPercent: alertThresholdPercent,
            autoSuspend: autoSuspend)
    }
}
