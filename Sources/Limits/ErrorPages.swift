/// Where Tollgate's own errors are explained (`meta.url`): at the service itself, if it was told its public URL. The
/// vendor's codes keep the vendor's pages.
///
/// Set once, before anything is served; read by any thread from then on.
public enum ErrorPages {
    /// Tollgate's own codes: 49000 … 49999.
    @usableFromInline static let firstOwn: UInt32 = 49_000
    @usableFromInline static let ownCount: UInt32 = 1_000

    /// By code, from `firstOwn` on; empty where there is none. nil: no public URL is set.
    // SAFETY: written by `serve` before there are other threads, and never freed.
    @usableFromInline nonisolated(unsafe) static var links:
        UnsafePointer<UnsafeBufferPointer<UInt8>>?

    /// The address in front of the code, with a slash at its end; nil: no public URL is set.
    // SAFETY: as `links`.
    nonisolated(unsafe) public private(set) static var base: String?

    /// Whether a code is Tollgate's own, and not the vendor's.
    public static func isOwn(_ code: UInt32) -> Bool { code &- firstOwn < ownCount }

    /// Has the pages of Tollgate's own errors be those of the service.
    ///
    /// - Parameter publicURL: the service's address, with or without a slash at its end.
    public static func serve(at publicURL: String) {
        precondition(base == nil, "the public URL is set once")
        let base = publicURL + (publicURL.hasSuffix("/") ? "" : "/") + "errors/"
        let links = UnsafeMutablePointer<UnsafeBufferPointer<UInt8>>.allocate(
            capacity: Int(ownCount))
        links.initialize(
            repeating: UnsafeBufferPointer(start: nil, count: 0), count: Int(ownCount))
        for code in ErrorCode.allCases where isOwn(code.rawValue) {
            let text = Array("\(base)\(code.rawValue)".utf8)
            let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.count)
            _ = copy.initialize(from: text)
            links[Int(code.rawValue - firstOwn)] = UnsafeBufferPointer(copy)
        }
        self.base = base
        self.links = UnsafePointer(links)
    }

    /// `meta.url` of an error, UTF-8. Complexity: O(1), no allocation.
    @inlinable public static func url(of row: ErrorRow) -> UnsafeBufferPointer<UInt8> {
        if let links {
            let index = row.code.rawValue &- firstOwn
            if index < ownCount, links[Int(index)].count > 0 { return links[Int(index)] }
        }
        return UnsafeBufferPointer(
            start: row.url.utf8Start, count: row.url.utf8CodeUnitCount)
    }
}
