/// Tells a slip in a field's name from a name that is another's.
struct Resemblance: Sendable {
    private let names: [(name: String, letters: [UInt8])]
    /// Words of names whose meaning is not to be missed: two of them make a name one of these.
    private let words: Set<Substring>
    private let meant: String

    /// - Parameters:
    ///   - words: two of them together stand for `meant`.
    init(_ names: [String], words: Set<Substring>, meant: String) {
        self.names = names.map { ($0, Self.letters($0)) }
        self.words = words
        self.meant = meant
    }

    /// The name that a text is, or was meant to be; nil: none.
    ///
    /// - Complexity: O(names × length²)
    func name(like text: String) -> String? {
        guard text.utf8.count <= 128 else { return nil }
        let letters = Self.letters(text)
        let found = names.first { name in
            let slips =
                switch name.letters.count {
                case ..<4: 0
                case ..<8: 1
                default: 2
                }
            return Self.distance(letters, name.letters) <= slips
        }
        if let found { return found.name }
        let parts = Set(text.lowercased().split { !$0.isLetter })
        return parts.intersection(words).count >= 2 ? meant : nil
    }

    /// How a name is written, `daily_spend_limit` or `dailySpendLimit`, makes no difference.
    private static func letters(_ text: String) -> [UInt8] {
        Array(text.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") })
    }

    /// How many letters must be put in, taken out, changed or swapped with the next (optimal string alignment).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var older = [Int](repeating: 0, count: right.count + 1)
        var old = Array(0...right.count)
        for i in 0..<left.count {
            var new = [i + 1]
            for j in 0..<right.count {
                let change = old[j] + (left[i] == right[j] ? 0 : 1)
                var best = min(change, old[j + 1] + 1, new[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, older[j - 1] + 1)
                }
                new.append(best)
            }
            (older, old) = (old, new)
        }
        return old[right.count]
    }
}
