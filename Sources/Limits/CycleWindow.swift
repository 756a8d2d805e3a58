/// A billing cycle: Unix milliseconds, `start ..< end`.
@frozen public struct CycleWindow: Sendable, Equatable {
    public var start: Int64
    public var end: Int64

    @inlinable public init(start: Int64, end: Int64) {
        self.start = start
        self.end = end
    }
}
