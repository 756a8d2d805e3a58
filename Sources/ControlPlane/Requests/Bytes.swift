import Limits

extension Optional where Wrapped == String {
    /// The text's bytes, for one call; none for nil.
    func withBytes<T>(_ body: (BorrowedBytes) throws -> T) rethrows -> T {
        guard let text = self else { return try body(BorrowedBytes(start: nil, count: 0)) }
        return try Array(text.utf8).withUnsafeBytes(body)
    }
}
