import Limits

/// Bytes of UTF-8 that texts of requests may have; those of ids are `Identifier.lengths`.
enum TextLengths {
    static let url = 1...SettingShape.longestAddress
    /// The name of a kind of record or event.
    static let kind = 1...64
    /// A date and a time.
    static let instant = 1...64
}
