// What a caller needs besides this module's own types: the contract's messages and enumerations, as
// plain Swift values. `import TollgateClient` makes them available.

@_exported public import enum Limits.Action
@_exported public import enum Limits.Decision
@_exported public import enum Limits.ExpiryPolicy
@_exported public import enum Limits.LimitKind
@_exported public import enum Limits.Mode
@_exported public import enum Limits.Money
@_exported public import enum Limits.OveragePolicy
@_exported public import enum Limits.Resource
@_exported public import enum Limits.TenantStatus
@_exported public import enum Limits.Treatment
@_exported public import struct Wire.CheckRequest
@_exported public import struct Wire.CheckResponse
@_exported public import struct Wire.CheckResult
@_exported public import struct Wire.CommitRequest
@_exported public import struct Wire.CommitResponse
@_exported public import struct Wire.ErrorEntry
@_exported public import struct Wire.ExtendRequest
@_exported public import struct Wire.ExtendResponse
@_exported public import struct Wire.LimitReport
@_exported public import struct Wire.Quantity
@_exported public import struct Wire.RecordUsageRequest
@_exported public import struct Wire.RecordUsageResponse
@_exported public import struct Wire.ReleaseRequest
@_exported public import struct Wire.ReleaseResponse
@_exported public import struct Wire.StatusDetails
@_exported public import struct Wire.UsageRequest
@_exported public import struct Wire.UsageResponse
@_exported public import struct Wire.UsageUpdate
