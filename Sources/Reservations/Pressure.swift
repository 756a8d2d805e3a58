/// What is scarce: bits of a word that every reservation reads, and that changes seldom.
enum Pressure {
    /// One part in so many is what reservations leave of keys and bodies.
    static let reservePart = 16
    /// Three quarters of the slots are in use.
    static let slots: UInt64 = 1
    /// Three quarters of the keys are remembered.
    static let keys: UInt64 = 2
    /// What is left of the keys is not for reservations.
    static let keyReserve: UInt64 = 4

    /// - Parameter isOn: whether what a bit says is so, as the caller has just found; two that find otherwise at a time
    ///   leave it to the next one.
    static func set(_ bit: UInt64, _ isOn: Bool, in word: Words) {
        while true {
            let old = word[0]
            let new = isOn ? old | bit : old & ~bit
            if new == old || word.compareExchange(0, old, new) { return }
        }
    }
}
