/// The media types that a request's `Accept` names, with their weights (RFC 9110 §12.5.1).
struct AcceptedTypes {
    private struct Entry {
        /// In lower case, like "text/html" or "text/*".
        var type: Substring
        var parameters: [String]
        /// 0 (not wanted) to 1; 0 too where it is no number of these.
        var weight: Double

        /// Of the parameter `version`; nil: there is none.
        var version: String? {
            parameters.first { $0.hasPrefix("version=") }?.dropFirst(8).filter { $0 != "\"" }
        }
    }

    private let entries: [Entry]

    /// - Parameter accept: the header's value; nil: it was not sent.
    init(_ accept: String?) {
        entries = (accept ?? "").lowercased().split(separator: ",").map { part in
            let pieces = part.split(separator: ";").map { piece in
                piece.filter { $0 != " " && $0 != "\t" }
            }
            let weight =
                pieces.first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            return Entry(
                type: (pieces.first ?? "")[...], parameters: Array(pieces.dropFirst()),
                weight: (0...1).contains(weight) ? weight : 0)
        }
    }

    /// The greatest weight of an entry that has one of these names, and no other version.
    ///
    /// - Returns: 0: it is not named, or not wanted. A wildcard is a name of its own.
    func weight(of names: String..., version: String? = nil) -> Double {
        entries.lazy.filter { entry in
            names.contains { $0 == entry.type }
                && (version == nil || entry.version == nil || entry.version == version)
        }.map(\.weight).max() ?? 0
    }
}
