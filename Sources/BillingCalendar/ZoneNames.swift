import Foundation

extension BillingSchedule {
    /// The IANA name that a text means, in whatever case it is written; nil: none that is known here.
    ///
    /// - Complexity: O(1), at worst two look-ups of a zone
    public static func zoneName(_ text: String) -> String? {
        if let name = ZoneOffsets.spellings[text.lowercased()] { return name }
        // Names that live on as links to others are listed nowhere.
        return [text, titled(text)].first { ZoneOffsets(name: $0) != nil }
    }

    /// "US/East-Indiana" of "us/east-indiana".
    private static func titled(_ text: String) -> String {
        var isStart = true
        return String(
            text.lowercased().map { character in
                defer { isStart = !character.isLetter }
                return isStart ? Character(character.uppercased()) : character
            })
    }
}
