/// Says once for each edge that a certificate will end soon, or has ended: a value without input or output.
struct ExpiryNotices: Sendable {
    enum Notice: Equatable {
        /// It ends within one of the times; the whole days that are left.
        case soon(days: Int64)
        case ended
    }

    /// Seconds before the end, the longest first.
    private let edges: [Int64]
    private var notAfter: Int64?
    /// Edges that have been passed and told; one more when it has ended.
    private var told = 0

    init(_ edges: [Int64]) { self.edges = edges.sorted(by: >) }

    /// - Parameters:
    ///   - notAfter: when the certificate ends; another one than the last time begins anew.
    ///   - now: Unix seconds, as `notAfter`.
    /// - Returns: nil: there is nothing new to say.
    mutating func look(at notAfter: Int64, now: Int64) -> Notice? {
        if self.notAfter != notAfter {
            self.notAfter = notAfter
            told = 0
        }
        let left = notAfter - now
        let passed = left < 0 ? edges.count + 1 : edges.count { left <= $0 }
        guard passed > told else { return nil }
        told = passed
        return left < 0 ? .ended : .soon(days: left / 86_400)
    }
}
