/// A half-open span of time in which a limit's total accumulates: a UTC day or a billing cycle.
@frozen public struct CycleWindow: Sendable, Equatable {
    /// Unix milliseconds: the first instant that belongs to the window.
    public var start: Int64
    /// Unix milliseconds: the first instant that no longer does.
    public var end: Int64

    /// - Precondition: `start < end`.
    @inlinable public init(start: Int64, end: Int64) {
        precondition(start < end, "a window has a length")
        self.start = start
        self.end = end
    }

    /// Whether an instant (Unix milliseconds) lies in the window.
    @inlinable public func contains(_ instant: Int64) -> Bool {
        start <= instant && instant < end
    }
}
